//! What things are made of, as commits, steps and people name it: sets of commits, pins, artifacts, and what came from what.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use smol_str::SmolStr;

use super::{
    ids::{CommitId, PinnerId, RunId},
    shared::Shared,
};
use crate::rules::{RepositoryName, StepId, printable_line};

/// How long the name of a file and where it is may be, in bytes.
const LONGEST_NAME: usize = 4_096;

/// The repositories of a set with the commit of each: a combination.
pub type CommitSet = Shared<BTreeMap<RepositoryName, CommitId>>;

/// The pins of one of our commit steps, as they are in a head.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PinsSeen {
    /// The step.
    pub pinner: PinnerId,
    /// The file.
    pub file: String,
    /// Pointer → value; null where there is none.
    pub values: BTreeMap<String, Value>,
    /// Of which commits the artifact is, as the commit of ours says that wrote these values; empty where none did, and where
    /// the values are those of the head known before.
    #[serde(default, skip_serializing_if = "Shared::is_default")]
    pub of: CommitSet,
}

/// What somebody built elsewhere and brought.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Bundle {
    /// What its file was called.
    pub name: String,
    /// Where it is.
    pub uri: String,
    /// The SHA-256 of its bytes, in lower-case hex.
    pub sha256: String,
    /// How many bytes it has.
    pub bytes: u64,
}

impl Bundle {
    /// Whether it can be shown as it is, has a digest, and lies where files with that digest do: whoever asks over HTTP could name
    /// what is another system's.
    pub(super) fn is_sound(&self) -> bool {
        let shows = |text: &str| !text.is_empty() && text.len() <= LONGEST_NAME && printable_line(text) == text;
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        let is_digest = self.sha256.len() == 64 && self.sha256.bytes().all(is_digit);
        let lies_there = self
            .uri
            .rsplit_once(&format!("/bundles/{}/", self.sha256))
            .is_some_and(|(_, name)| !name.contains('/') && !self.uri.split(['/', '\\']).any(|part| part == ".."));
        shows(&self.name) && shows(&self.uri) && is_digest && lies_there
    }
}

/// Something that a step made, named by its content.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Artifact {
    /// What it is: `tarball`, `image`, `ami`, `commit`, `template`, `report`, `deployment`; `bundle`
    /// where somebody brought it.
    pub kind: SmolStr,
    /// Its name: a digest, a commit, an AMI id; for a commit, `repository@commit`.
    pub name: SmolStr,
    /// Where it is, when it is a file or an object.
    #[serde(default, skip_serializing_if = "SmolStr::is_empty")]
    pub uri: SmolStr,
}

/// A step of a run, as messages name it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct StepPlace {
    /// The run.
    pub run: RunId,
    /// The step.
    pub step: StepId,
}

/// One step of provenance: `to` was made from `from`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Link {
    /// What it was made from.
    pub from: Artifact,
    /// What was made.
    pub to: Artifact,
    /// By which step.
    pub by: StepPlace,
    /// When: milliseconds since 1970, UTC.
    pub at_ms: i64,
}
