//! What is told of an open question: what it shows, who may answer it, and what is missing.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::words;
use crate::{
    engine::{
        CommitSet, Digest, Run, RunId, System,
        explain::{self, Waiting},
        gate::approval::{self, Voice},
    },
    rules::{StageName, StepId, SystemName},
};

/// A question that people are asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct QuestionTold {
    /// The system.
    pub system: SystemName,
    /// The run that asks.
    pub run: RunId,
    /// Its stage.
    pub stage: StageName,
    /// Its step.
    pub step: StepId,
    /// What an approval now would be of.
    pub digest: Digest,
    /// The commit of every repository in it.
    pub set: CommitSet,
    /// Why there is the run.
    pub cause: String,
    /// Who marked it as a hotfix, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hotfix: Option<String>,
    /// What the rules mean that it asks about, line by line.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<String>,
    /// How many different people must approve.
    pub needed: u32,
    /// The people and groups whom it asks; anybody where there are none.
    pub asks: Vec<String>,
    /// The approvals that count.
    pub given: Vec<ApprovalTold>,
    /// The people who may answer it now.
    pub may_answer: Vec<MayAnswer>,
    /// What is missing, since when, until when, and who can end that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting: Option<Waiting>,
    /// Whether git has said yet who wrote it: nobody can answer before that.
    pub authors_known: bool,
    /// Why it takes the permission `override`: not all who wrote it are known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doubts: Option<String>,
    /// By what it is known who wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known_by: Option<String>,
}

/// An approval that counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApprovalTold {
    /// Who gave it.
    pub by: String,
    /// In whose place, where it is not their own voice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_place_of: Option<String>,
    /// When: milliseconds since 1970, UTC.
    pub at_ms: i64,
}

/// A person who may answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MayAnswer {
    /// Their name.
    pub name: String,
    /// In whose place, where it is not their own voice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_place_of: Option<String>,
}

impl QuestionTold {
    /// The open questions of a system, those of the oldest run first.
    #[must_use]
    pub fn all(system: &SystemName, state: &System) -> Vec<Self> {
        state.live_runs().filter_map(|run| Self::of(system, state, run)).collect()
    }

    fn of(system: &SystemName, state: &System, run: &Run) -> Option<Self> {
        let step = run.asking()?;
        let quorum = step.task.quorum(&run.stage)?;
        let given = approval::standing(state, run, step, state.at_ms).map(|answer| ApprovalTold {
            by: answer.by.said(),
            in_place_of: answer.in_place_of.clone(),
            at_ms: answer.at_ms,
        });
        let may_answer = approval::deciders(state, run, step).into_iter().map(|(name, voice)| MayAnswer {
            name,
            in_place_of: match voice {
                Voice::Own => None,
                Voice::InPlaceOf(of) => Some(of),
            },
        });
        Some(Self {
            system: system.clone(),
            run: run.id.clone(),
            stage: run.stage.clone(),
            step: step.id.clone(),
            digest: run.digest(step),
            set: run.set.clone(),
            cause: words::cause(&run.cause, &run.subject),
            hotfix: run.hotfix.as_ref().map(|hotfix| format!("{}: {}", hotfix.by, hotfix.reason)),
            changes: state.offered_by(&run.id).map(|offered| offered.meaning.clone()).unwrap_or_default(),
            needed: quorum.count,
            asks: quorum.from.clone(),
            given: given.collect(),
            may_answer: may_answer.collect(),
            waiting: explain::run(state, run),
            authors_known: step.written().is_some(),
            doubts: approval::doubts(state, run, step),
            known_by: explain::known_by(state, run),
        })
    }
}
