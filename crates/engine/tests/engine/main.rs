//! The engine, driven by hand: no store, no clock, no outside. What a driver would answer, the tests say.

#![expect(clippy::unwrap_used, reason = "tests")]

mod approvals;
mod asked_by;
mod asked_once;
mod authors;
mod authorship;
mod builds;
mod diamonds;
mod ends;
mod explained;
mod explanations;
mod fan_in;
mod gate_model;
mod gates;
mod heads;
mod histories;
mod holds;
mod journeys;
mod lattice;
mod logs;
mod notices;
mod nudges;
mod obstacles;
mod promotions;
mod queues;
mod releases;
mod rules_and_times;
mod rules_offered;
mod signed;
mod stats;
mod strangers;
mod support;
mod take_backs;
mod targets;
mod triggers;
mod versions;
mod waits;
mod ways_back;
mod windows;
