//! Who wrote a change, as git answered, and how far git has been asked.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ids::{CommitId, EffectId};
use crate::rules::{KnownBy, RepositoryName};

/// What a change is compared with: per repository the commits whose content is not new.
pub type Base = BTreeMap<RepositoryName, Vec<CommitId>>;

/// Who wrote something.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Written {
    /// Those who are known, as in `Ada <ada@example.com>`.
    pub authors: BTreeSet<String>,
    /// Why there may be others, whom nobody can tell; nothing when these are all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unknown: Vec<String>,
    /// Who signed what; nothing where the names alone count.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signatures: Vec<Signatures>,
}

/// The commits that one key has signed, or that nobody has whose key is listed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Signatures {
    /// The key's fingerprint; nothing where none that is listed has signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Whether the rules take no commit at its word (`identity: signature`).
    pub demanded: bool,
    /// Whom these commits name.
    pub names: BTreeSet<String>,
    /// One of them, as in `commit 1234567 of software has no signature`.
    pub example: String,
}

/// What came of one try to ask git.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum Attribution {
    /// This is who wrote it.
    Told(Written),
    /// Git could not say; it is asked again.
    Retry {
        /// What was tried and what came back.
        error: String,
        /// How long the outside asked us to wait, in milliseconds.
        after_ms: Option<i64>,
    },
}

/// What is known of who wrote what a question is about.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Authorship {
    /// What it is compared with.
    pub base: Base,
    /// By what it is to be known who wrote it, as the rules say.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub identity: BTreeMap<RepositoryName, KnownBy>,
    /// The effect that asks git, until it is answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effect: Option<EffectId>,
    /// How often git could not say.
    #[serde(default)]
    pub tries: u32,
    /// Why git could not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub written: Option<Written>,
    /// Whether people were told that they are asked.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub told: bool,
}
