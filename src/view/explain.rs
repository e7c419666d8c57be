//! Why something is where it is: the conditions of a run, or of a commit on its way to a stage.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    engine::{
        Artifact, CommitId, RunId, RunState,
        explain::{Condition, Journey},
    },
    rules::{StageName, SystemName},
};

/// A run and its conditions, as one document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunExplained {
    /// The system.
    pub system: SystemName,
    /// The run.
    pub run: RunId,
    /// Its stage.
    pub stage: StageName,
    /// How it stands.
    pub state: RunState,
    /// By what it is known who wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known_by: Option<String>,
    /// What has passed, what waits, and what is still to come, in order.
    pub conditions: Vec<Condition>,
}

/// A commit's journey, as one document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct JourneyExplained {
    /// The system.
    pub system: SystemName,
    /// The artifact that was asked about, when it was not the commit itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact: Option<Artifact>,
    /// The commit that was asked about, when it was never a head itself: `commit` is then the first head that contains it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contains: Option<CommitId>,
    /// Where the commit is on its way.
    #[serde(flatten)]
    pub journey: Journey,
}
