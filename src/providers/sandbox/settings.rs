//! What a machine's owner chooses about the box.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How commands of repositories and rules are kept from the rest of the machine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sandbox {
    /// What the box is made with.
    pub kind: SandboxKind,
    /// What one command may use.
    pub limits: Limits,
    /// Folders and files that can be read in the box beside the system's: where tools are installed.
    pub tools: Vec<PathBuf>,
    /// Folders and files that are empty in the box, also where a folder can be read that they lie in: Tidegate's own.
    pub hidden: Vec<PathBuf>,
    /// This program, which shuts the box from within by `tidegate boxed`, and can be read there (`tools`). Without it there are
    /// neither Landlock nor a filter of system calls.
    #[serde(default)]
    pub program: Option<PathBuf>,
    /// The cgroup in which each command gets one of its own, which holds its memory; see [`divide`](super::divide).
    #[serde(default)]
    pub cgroups: Option<PathBuf>,
}

impl Sandbox {
    /// No box at all.
    #[must_use]
    pub fn none() -> Self {
        Self { kind: SandboxKind::None, ..Self::default() }
    }

    /// Whether commands run in a box.
    #[must_use]
    pub const fn is_on(&self) -> bool {
        match self.kind {
            SandboxKind::Bubblewrap => true,
            SandboxKind::None => false,
        }
    }
}

/// What commands of repositories and rules run in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SandboxKind {
    /// A sandbox of bubblewrap's (`bwrap`).
    #[default]
    Bubblewrap,
    /// Nothing: they can read and write all that Tidegate can, its database and secrets included.
    None,
}

/// What one command may use. A process that asks for more is refused it; a command that has more is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// The most processes at a time.
    #[schemars(range(min = 1))]
    pub processes: u32,
    /// The most memory of each process, in MiB: its data, not its code and what it only reserves.
    #[schemars(range(min = 1))]
    pub memory_mib: u32,
    /// The most memory of all its processes together, in MiB: also their code, what they have swapped, and files that are memory.
    #[schemars(range(min = 1))]
    pub all_memory_mib: u32,
    /// The most that may lie in its folders, in each of its caches, and in one file, in MiB.
    #[schemars(range(min = 1))]
    pub disk_mib: u32,
    /// The most that a cache may hold when a command begins, in MiB; one that holds more is emptied first.
    #[schemars(range(min = 1))]
    pub cache_mib: u32,
}

impl Default for Limits {
    /// Enough for a large build with many threads, and what a machine of today survives.
    fn default() -> Self {
        Self { processes: 1024, memory_mib: 4096, all_memory_mib: 8192, disk_mib: 10_240, cache_mib: 4096 }
    }
}
