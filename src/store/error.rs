//! What can go wrong with the store, told to a person: what was tried, what came back, what to do.

use crate::rules::SystemName;

/// Why the store did not do what was asked of it. Nothing of what was asked has happened, but for
/// [`StoreError::Failed`] at the very end of a write, where it is doubtful: read again before acting on it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Somebody else appended first (compare-and-swap): read what they wrote, decide again.
    #[error("{system}: event {offered} was offered, but the log is at event {last} already")]
    Conflict {
        /// The system.
        system: SystemName,
        /// The place that the event was offered for.
        offered: u64,
        /// The place of the last event in the log.
        last: u64,
    },
    /// Another process holds the database for longer than the bounded wait.
    #[error(
        "{place} is locked by another process (waited {waited_ms} ms); try again, or find who holds it with `fuser {place}`"
    )]
    Locked {
        /// The database.
        place: String,
        /// How long the store waited, in milliseconds.
        waited_ms: u64,
    },
    /// There is no room for more. Nothing was written; the same can be asked again when there is.
    #[error("no room to write to {place}: {error}; free space on its disk, and it goes on by itself")]
    Full {
        /// The database.
        place: String,
        /// What came back.
        error: String,
    },
    /// The database's bytes are not what they should be.
    #[error(
        "{place} is damaged: {error}; stop everything that uses it, keep a copy, and restore the last backup \
         (or try `sqlite3 {place} .recover`)"
    )]
    Corrupt {
        /// The database.
        place: String,
        /// What came back.
        error: String,
    },
    /// A newer Tidegate has used the database.
    #[error(
        "{place} has schema version {found}, and this tidegate knows only up to {known}; \
         run the newer tidegate that has used it, or restore a backup from before"
    )]
    Newer {
        /// The database.
        place: String,
        /// Its schema version.
        found: i64,
        /// The newest schema version that this program knows.
        known: i64,
    },
    /// The database was last used by an older Tidegate, and is only to be read.
    #[error("{place} has schema version {found}, and {needed} is needed: `tidegate serve` brings it there")]
    Older {
        /// The database.
        place: String,
        /// Its schema version.
        found: i64,
        /// The schema version that this program reads.
        needed: i64,
    },
    /// The database is of a Tidegate from before the first release, whose log cannot be read any more.
    #[error(
        "{place} has schema version {found}, from before the first release, and {needed} is needed; \
         move the file away and start `tidegate serve` anew, or run the tidegate that has used it"
    )]
    TooOld {
        /// The database.
        place: String,
        /// Its schema version.
        found: i64,
        /// The schema version that this program reads.
        needed: i64,
    },
    /// There is something else where the database should be.
    #[error("{place} is not a Tidegate database: {error}; name another file in `tidegate.toml`, or move this one away")]
    Foreign {
        /// What was opened.
        place: String,
        /// What it looks like.
        error: String,
    },
    /// An event is in the log that this program cannot read or take in.
    #[error(
        "{system}: event {seq} of the log cannot be taken in: {error}; use tidegate {engine}, which wrote it, or a newer \
         one, or restore the last backup if the log was changed"
    )]
    Unreadable {
        /// The system.
        system: SystemName,
        /// The event's place.
        seq: u64,
        /// The version of the engine that decided it.
        engine: String,
        /// What is wrong with it.
        error: String,
    },
    /// Anything else.
    #[error("could not {doing} in {place}: {error}")]
    Failed {
        /// The database.
        place: String,
        /// What was tried.
        doing: String,
        /// What came back.
        error: String,
    },
}

impl StoreError {
    /// Whether there was no room to write.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        matches!(self, Self::Full { .. })
    }

    /// Whether the same may succeed later without anybody changing the request.
    #[must_use]
    pub const fn is_passing(&self) -> bool {
        match self {
            Self::Conflict { .. } | Self::Locked { .. } | Self::Full { .. } | Self::Failed { .. } => true,
            Self::Corrupt { .. }
            | Self::Newer { .. }
            | Self::Older { .. }
            | Self::TooOld { .. }
            | Self::Foreign { .. }
            | Self::Unreadable { .. } => false,
        }
    }
}
