//! The tests that use the real thing: repositories, files, processes and sockets. One program, so that it links once.

#![expect(clippy::unwrap_used, reason = "tests")]

mod git;
mod git_archive;
mod git_edit;
mod git_merge;
mod git_transport;
mod local_http_check;
mod local_image_builder;
mod local_objects;
mod local_process;
mod local_service;
mod local_support;
mod rules;
mod support;
//! Integration tests: one binary, one module for each part of the house.
#![expect(clippy::unwrap_used, reason = "tests")]

mod report;
