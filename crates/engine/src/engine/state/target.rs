//! Targets: who holds one, who waits for it, and what is deployed there.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::engine::{
    content::{Artifact, CommitSet},
    ids::{Digest, RunId},
    shared::Shared,
    target::{Difference, Seen},
};
use crate::rules::{QueuePolicy, RuleQueue, TargetKind, TargetLife};

/// What is deployed to, or the lane of a rule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TargetState {
    /// Where it is in its life.
    pub life: TargetLife,
    /// What becomes of a run that finds it held.
    pub policy: Policy,
    /// The number of the run that holds it.
    pub holder: Option<u64>,
    /// The numbers of the runs that wait for it, first first.
    pub queue: VecDeque<u64>,
    /// What was last deployed to it.
    pub deployed: Option<Deployed>,
    /// Why it is broken.
    pub broken: Option<String>,
    /// What was last verified on it.
    #[serde(default, skip_serializing_if = "Shared::is_default")]
    pub verified: CommitSet,
    /// How it stands outside; nothing of a lane, which stands nowhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outside: Option<Box<Outside>>,
}

/// What is known of a target as it stands outside.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Outside {
    /// What kind it is.
    #[serde(default)]
    pub kind: TargetKind,
    /// The last look at it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<Seen>,
    /// Why it could not be looked at when that was last tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unseen: Option<String>,
    /// What was there when the last run left it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left: Option<Map<String, Value>>,
    /// What another hand changed since.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub drift: Vec<Difference>,
}

/// What becomes of a run that finds a target or lane held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Policy {
    /// It waits, and takes the place of older ones that wait.
    Supersede,
    /// It waits in order.
    Fifo,
    /// It is refused.
    Reject,
    /// It does not wait: the lane is wide.
    Parallel,
}

impl From<QueuePolicy> for Policy {
    fn from(policy: QueuePolicy) -> Self {
        match policy {
            QueuePolicy::Supersede => Self::Supersede,
            QueuePolicy::Fifo => Self::Fifo,
            QueuePolicy::Reject => Self::Reject,
        }
    }
}

impl From<RuleQueue> for Policy {
    fn from(queue: RuleQueue) -> Self {
        match queue {
            RuleQueue::Supersede => Self::Supersede,
            RuleQueue::Fifo => Self::Fifo,
            RuleQueue::Parallel => Self::Parallel,
        }
    }
}

/// What was deployed to a target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Deployed {
    /// By which run.
    pub run: RunId,
    /// The commits that led to it.
    pub set: CommitSet,
    /// The digest of what was approved, where somebody was asked.
    pub approved: Option<Digest>,
    /// What it is made of.
    pub artifacts: Vec<Artifact>,
    /// Where it answers.
    pub address: Option<String>,
    /// What it is made of, to be compared with what comes next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<DeployedContent>,
    /// When: milliseconds since 1970, UTC.
    pub at_ms: i64,
    /// The stage's own commits from which it was made there, that no stage before had verified.
    #[serde(default, skip_serializing_if = "Shared::is_default")]
    pub made_here: CommitSet,
}

/// What a deployment is made of, as far as the engine can compare it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeployedContent {
    /// The template's digest.
    pub template: String,
    /// Its parameters.
    pub parameters: BTreeMap<String, String>,
}
