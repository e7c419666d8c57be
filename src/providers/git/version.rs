//! Which git is needed. It is asked for its version once.

use super::local;
use crate::providers::Fault;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The oldest git that merges as we ask it to: `merge-tree --write-tree -z` is of 2.38, and the attributes of a tree count in a
/// bare repository (`GIT_ATTR_SOURCE`) since 2.41.
pub const OLDEST_GIT: (u32, u32) = (2, 41);

/// It says its version at once.
const PATIENCE: Duration = Duration::from_secs(20);

/// What the git program says of its version, say `2.47.3`. `Fail` when it cannot be run, or is older than [`OLDEST_GIT`].
pub fn git_version(program: &Path) -> Result<String, Fault> {
    let mut command = local::alone(program);
    command.arg("--version");
    let said = local::run(command, b"", Instant::now() + PATIENCE)?;
    let said = String::from_utf8_lossy(&said.output).trim().to_owned();
    let (major, minor) = OLDEST_GIT;
    let hint = format!("install git {major}.{minor} or newer");
    let version = said.strip_prefix("git version ").and_then(|version| version.split(' ').next()).unwrap_or_default();
    match numbers(version) {
        Some(found) if found >= OLDEST_GIT => Ok(version.to_owned()),
        Some(_) => {
            Err(Fault::fail(format!("git {version} is too old: merges need git {major}.{minor} or newer"), hint))
        }
        None => Err(Fault::fail(format!("'{}' does not say which git it is: {said:?}", program.display()), hint)),
    }
}

/// The same, asked once for each program that is new enough.
pub(super) fn require(program: &Path) -> Result<(), Fault> {
    static NEW_ENOUGH: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());
    let known = || NEW_ENOUGH.lock().unwrap_or_else(PoisonError::into_inner);
    if known().contains(program) {
        return Ok(());
    }
    git_version(program)?;
    known().insert(program.to_owned());
    Ok(())
}

fn numbers(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}
