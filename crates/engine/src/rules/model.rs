//! What a rules file may say, as types. The schema in `schemas/` is generated from them; [`super::load`] turns a
//! file into them with positions for every mistake.

use std::collections::{BTreeMap, BTreeSet};

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    actions::{Action, Quorum, yes},
    gates::{Check, Delegate, HotfixLane},
    names::{RepositoryName, RuleName, StageName, StepId, SystemName, TargetName},
    notifications::Notification,
    span::Span,
    spelling::host_of,
    targets::{Operation, TargetKind},
    trigger::Trigger,
};

/// One system's rules: what is watched, what happens on a change, and what moves between stages.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rules {
    /// The version of this format; always 1.
    #[schemars(range(min = 1, max = 1))]
    pub version: u32,
    /// The system's name, unique among the systems that one engine drives.
    pub system: SystemName,
    /// The stages in promotion order.
    pub stages: IndexMap<StageName, Stage>,
    /// The repositories of the system, upstream first.
    pub repositories: IndexMap<RepositoryName, Repository>,
    /// What is deployed to; each exists once per stage.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub targets: BTreeMap<TargetName, Target>,
    /// What happens on a change.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub rules: IndexMap<RuleName, Rule>,
    /// What moves from stage to stage, and when.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub promotions: Vec<Promotion>,
    /// Who is told of what.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notifications: Vec<Notification>,
    /// Days on which windows stay shut, by the name of their calendar: `2026-12-24`, or `12-25` for every year.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub calendars: BTreeMap<String, Vec<String>>,
    /// Who may approve in another's place.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub delegates: Vec<Delegate>,
    /// The lane for what cannot wait; there is none unless it is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hotfix: Option<HotfixLane>,
}

/// A branch and its environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Stage {
    /// What people call the environment, as in "Production".
    pub environment: String,
    /// The branch, when it is not named as the stage is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// What every commit of this stage must satisfy before anything of it is promoted here or deployed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requires: Vec<Requirement>,
}

/// A demand on a file of a repository, such as "Production has at least two availability zones".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Requirement {
    /// The repository whose file is looked at.
    pub repository: RepositoryName,
    /// The file, from the root of the repository; JSON, YAML or TOML.
    pub file: String,
    /// The JSON pointer of the value in it; a list counts by its length, a number by its value.
    pub pointer: String,
    /// The least that the value may be.
    pub at_least: u32,
    /// Why, for the person who is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub because: Option<String>,
}

/// A repository that is watched and, where rules say so, committed to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Repository {
    /// Where it is: `https://…`, `ssh://…`, `git@host:path`, `file:///…` or a path.
    pub url: String,
    /// How often its branches are looked at; 10 s unless said otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub poll: Option<Span>,
    /// The stages on whose branches every new commit must be signed with a key that `signers` in `tidegate.toml` lists.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub require_signatures: Vec<StageName>,
    /// By what it is known who wrote its commits. Without it, the strongest that each commit has: a signature by a key of one of
    /// the people, else the names in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<KnownBy>,
}

/// By what it is known who wrote a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum KnownBy {
    /// Who signed it, beside those that it names; not all are known of what nobody has signed.
    Signature,
    /// Who pushed it, as the forge tells, beside those that it names; not all are known of what the forge does not tell of.
    Forge,
    /// Those that it names, as anybody can write them.
    Names,
}

impl KnownBy {
    /// Whether there is what it takes for the repository at `url`, where these are the hosts of forges.
    ///
    /// # Errors
    /// What is missing, and what to say instead.
    pub fn check(self, url: &str, forges: &BTreeSet<String>) -> Result<(), (&'static str, &'static str)> {
        match self {
            Self::Signature | Self::Names => Ok(()),
            Self::Forge if host_of(url).is_some_and(|host| forges.contains(&host)) => Ok(()),
            Self::Forge => Err((
                "this repository is at no forge that [forges] of tidegate.toml names, and nobody could tell who pushed",
                "say `signature`, or `names`; or leave it out, and each commit counts by the strongest that it has",
            )),
        }
    }
}

