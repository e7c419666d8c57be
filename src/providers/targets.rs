//! What a kind of target means here: how one is looked at. Each outside system has its own folder, and maps its terms once.

use std::path::PathBuf;

use async_trait::async_trait;
use serde_json::{Map, Value};

use crate::providers::Fault;

/// A target at its stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetPlace {
    /// The system.
    pub system: String,
    /// The target.
    pub target: String,
    /// The stage.
    pub stage: String,
}

/// How a target stands outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stands {
    /// It is not there.
    Absent,
    /// It is there, and nothing moves.
    Stable,
    /// Something is done to it: what, and by whom where that can be told.
    Moving(String, Option<String>),
    /// What was done to it is being taken back.
    Undoing(String),
    /// Nothing can be done to it before somebody takes the way out: why, and which.
    Stuck(String, String),
}

/// A target as it was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sight {
    /// How it stands.
    pub stands: Stands,
    /// What is there, by names that people read; only what does not change by itself.
    pub saw: Map<String, Value>,
}

/// One kind of target on one outside system.
#[async_trait]
pub trait Targets: Send + Sync {
    /// Looks at a target, within some seconds. `ours` are keys of acts of its own run, which are nobody else's doing.
    async fn look(&self, place: &TargetPlace, ours: &[String]) -> Result<Sight, Fault>;
}

impl TargetPlace {
    /// The folder of this target below that of all of its kind.
    pub(crate) fn folder(&self, of_all: &std::path::Path) -> PathBuf {
        of_all.join(&self.system).join(format!("{}@{}", self.target, self.stage))
    }
}

impl Sight {
    /// It stands so, and nothing more is to be seen.
    #[must_use]
    pub fn of(stands: Stands) -> Self {
        Self { stands, saw: Map::new() }
    }
}
