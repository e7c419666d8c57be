//! Origins: what is pinned in a head, and the heads for which each pinned artifact is the right one.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use smol_str::SmolStr;

use super::{
    content::PinsSeen,
    ids::{CommitId, PinnerId},
    shared::Shared,
};
use crate::rules::{RepositoryName, RuleName, StageName};

/// What a head, or the commit of a run, says of its pins and of the rules that it is for.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Origin {
    /// Per commit step that pins into the repository: what is pinned there.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub pinned: BTreeMap<PinnerId, Shared<Pins>>,
    /// Per rule that pushes to the repository start: the last of them that its `paths` let through.
    #[serde(default, skip_serializing_if = "Shared::is_default")]
    pub wanted: Shared<BTreeMap<RuleName, Wanted>>,
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
    #[serde(default, skip_serializing_if = "Shared::is_default")]
    pub wanted: Shared<BTreeMap<RuleName, Wanted>>,
}

/// Per repository further up, every head for which an artifact is the right one. A repository that is absent is unknown.
pub type Provenance = BTreeMap<RepositoryName, Points>;

/// Heads of one repository, by stage and age. What is made of the same heads shares them.
pub type Points = Shared<Vec<Arc<Point>>>;

/// What is known of one value of a commit step's pins.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Record {
    /// The file and the values.
    #[serde(flatten)]
    pub pins: Shared<Pins>,
    /// What it was made from; empty where somebody chose it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub of: Provenance,
    /// The names of the artifacts that it is of, and of those that they are made of.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub artifacts: BTreeSet<SmolStr>,
    /// When it was last written or chosen, as a place in the log.
    pub order: u64,
}

/// What is pinned, of what was seen.
pub(super) fn pinned(seen: &[PinsSeen]) -> BTreeMap<PinnerId, Shared<Pins>> {
    let pins = |PinsSeen { pinner, file, values, .. }: &PinsSeen| {
        (pinner.clone(), Pins { file: file.clone(), values: values.clone() }.into())
    };
    seen.iter().map(pins).collect()
}

/// What is known of pins, per repository.
pub(super) type Records = BTreeMap<RepositoryName, Vec<Shared<Record>>>;

/// Reads what is known of pins. Heads that are equal become one in memory, as they were when they were written.
pub(super) fn read_records<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Records, D::Error> {
    let mut records = Records::deserialize(deserializer)?;
    let mut known: BTreeMap<(CommitId, StageName, u64), Arc<Point>> = BTreeMap::new();
    let lists = records.values_mut().flatten().flat_map(|record| record.of.values_mut());
    for point in lists.flat_map(|points| points.iter_mut()) {
        let key = (point.commit.clone(), point.stage.clone(), point.order);
        let same = known.entry(key).or_insert_with(|| point.clone());
        if *same == *point {
            point.clone_from(same);
        }
    }
    Ok(records)
}
