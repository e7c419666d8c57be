//! Origins: what is pinned in a head, and the heads for which each pinned artifact is the right one.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::ids::{CommitId, PinnerId};
use crate::rules::{RepositoryName, RuleName, StageName};

/// What a head, or the commit of a run, says of its pins and of the rules that it is for.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Origin {
    /// Per commit step that pins into the repository: what is pinned there.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub pinned: BTreeMap<PinnerId, Pins>,
    /// Per rule that pushes to the repository start: the last of them that its `paths` let through.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub wanted: BTreeMap<RuleName, Wanted>,
}

impl Origin {
    /// Whether nothing is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pinned.is_empty() && self.wanted.is_empty()
    }

    pub(super) fn wanted_order(&self, rule: &RuleName) -> u64 {
        self.wanted.get(rule).map_or(0, |wanted| wanted.order)
    }
}

/// What is pinned at the place of one commit step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Pins {
    /// The file.
    pub file: String,
    /// Pointer → value; null where there is none.
    pub values: BTreeMap<String, Value>,
}

/// A push that a rule's `paths` let through: until the next one, the rule makes the same of every head.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Wanted {
    /// The head that it made.
    pub commit: CommitId,
    /// When it became the head, as a place in the log.
    pub order: u64,
}

/// A head that there was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Point {
    /// The commit.
    pub commit: CommitId,
    /// The stage.
    pub stage: StageName,
    /// When it became the head, as a place in the log; 0 where that is not known.
    pub order: u64,
    /// Per rule that pushes to its repository start, the last push up to it that the rule's `paths` let through.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub wanted: BTreeMap<RuleName, Wanted>,
}

/// Per repository further up, every head for which an artifact is the right one. A repository that is absent is unknown.
pub type Provenance = BTreeMap<RepositoryName, Vec<Arc<Point>>>;

/// What is known of one value of a commit step's pins.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Record {
    /// The file and the values.
    #[serde(flatten)]
    pub pins: Pins,
    /// What it was made from; empty where somebody chose it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub of: Provenance,
    /// The names of the artifacts that it is of, and of those that they are made of.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub artifacts: BTreeSet<String>,
    /// When it was last written or chosen, as a place in the log.
    pub order: u64,
}
