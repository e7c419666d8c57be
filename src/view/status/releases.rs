//! Releases that only some of their systems have.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    engine::version::release::{self, Standing},
    rules::{StageName, SystemName},
};

/// A release that some systems have, and that others ended without.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HalfReleased {
    /// Its name.
    pub release: String,
    /// The stage that it promotes into.
    pub stage: String,
    /// The systems that have it, or are about to.
    pub with: Vec<String>,
    /// Those that have not.
    pub without: Vec<String>,
    /// The commands that finish it.
    pub finish: Vec<String>,
    /// The commands that undo it.
    pub undo: Vec<String>,
}

impl HalfReleased {
    /// What there is to say of a release, seen over its systems; `None` where it is not half-way.
    #[must_use]
    pub fn of(name: &str, stage: &StageName, standings: &BTreeMap<SystemName, Standing>) -> Option<Self> {
        let half = release::half_released(standings)?;
        let undo = half.with.iter().map(|system| format!("tidegate rollback {stage} --system {system}"));
        let finish = half.without.iter().map(|(system, run)| format!("tidegate retry {run} --system {system}"));
        Some(Self {
            release: name.to_owned(),
            stage: stage.to_string(),
            finish: finish.collect(),
            undo: undo.collect(),
            with: half.with.iter().map(ToString::to_string).collect(),
            without: half.without.iter().map(|(system, _)| system.to_string()).collect(),
        })
    }
}
