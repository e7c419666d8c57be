//! What forges show of the systems: what each check and deployment should say, and what it says. It follows from the runs; what
//! is kept is what a forge has been told, so that it is told once.

use crate::rules::SystemName;

/// For how long what is shown as it should be is kept: nothing changes any more at a run of so long ago, unless it is what runs.
pub(super) const KEPT_MS: i64 = 60 * 24 * 60 * 60 * 1_000;

/// Which thing it is that a forge shows.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ShownName {
    /// The system that it is of.
    pub system: SystemName,
    /// A check, or a deployment.
    pub kind: ShownKind,
    /// Its key.
    pub key: String,
    /// The repository at the forge.
    pub place: String,
}

/// What forges show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ShownKind {
    /// A check of a commit.
    Check,
    /// A deployment to an environment.
    Deployment,
}

/// Something that a forge shows, or should. Times are in milliseconds since 1970, UTC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// Which.
    pub name: ShownName,
    /// The run that it is of, by its number.
    pub run: u64,
    /// What it should say, as JSON.
    pub wanted: String,
    /// What it says, as JSON; none before it was made.
    pub said: Option<String>,
    /// What the forge calls it; none before it was made.
    pub forge_id: Option<u64>,
    /// Since when it should say so.
    pub since_ms: i64,
    /// When the forge is told next, where it does not say what it should.
    pub due_ms: i64,
    /// How often telling it has failed since it was last told.
    pub failures: u32,
    /// How that failed.
    pub error: Option<String>,
}

/// What becomes of something that a forge shows.
#[derive(Debug, Clone)]
pub enum ShownNote {
    /// It should say something else from now on.
    Wanted {
        /// Which.
        name: ShownName,
        /// The run that it is of, by its number.
        run: u64,
        /// What it should say, as JSON.
        wanted: String,
        /// When.
        at_ms: i64,
    },
    /// It says this now.
    Said {
        /// Which.
        name: ShownName,
        /// What it says, as JSON.
        said: String,
        /// What the forge calls it.
        forge_id: u64,
    },
    /// It could not be told.
    Failed {
        /// Which.
        name: ShownName,
        /// Why.
        error: String,
        /// When it is tried again.
        due_ms: i64,
    },
    /// It will not be told: it is forgotten.
    Dropped {
        /// Which.
        name: ShownName,
    },
}

impl ShownKind {
    /// As it is stored.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Check => "check",
            Self::Deployment => "deployment",
        }
    }

    pub(super) fn of(text: &str) -> Option<Self> {
        [Self::Check, Self::Deployment].into_iter().find(|kind| kind.as_str() == text)
    }
}
