//! The integration tests, in one program.
#![expect(clippy::unwrap_used, reason = "tests")]

mod git;
mod support;
//! The tests that use the real thing: files, processes, sockets and repositories.

#![expect(clippy::unwrap_used, reason = "tests")]

mod local_http_check;
mod local_image_builder;
mod local_objects;
mod local_process;
mod local_service;
mod local_support;