/// What is deployed to. One run at a time holds it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// What it is.
    #[serde(default)]
    pub kind: TargetKind,
    /// What becomes of a run that finds the target held.
    #[serde(default)]
    pub queue: QueuePolicy,
    /// What becomes of it when a run fails on it; `break` for a `fifo` queue and `continue` for the others unless it says
    /// otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_failure: Option<OnFailure>,
    /// What becomes of its stage when a `verify` step fails after a `deploy`: `nothing`, or `rollback` to what was last
    /// verified there.
    #[serde(default, skip_serializing_if = "OnVerifyFailure::is_nothing")]
    pub on_verify_failure: OnVerifyFailure,
    /// How often it is looked at while no run holds it; what somebody else changed there is told. Never unless it says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observe: Option<Span>,
    /// Whose question it is whether it may be provisioned, deleted or recovered; nobody's unless it says so.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub approvals: IndexMap<Operation, Quorum>,
    /// The name that it had before: its life, its queue and what is deployed there are carried over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub was: Option<TargetName>,
    /// Whether a run cancels what somebody else does to the target when it takes it, rather than waiting for its end.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cancel_updates: bool,
    /// Of a job: how long one that is cancelled may take to end by itself; 10 s unless it says otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grace: Option<Span>,
}

/// What becomes of a stage when what was deployed there is not verified.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnVerifyFailure {
    /// It stays as it is.
    #[default]
    Nothing,
    /// Its repositories go back to what was last verified there, by ordinary commits: once, never back and forth.
    Rollback,
}

impl OnVerifyFailure {
    /// Whether the stage stays as it is.
    #[must_use]
    pub const fn is_nothing(&self) -> bool {
        matches!(self, Self::Nothing)
    }
}

/// What becomes of a target when a run fails on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    /// It is BROKEN and its queue is kept until an operator unlocks it.
    Break,
    /// It is available for the next run.
    Continue,
}

/// What becomes of a run that finds its target held by another.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum QueuePolicy {
    /// It waits, and replaces every older run of the same rule that waits as well.
    #[default]
    Supersede,
    /// It waits behind those who came before.
    Fifo,
    /// It is refused.
    Reject,
}

/// What happens on a change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// What starts it.
    pub on: Trigger,
    /// The stages it is for; all of them unless it says otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stages: Option<Vec<StageName>>,
    /// The target that its deploying steps hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<TargetName>,
    /// For a rule without a target: `supersede` (the default) runs one at a time and keeps only the newest that waits,
    /// `fifo` runs one at a time in order, `parallel` runs all at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<RuleQueue>,
    /// The steps, in order; `needs` makes a graph of them.
    pub steps: Vec<Step>,
}

/// How runs of a rule without a target follow one another.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RuleQueue {
    /// One at a time; of those that wait, only the newest is kept.
    #[default]
    Supersede,
    /// One at a time, in order.
    Fifo,
    /// All at once; a pin still never goes back to an older commit.
    Parallel,
}

/// One action of a rule, with its key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Step {
    /// Its name within the rule; its kind unless it says otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<StepId>,
    /// The steps it waits for; the one before it unless it says otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub needs: Option<Vec<StepId>>,
    /// The stages it is for; in the others it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stages: Option<Vec<StageName>>,
    /// How long it may take before it is cancelled and fails; 1 h unless it says otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Span>,
    /// How often, and how far apart, it is tried again after a passing failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// What it does.
    #[serde(flatten)]
    pub action: Action,
}

/// How a step is tried again after a passing failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Retry {
    /// How many times it is tried in all; at most 20.
    #[schemars(range(min = 1, max = 20))]
    pub attempts: u32,
    /// How long to wait before the second try; doubled for each further one, to at most ten minutes.
    pub backoff: Span,
}

