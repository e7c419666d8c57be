//! What is told of the versions of a system's stages, and of the promotions between them.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::words;
use crate::{
    engine::{
        CommitSet, Hotfix, Run, RunId, RunState, Shared, Subject, System,
        explain::{self, Waiting},
        version,
    },
    rules::{Rules, StageName, SystemName},
};

/// The versions of a stage that are remembered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VersionsOfStage {
    /// The system.
    pub system: SystemName,
    /// The stage.
    pub stage: StageName,
    /// The version that its repositories are at, where it was verified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub here: Option<RunId>,
    /// The version that a rollback goes to unless another is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<RunId>,
    /// The versions, the newest first.
    pub versions: Vec<VersionTold>,
}

/// What was verified together in a stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VersionTold {
    /// The run that verified it, which is its name.
    pub version: RunId,
    /// When: milliseconds since 1970, UTC.
    pub at_ms: i64,
    /// The commit of every repository.
    pub set: CommitSet,
    /// Who wrote the changes in it.
    pub authors: BTreeSet<String>,
    /// The names of the artifacts that are pinned in it.
    pub artifacts: BTreeSet<String>,
    /// The stage's own commits from which it was made there, that no stage before had verified.
    #[serde(default, skip_serializing_if = "Shared::is_default")]
    pub made_here: CommitSet,
    /// That it is of a hotfix.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hotfix: Option<Hotfix>,
    /// The promotion that had last come into the stage then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promoted_by: Option<RunId>,
    /// Why it never moves again, where it is vetoed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vetoed: Option<String>,
}

/// A promotion.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PromotionTold {
    /// The system.
    pub system: SystemName,
    /// Its run.
    pub run: RunId,
    /// The stage that is promoted from.
    pub from: StageName,
    /// The stage that is promoted into.
    pub to: StageName,
    /// How far it is.
    pub state: RunState,
    /// Why there is the run.
    pub cause: String,
    /// The commit of every repository in it.
    pub set: CommitSet,
    /// The release that it is a part of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
    /// What it waits for, where it goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting: Option<Waiting>,
    /// Why it ended as it did, where that needs saying.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When it was made: milliseconds since 1970, UTC.
    pub created_ms: i64,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_ms: Option<i64>,
}

impl VersionsOfStage {
    /// The versions of every stage, in promotion order.
    #[must_use]
    pub fn all(system: &SystemName, state: &System) -> Vec<Self> {
        let rules = state.rules().map(|rules| Rules::clone(rules));
        let stages = rules.iter().flat_map(|rules| rules.stages.keys());
        stages.map(|stage| Self::of(system, state, stage)).collect()
    }

    fn of(system: &SystemName, state: &System, stage: &StageName) -> Self {
        let name = |version: &version::Version| version.verified.run.clone();
        let versions = state.versions_of(stage).iter().rev().map(|version| VersionTold::of(state, version));
        Self {
            system: system.clone(),
            stage: stage.clone(),
            here: state.version_here(stage).map(name),
            before: state.version_before(stage).map(name),
            versions: versions.collect(),
        }
    }
}

impl VersionTold {
    fn of(state: &System, version: &version::Version) -> Self {
        let verified = &version.verified;
        Self {
            version: verified.run.clone(),
            at_ms: verified.at_ms,
            set: verified.set.clone(),
            authors: BTreeSet::clone(&verified.authors),
            artifacts: verified.artifacts.iter().map(ToString::to_string).collect(),
            made_here: verified.made_here.clone(),
            hotfix: verified.hotfix.clone(),
            promoted_by: version.promoted.as_ref().map(|promoted| promoted.run.clone()),
            vetoed: state.vetoed_set(&verified.set),
        }
    }
}

impl PromotionTold {
    /// A promotion, by its run; nothing of a run that is none.
    #[must_use]
    pub fn of(system: &SystemName, state: &System, run: &Run) -> Option<Self> {
        let Subject::Promotion { from } = &run.subject else { return None };
        Some(Self {
            system: system.clone(),
            run: run.id.clone(),
            from: from.clone(),
            to: run.stage.clone(),
            state: run.state,
            cause: words::cause(&run.cause, &run.subject),
            set: run.set.clone(),
            release: run.release().map(|release| release.name.clone()),
            waiting: state.run(&run.id).and_then(|run| explain::run(state, run)),
            reason: run.reason.clone(),
            created_ms: run.created_ms,
            ended_ms: run.ended_ms,
        })
    }
}
