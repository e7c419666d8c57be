//! The engine, driven by hand: no store, no clock, no outside. What a driver would answer, the tests say.

mod approvals;
mod builds;
mod diamonds;
mod ends;
mod explanations;
mod fan_in;
mod gates;
mod heads;
mod histories;
mod holds;
mod notices;
mod promotions;
mod queues;
mod releases;
mod rules_and_times;
mod stats;
mod support;
mod take_backs;
mod versions;
mod ways_back;
