//! What is known of a repository: the heads of its branches, and what pins were last set from.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::engine::{
    content::{CommitSet, StepPlace},
    event::Unread,
    ids::{CommitId, RunId},
    origin::Origin,
    shared::Shared,
};
use crate::rules::StageName;

/// What is known of a repository.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Watched {
    /// The stages that a watch has looked at, with a branch or without: the first sight of a stage starts nothing.
    pub seen: BTreeSet<StageName>,
    /// What each stage's branch was at when it was first seen. Not left out when it is empty: a snapshot of before these
    /// were kept cannot be read, and the log, which has them, is read instead.
    pub first: BTreeMap<StageName, FirstSeen>,
    /// The head of each stage's branch that exists.
    pub heads: BTreeMap<StageName, Shared<Head>>,
    /// The last head of each stage's branch that was deleted: made again, it is compared with that.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub gone: BTreeMap<StageName, CommitId>,
    /// The branches whose head cannot be read: what was known of them before stays.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub unread: BTreeMap<StageName, Unread>,
    /// Why it cannot be reached, and since when.
    pub unreachable: Option<Unreachable>,
    /// The place in the log of the event that asked for its pending watch: of a head that is newer, it knows nothing.
    pub asked: u64,
    /// That there may be news since its pending watch was asked for: another look follows at once.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub nudged: bool,
    /// Its tags, where rules ask for them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<Box<Tags>>,
    /// What succeeded outside with a commit that no look has shown as a head yet, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ahead: Vec<WorkflowEnd>,
}

/// What is known of the tags of a repository.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Tags {
    /// The patterns by which they were looked at: a tag that only others match is not new because of that.
    pub patterns: BTreeSet<String>,
    /// Each tag with the commits that it named, newest last: what it named before is no news, for an answer may be late.
    pub known: BTreeMap<String, Vec<CommitId>>,
    /// The tags whose commit some stages have to come to yet, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub awaited: Vec<AwaitedTag>,
    /// Why they cannot be taken in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// A tag whose commit is not in all stages yet in which it starts rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AwaitedTag {
    /// The tag.
    pub tag: String,
    /// The commit that it names.
    pub commit: CommitId,
    /// The stages.
    pub stages: BTreeSet<StageName>,
}

/// Something outside that succeeded with a commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkflowEnd {
    /// What its source calls it.
    pub workflow: String,
    /// The stage whose branch it worked on.
    pub stage: StageName,
    /// The commit.
    pub commit: CommitId,
}

/// The first commit that a branch was seen at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FirstSeen {
    /// The commit.
    pub commit: CommitId,
    /// When it was seen, as a place in the log.
    pub order: u64,
}

/// Why a repository cannot be reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unreachable {
    /// What was tried and what came back.
    pub error: String,
    /// Since when: milliseconds since 1970, UTC.
    pub since_ms: i64,
}

/// The commit at a (repository, stage).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Head {
    /// The commit.
    pub commit: CommitId,
    /// When it became the head, as a place in the log.
    pub order: u64,
    /// When that was: milliseconds since 1970, UTC.
    pub since_ms: i64,
    /// Who wrote it.
    pub author: String,
    /// The first line of its message.
    pub subject: String,
    /// The commits of all repositories that led to it, its own among them.
    pub set: CommitSet,
    /// The run that made it, if one did.
    pub by: Option<RunId>,
    /// That the branch was force-pushed to it.
    pub forced: bool,
    /// What is pinned in it, and what that was made from.
    #[serde(default, skip_serializing_if = "Shared::is_default")]
    pub origin: Shared<Origin>,
}

/// What a pin was last set from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pin {
    /// The step that set it.
    pub by: StepPlace,
    /// The commit whose artifact it names.
    pub source: CommitId,
    /// When that commit became the head, as a place in the log.
    pub order: u64,
    /// The number of the run.
    pub run_number: u64,
}
