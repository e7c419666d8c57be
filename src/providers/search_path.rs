//! Where programs are looked for: our own search path, which commands get as theirs.

use std::path::{Path, PathBuf};

/// The search path when we have none ourselves.
const DEFAULT: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Our search path.
pub(crate) fn search_path() -> String {
    std::env::var("PATH").ok().filter(|path| !path.is_empty()).unwrap_or_else(|| DEFAULT.to_owned())
}

/// The folders of our search path.
pub(crate) fn folders() -> Vec<PathBuf> {
    std::env::split_paths(&search_path()).filter(|folder| folder.is_absolute()).collect()
}

/// Whether there is a program of this name: on the search path, or, where the name has a slash, perhaps in the folder
/// that it runs in, which is not looked at.
pub(crate) fn has(program: &str) -> bool {
    program.contains('/') || folders().iter().any(|folder| is_file(&folder.join(program)))
}

fn is_file(path: &Path) -> bool {
    path.metadata().is_ok_and(|found| found.is_file())
}
