//! The integration tests, in one program.
#![expect(clippy::unwrap_used, reason = "tests")]

mod git;
mod git_archive;
mod git_edit;
mod git_merge;
mod git_transport;
mod support;
