//! What keeps the server to itself on a machine that it shares: with the commands that it runs, and with other users.

use std::{
    fs::{DirBuilder, Permissions},
    io,
    os::unix::fs::{DirBuilderExt as _, PermissionsExt as _},
    path::Path,
};

use rustix::{
    fs::Mode,
    process::{DumpableBehavior, set_dumpable_behavior, umask},
};

/// What only the owner may read, write and enter.
const OWNER_ONLY: u32 = 0o700;

/// From now on, what this process makes is its user's alone, and no other process of the user can look into it: not at
/// its memory, environment or open files. Its children are as they were, but for what they make.
pub(crate) fn close() {
    umask(Mode::RWXG | Mode::RWXO);
    if let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        tracing::warn!(%error, "other processes of this user can read this one's memory and environment");
    }
}

/// Makes a folder that is its owner's alone. One that is there is closed to others.
pub(crate) fn folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(OWNER_ONLY).create(path)?;
    let mode = path.metadata()?.permissions().mode();
    if mode & 0o077 != 0
        && let Err(error) = std::fs::set_permissions(path, Permissions::from_mode(OWNER_ONLY))
    {
        tracing::warn!(folder = %path.display(), %error, "other users can look into this folder");
    }
    Ok(())
}
