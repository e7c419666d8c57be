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

/// What a git program says of its version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GitVersion {
    /// The first two numbers.
    pub numbers: (u32, u32),
    /// All of it, say `2.47.3`.
    pub text: String,
}

/// The version of the git program. `Fail` when it cannot be run, or is older than [`OLDEST_GIT`].
pub fn git_version(program: &Path) -> Result<GitVersion, Fault> {
    let mut command = local::alone(program);
    command.arg("--version");
    let said = local::run(command, b"", Instant::now() + PATIENCE)?;
    let said = String::from_utf8_lossy(&said.output).trim().to_owned();
    let (major, minor) = OLDEST_GIT;
    let hint = format!("install git {major}.{minor} or newer");
    match version_in(&said) {
        Some(found) if found.numbers >= OLDEST_GIT => Ok(found),
        Some(GitVersion { text, .. }) => {
            Err(Fault::fail(format!("git {text} is too old: merges need git {major}.{minor} or newer"), hint))
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

fn version_in(said: &str) -> Option<GitVersion> {
    let text = said.strip_prefix("git version ")?;
    let mut parts = text.split(['.', ' ', '-']);
    let numbers = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    Some(GitVersion { numbers, text: text.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::version_in;

    #[test]
    fn versions_are_read_as_gits_of_all_kinds_say_them() {
        for (said, expected) in [
            ("git version 2.47.3", Some((2, 47))),
            ("git version 2.39.5 (Apple Git-154)", Some((2, 39))),
            ("git version 2.50.0.rc1", Some((2, 50))),
            ("git version 2.45.1.windows.1", Some((2, 45))),
            ("hub version 2.1", None),
            ("", None),
        ] {
            assert_eq!(version_in(said).map(|version| version.numbers), expected, "{said}");
        }
    }
}
