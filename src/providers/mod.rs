//! One file or folder per outside system. Providers know nothing of ours: they take plain values, talk to
//! the outside with a deadline, and say of every failure whether to try again.

pub mod act;
mod archive;
mod archive_guard;
pub mod caches;
pub mod commit_status;
mod detached;
pub(crate) mod document;
mod fault;
pub(crate) mod files;
pub mod forge;
pub(crate) mod fuzzed;
pub mod git;
pub mod given;
pub mod http_check;
pub mod image_builder;
pub mod local_job;
pub mod local_service;
pub mod mail;
pub mod objects;
pub mod process;
pub(crate) mod process_table;
pub mod quarantine;
pub mod redacted;
mod redaction;
pub mod sandbox;
mod search_path;
mod secret;
pub mod targets;
pub mod webhook;
pub(crate) mod yaml;

pub use fault::Fault;
pub use secret::Secret;
