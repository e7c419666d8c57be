//! The engine, driven by hand: no store, no clock, no outside. What a driver would answer, the tests say.

mod approvals;
mod ends;
mod gates;
mod heads;
mod histories;
mod promotions;
mod queues;
mod rules_and_times;
mod support;
