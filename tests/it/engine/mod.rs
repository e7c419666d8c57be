//! The engine, driven by hand: no store, no clock, no outside. What a driver would answer, the tests say.

mod ends;
mod heads;
mod histories;
mod promotions;
mod queues;
mod releases;
mod rules_and_times;
mod support;
mod take_backs;
mod versions;
