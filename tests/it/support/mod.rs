//! What the tests stand on.

use std::path::{Path, PathBuf};

pub(crate) mod certificate;
pub(crate) mod chromium;
pub(crate) mod github;
pub(crate) mod hook;
pub(crate) mod http;
pub(crate) mod http_git;
pub(crate) mod issuer;
pub(crate) mod lfs_server;
pub(crate) mod mailbox;
pub(crate) mod people;
pub(crate) mod repo;
pub(crate) mod sandbox;

/// A program that `scripts/test` installs below `target/tools`; nothing where it is not there, which is said.
pub(crate) fn tool(path: &str) -> Option<PathBuf> {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools").join(path);
    if program.exists() {
        return Some(program);
    }
    println!("left out: there is no {}, which scripts/test installs where there is a Python for it", program.display());
    None
}
