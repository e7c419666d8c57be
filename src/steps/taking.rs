//! How steps take what a tree says but does not hold, as their rule says.

use crate::{
    providers::git,
    rules::{Lfs, Submodules},
};

/// How many paths are shown.
const MOST_SHOWN: usize = 5;

/// The rule's words, for git.
pub(super) fn taking(lfs: Lfs, submodules: Submodules) -> git::Taking {
    git::Taking {
        lfs: match lfs {
            Lfs::Fetch => git::Lfs::Fetch,
            Lfs::Pointers => git::Lfs::Pointers,
            Lfs::Refuse => git::Lfs::Refuse,
        },
        submodules: match submodules {
            Submodules::Fetch => git::Submodules::Fetch,
            Submodules::Leave => git::Submodules::Leave,
            Submodules::Refuse => git::Submodules::Refuse,
        },
    }
}

/// The first of some paths, for a note.
pub(super) fn several(paths: &[String]) -> String {
    let first = paths.get(..MOST_SHOWN).unwrap_or(paths).join(", ");
    if paths.len() > MOST_SHOWN { format!("{first} and {} more", paths.len() - MOST_SHOWN) } else { first }
}
