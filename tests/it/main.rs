//! Every integration test is in this one binary, so that linking happens once.
#![expect(clippy::unwrap_used, reason = "tests")]

mod rules;
