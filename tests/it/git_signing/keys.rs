//! Keys of ssh for tests, made when they begin, by the program that people make them with.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// An ed25519 key in a folder; its public part is beside it.
pub(crate) fn ssh_key(folder: &Path, name: &str, passphrase: &str) -> PathBuf {
    let key = folder.join(name);
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", passphrase, "-C", name, "-f"])
        .arg(&key)
        .stdin(Stdio::null())
        .status();
    assert!(made.unwrap().success());
    key
}
