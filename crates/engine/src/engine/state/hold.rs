//! What people hold: the pause, and freezes with the runs that may pass them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::engine::ids::RunId;
use crate::rules::StageName;

/// A pause: nothing new starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// Who asked for it.
    pub by: String,
    /// Why.
    pub reason: String,
    /// Since when: milliseconds since 1970, UTC.
    pub since_ms: i64,
}

/// A freeze: nothing moves in a stage, or in any, until its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Freeze {
    /// The stage; all of them when it is none.
    pub stage: Option<StageName>,
    /// Who asked for it.
    pub by: String,
    /// Why.
    pub reason: String,
    /// Since when: milliseconds since 1970, UTC.
    pub since_ms: i64,
    /// When it ends by itself: milliseconds since 1970, UTC.
    pub until_ms: i64,
    /// The runs that may pass it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub overrides: BTreeMap<RunId, Override>,
}

/// That a run may pass a freeze.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Override {
    /// Who says so.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When: milliseconds since 1970, UTC.
    pub at_ms: i64,
}

impl Freeze {
    /// Whether it is of a stage.
    #[must_use]
    pub fn is_of(&self, stage: &StageName) -> bool {
        self.stage.as_ref().is_none_or(|of| of == stage)
    }
}
