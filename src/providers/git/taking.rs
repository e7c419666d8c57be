//! How what a tree says but does not hold is taken: Git LFS pointers stand for files, submodules for commits of other
//! repositories.

/// How both are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taking {
    /// Git LFS pointers.
    pub lfs: Lfs,
    /// Submodules.
    pub submodules: Submodules,
}

/// What becomes of Git LFS pointers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lfs {
    /// The files that they stand for take their place.
    Fetch,
    /// They stay.
    Pointers,
    /// They are an error that names them.
    Refuse,
}

/// What becomes of submodules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Submodules {
    /// The trees of their commits take their place.
    Fetch,
    /// They are empty folders.
    Leave,
    /// They are an error that names them.
    Refuse,
}

impl Taking {
    /// As a plain `git clone` gives them, without `git-lfs` and `--recurse-submodules`.
    pub const PLAIN: Self = Self { lfs: Lfs::Pointers, submodules: Submodules::Leave };
    /// Neither is taken.
    pub const REFUSED: Self = Self { lfs: Lfs::Refuse, submodules: Submodules::Refuse };

    /// What is in the name of everything that is made so: other takings give other bytes.
    pub(super) fn name(self) -> &'static str {
        match (self.lfs, self.submodules) {
            (Lfs::Fetch, Submodules::Fetch) => "lfs=fetch submodules=fetch",
            (Lfs::Fetch, Submodules::Leave) => "lfs=fetch submodules=leave",
            (Lfs::Fetch, Submodules::Refuse) => "lfs=fetch submodules=refuse",
            (Lfs::Pointers, Submodules::Fetch) => "lfs=pointers submodules=fetch",
            (Lfs::Pointers, Submodules::Leave) => "lfs=pointers submodules=leave",
            (Lfs::Pointers, Submodules::Refuse) => "lfs=pointers submodules=refuse",
            (Lfs::Refuse, Submodules::Fetch) => "lfs=refuse submodules=fetch",
            (Lfs::Refuse, Submodules::Leave) => "lfs=refuse submodules=leave",
            (Lfs::Refuse, Submodules::Refuse) => "lfs=refuse submodules=refuse",
        }
    }
}
