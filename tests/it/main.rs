//! The tests that use the real thing: repositories, files, processes and sockets. One program, so that it links once.

#![expect(clippy::unwrap_used, reason = "tests")]

mod acts;
mod chaos;
mod crash_sweep;
mod docs;
mod escapes;
mod git;
mod git_ancestry;
mod git_archive;
mod git_contents;
mod git_edit;
mod git_elsewhere;
mod git_merge;
mod git_merge_kinds;
mod git_merge_random;
mod git_mirror;
mod git_proof;
mod git_remote;
mod git_restore;
mod git_signing;
mod git_told;
mod git_transport;
mod git_upkeep;
mod github;
mod hostile_input;
mod house;
mod kinds;
mod local_http_check;
mod local_image_builder;
mod local_process;
mod local_service;
mod local_support;
mod notices;
mod objects;
mod report;
mod rules;
mod scenarios;
mod schemas;
mod simulate;
mod store;
mod support;
