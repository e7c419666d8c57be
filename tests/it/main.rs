//! Integration tests: one binary, one module for each part of the house.
#![expect(clippy::unwrap_used, reason = "tests")]

mod report;
