//! What a look finds of the tags that start rules.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::engine::{content::PinsSeen, ids::CommitId};
use crate::rules::StageName;

/// What is new of a repository's tags.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TagsSeen {
    /// The patterns by which it was looked for them; empty for all tags.
    pub patterns: BTreeSet<String>,
    /// The tags that are new, or name another commit than ever before.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub new: BTreeMap<String, CommitId>,
    /// Of those and the ones that were waited for: the stages whose branch has the commit now.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub within: Vec<TagIn>,
    /// Why the tags cannot be taken in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// A tag whose commit a stage's branch has.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TagIn {
    /// The tag.
    pub tag: String,
    /// The stage.
    pub stage: StageName,
    /// The commit that it names.
    pub commit: CommitId,
    /// Who wrote that, as in `Ada <ada@example.com>`.
    pub author: String,
    /// The first line of its message.
    pub subject: String,
    /// What is pinned there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pins: Vec<PinsSeen>,
}
