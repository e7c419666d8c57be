//! What programs are told over HTTP besides the documents of the command line: pages of what grows, and what came of a command.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{approvals::QuestionTold, history, versions::PromotionTold};
use crate::{
    engine::{
        CommitId, DeliveryId, Digest, Event, Nudge, Permission, Recorded, Role, Run, RunId, System,
        version::release::Standing,
    },
    rules::{Rules, StageName, StepId, SystemName},
};

/// A part of what grows, in order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Page<T> {
    /// What is on it.
    pub items: Vec<T>,
    /// What the next page is asked for with, as `cursor`; absent on the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// A system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SystemSummary {
    /// Its name.
    pub system: SystemName,
    /// The place of the last event of its log: whatever moves, it does.
    pub seq: u64,
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Me {
    /// The name in which they ask.
    pub name: String,
    /// The groups that they are in.
    pub groups: Vec<String>,
    /// How they signed in: `link` or `token`.
    pub signed_in_by: String,
    /// What the token is for, where they have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// The systems that they may look at.
    pub systems: Vec<SystemName>,
    /// What they may do in each.
    pub permissions: Vec<PermissionsTold>,
}

/// What somebody may do in a system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PermissionsTold {
    /// The system.
    pub system: SystemName,
    /// What they may do in all of it.
    pub everywhere: Vec<Permission>,
    /// Stage → what they may do there.
    pub stages: BTreeMap<StageName, Vec<Permission>>,
}

/// An event of the log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EventTold {
    /// The system.
    pub system: SystemName,
    /// The event in words.
    pub words: String,
    /// The event, as `tidegate history -o json` prints it.
    #[serde(flatten)]
    pub recorded: Recorded<Event>,
}

impl EventTold {
    /// An event, as it is told.
    #[must_use]
    pub fn of(system: &SystemName, recorded: Recorded<Event>) -> Self {
        Self { system: system.clone(), words: history::plain_words(&recorded.event), recorded }
    }
}

/// The rules of a system.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RulesTold {
    /// The system.
    pub system: SystemName,
    /// Those in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_force: Option<RulesInForceTold>,
    /// Those that were refused since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<RulesRefusedTold>,
}

/// Rules in force.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RulesInForceTold {
    /// Where they were read: a path, in the repository where they are from one.
    pub source: String,
    /// Of the file's text.
    pub digest: Digest,
    /// The commit that brought them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<CommitId>,
    /// Since when they are in force: milliseconds since 1970, UTC.
    pub since_ms: i64,
    /// What they say.
    pub rules: Rules,
}

/// Rules that were refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RulesRefusedTold {
    /// Where they were read.
    pub source: String,
    /// The mistakes, as a person sees them.
    pub mistakes: String,
    /// When they were refused: milliseconds since 1970, UTC.
    pub at_ms: i64,
}

impl RulesTold {
    /// The rules of a state.
    #[must_use]
    pub fn of(system: &SystemName, state: &System) -> Self {
        let in_force = state.rules.as_ref().map(|rules| RulesInForceTold {
            source: rules.source.clone(),
            digest: rules.digest.clone(),
            commit: rules.origin.as_ref().map(|origin| origin.commit.clone()),
            since_ms: rules.since_ms,
            rules: Rules::clone(&rules.rules),
        });
        let refused = state.refused_rules.as_ref().map(|refused| RulesRefusedTold {
            source: refused.source.clone(),
            mistakes: refused.mistakes.clone(),
            at_ms: refused.at_ms,
        });
        Self { system: system.clone(), in_force, refused }
    }
}

/// What a step printed, as far as its length goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LogTold {
    /// The step.
    pub step: StepId,
    /// How long its log is, in bytes.
    pub bytes: u64,
}

/// The logs of a run's steps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LogsTold {
    /// Whether the run has ended, so that nothing more is printed.
    pub ended: bool,
    /// The steps that printed something, in the order in which they began.
    pub steps: Vec<LogTold>,
}

/// What came of a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Done {
    /// The system.
    pub system: SystemName,
    /// The command's place in the log.
    pub seq: u64,
    /// The newest run there was after it.
    pub newest_run: Option<RunId>,
}

/// That there may be news of something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NudgeAsked {
    /// What there may be news of.
    pub what: Nudge,
    /// What names this nudge: said again, it does nothing.
    pub delivery: DeliveryId,
}

/// What came of a nudge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Nudged {
    /// What names it.
    pub delivery: DeliveryId,
    /// Its place in the log by system; `null` where it was taken in before.
    pub systems: BTreeMap<SystemName, Option<u64>>,
}

/// A release of several systems.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReleaseAsked {
    /// Its name.
    pub release: String,
    /// The systems.
    #[schemars(length(min = 1))]
    pub systems: BTreeSet<SystemName>,
    /// The stage they are taken from.
    pub from: StageName,
    /// The stage they are merged into.
    pub to: StageName,
}

/// That a release is on its way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReleaseBegun {
    /// Its name.
    pub release: String,
    /// Its systems.
    pub systems: BTreeSet<SystemName>,
}

/// How far a release is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReleaseTold {
    /// Its name.
    pub release: String,
    /// The stage that is promoted into.
    pub to: StageName,
    /// How far each system is, of those that may be looked at.
    pub systems: BTreeMap<SystemName, Standing>,
}

/// A page of runs.
pub type RunsPage = Page<Run>;
/// A page of promotions.
pub type PromotionsPage = Page<PromotionTold>;
/// A page of open questions.
pub type QuestionsPage = Page<QuestionTold>;
/// A page of events.
pub type EventsPage = Page<EventTold>;