/// What moves from one stage to the next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Promotion {
    /// The stage that it is taken from.
    pub from: StageName,
    /// The stage that it is merged into.
    pub to: StageName,
    /// Whether it starts by itself once its conditions hold, or on a person's command.
    #[serde(default)]
    pub start: PromotionStart,
    /// The conditions.
    #[serde(default)]
    pub requires: Conditions,
    /// What becomes of the merges that were made when another of the same set fails: `take_back` undoes them, `keep`
    /// leaves them to a person.
    #[serde(default, skip_serializing_if = "OnPartialFailure::is_take_back")]
    pub on_failure: OnPartialFailure,
}

/// What becomes of a promotion's merges when not all of them can be made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnPartialFailure {
    /// Those that were made are undone, by ordinary commits.
    #[default]
    TakeBack,
    /// They stay; `tidegate retry` makes the others, `tidegate take-back` undoes them.
    Keep,
}

impl OnPartialFailure {
    /// Whether what was merged is undone.
    #[must_use]
    pub const fn is_take_back(&self) -> bool {
        matches!(self, Self::TakeBack)
    }
}

/// What starts a promotion.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PromotionStart {
    /// It starts by itself when the source stage has been verified; its conditions then hold it until they pass.
    #[default]
    Automatic,
    /// It starts on `tidegate promote`.
    Manual,
}

/// What must hold before a promotion moves anything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Conditions {
    /// That the set was verified together in the source stage; always demanded, and written for whoever reads it.
    #[serde(default = "yes")]
    pub verified: bool,
    /// How long ago it must have been verified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub soak: Option<Span>,
    /// Who must approve it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approvals: Option<Quorum>,
    /// When it may move, as in `Mon-Thu 09:00-16:00 Europe/Berlin`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<String>,
    /// The calendars on whose days the window stays shut.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub holidays: Vec<String>,
    /// What must pass outside, by name; all of them are asked at once.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub checks: IndexMap<StepId, Check>,
}

impl Default for Conditions {
    fn default() -> Self {
        Self {
            verified: yes(),
            soak: None,
            approvals: None,
            window: None,
            holidays: Vec::new(),
            checks: IndexMap::new(),
        }
    }
}

impl Rules {
    /// The branch of a stage.
    #[must_use]
    pub fn branch<'rules>(&'rules self, stage: &'rules StageName) -> &'rules str {
        self.stages.get(stage).and_then(|stage| stage.branch.as_deref()).unwrap_or(stage.as_str())
    }

    /// The stages that what is in a stage can come to by promotions, without that stage itself, in their order.
    #[must_use]
    pub fn stages_after(&self, stage: &StageName) -> Vec<&StageName> {
        let mut reached = std::collections::BTreeSet::from([stage]);
        // Each round finds at least one more, or there are no more.
        for _ in 0..self.stages.len() {
            let next = self.promotions.iter().filter(|promotion| reached.contains(&promotion.from));
            reached.extend(next.map(|promotion| &promotion.to).collect::<Vec<_>>());
        }
        self.stages.keys().filter(|after| *after != stage && reached.contains(after)).collect()
    }
}

impl Target {
    /// Whether a run that fails on it leaves it broken.
    #[must_use]
    pub fn breaks(&self) -> bool {
        self.on_failure.map_or(self.queue == QueuePolicy::Fifo, |on_failure| on_failure == OnFailure::Break)
    }
}

impl Rule {
    /// The repository whose head a run of this rule works on.
    #[must_use]
    pub fn repository(&self) -> Option<&RepositoryName> {
        self.on.repository()
    }

    /// Whether the rule is for this stage.
    #[must_use]
    pub fn is_for(&self, stage: &StageName) -> bool {
        self.stages.as_ref().is_none_or(|stages| stages.contains(stage))
    }
}

impl Step {
    /// The step's id: its own, or its kind.
    #[must_use]
    pub fn id(&self) -> StepId {
        self.id.clone().unwrap_or_else(|| StepId::of_engine(self.action.kind().name, ""))
    }
}
