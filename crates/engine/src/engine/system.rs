//! The state of one system: all that the engine knows, and nothing that it could not learn again from the log.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use super::{
    access::AccessInForce,
    compiled::Compiled,
    content::{Artifact, CommitSet, StepPlace},
    effect::Effect,
    gate::approval::DeployedContent,
    gate::hold::{Freeze, Pause},
    ids::{CommitId, Digest, EffectId, PinAt, RunId, TargetKey},
    notice::Notices,
    origin::{Origin, Point, Record},
    run::{Hotfix, Run},
    version::Versions,
};
use crate::rules::{QueuePolicy, RepositoryName, RuleName, RuleQueue, StageName};

/// How many ended runs the state keeps, for status and retry, besides the newest of every rule and stage; all others are
/// in the store. The bound keeps a system small however long it lives.
pub const RECENT_RUNS: usize = 8;

/// The state of one system.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct System {
    /// The place in the log of the last event that it has taken in.
    pub seq: u64,
    /// The recorded time of that event: milliseconds since 1970, UTC.
    pub at_ms: i64,
    /// The rules in force; none before the first valid file.
    pub rules: Option<RulesInForce>,
    /// A rules file that was refused since.
    pub refused_rules: Option<RefusedRules>,
    /// The people, groups and roles in force; where none were ever loaded, everybody may do everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access: Option<AccessInForce>,
    /// That nothing new starts, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<Pause>,
    /// The freezes in force, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub freezes: BTreeMap<String, Freeze>,
    /// How many freezes there have been.
    #[serde(default)]
    pub freezes_made: u64,
    /// The commits that are of a hotfix.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub hotfixes: BTreeMap<CommitId, Hotfix>,
    /// What is known of each repository.
    pub repositories: BTreeMap<RepositoryName, Watched>,
    /// What is deployed to, and the lanes of rules without a target.
    pub targets: BTreeMap<TargetKey, TargetState>,
    /// Runs that go on, and the last that ended, by number.
    pub runs: BTreeMap<u64, Run>,
    /// The numbers of the ended runs among them, oldest first.
    pub ended: VecDeque<u64>,
    /// How many runs there have been.
    pub runs_made: u64,
    /// Per stage, what was last verified together.
    pub verified: BTreeMap<StageName, Verified>,
    /// Per stage, the set that was last promoted into it and by which run.
    pub promoted: BTreeMap<StageName, Promoted>,
    /// Pins: where they are → what they were last set from. As JSON, a list of pairs.
    #[serde(with = "super::pairs")]
    pub pins: BTreeMap<PinAt, Pin>,
    /// Per repository, what is known of the values that are pinned in it, newest last.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub provenance: BTreeMap<RepositoryName, Vec<Record>>,
    /// Per stage and repository, the head that the last moved set came to: nothing is built there from what is older.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub moved: BTreeMap<StageName, BTreeMap<RepositoryName, Arc<Point>>>,
    /// Per rule and stage, the commit that it last succeeded on.
    pub succeeded: BTreeMap<RuleName, BTreeMap<StageName, CommitId>>,
    /// Pushes that wait for a promotion into their stage to end.
    pub held: BTreeMap<StageName, BTreeSet<RepositoryName>>,
    /// The paths that the pushes among them changed, where they are known and few; of any other, all may have changed.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub held_paths: BTreeMap<StageName, BTreeMap<RepositoryName, BTreeSet<String>>>,
    /// Which versions there are, where each stage was taken back to, and what was vetoed or pinned.
    #[serde(default, skip_serializing_if = "Versions::is_empty")]
    pub versions: Versions,
    /// The effects that are pending.
    pub due: BTreeMap<EffectId, Effect>,
    /// What people and programs are told.
    #[serde(default, skip_serializing_if = "Notices::is_empty")]
    pub notices: Notices,
}

/// The rules in force.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RulesInForce {
    /// Where they were read.
    pub source: String,
    /// Of the file's text.
    pub digest: Digest,
    /// What they say.
    pub rules: Arc<Compiled>,
    /// When they came into force: milliseconds since 1970, UTC.
    pub since_ms: i64,
}

/// A rules file that was refused while the last good ones stay in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedRules {
    /// Where it was read.
    pub source: String,
    /// Of the file's text.
    pub digest: Digest,
    /// The mistakes, as a person sees them.
    pub mistakes: String,
    /// When: milliseconds since 1970, UTC.
    pub at_ms: i64,
}

/// What is known of a repository.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Watched {
    /// The stages that a watch has looked at, with a branch or without: the first sight of a stage starts nothing.
    pub seen: BTreeSet<StageName>,
    /// What each stage's branch was at when it was first seen. Not left out when it is empty: a snapshot of before these
    /// were kept cannot be read, and the log, which has them, is read instead.
    pub first: BTreeMap<StageName, FirstSeen>,
    /// The head of each stage's branch that exists.
    pub heads: BTreeMap<StageName, Head>,
    /// The last head of each stage's branch that was deleted: made again, it is compared with that.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub gone: BTreeMap<StageName, CommitId>,
    /// Why it cannot be reached, and since when.
    pub unreachable: Option<Unreachable>,
    /// The place in the log of the event that asked for its pending watch: of a head that is newer, it knows nothing.
    pub asked: u64,
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
    #[serde(default, skip_serializing_if = "Origin::is_empty")]
    pub origin: Origin,
}

/// What is deployed to, or the lane of a rule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TargetState {
    /// Where it is in its life.
    pub life: TargetLife,
    /// What becomes of a run that finds it held.
    pub policy: Policy,
    /// The number of the run that holds it.
    pub holder: Option<u64>,
    /// The numbers of the runs that wait for it, first first.
    pub queue: VecDeque<u64>,
    /// What was last deployed to it.
    pub deployed: Option<Deployed>,
    /// Why it is broken.
    pub broken: Option<String>,
    /// What was last verified on it.
    #[serde(default, skip_serializing_if = "CommitSet::is_empty")]
    pub verified: CommitSet,
}

/// Where a target is in its life. (Those between are for targets that are provisioned first.)
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum TargetLife {
    /// Nothing has been deployed to it yet.
    #[default]
    Unprovisioned,
    /// It is free.
    Available,
    /// A run holds it.
    Busy,
    /// A run failed on it; an operator makes it available again.
    Broken,
}

/// What becomes of a run that finds a target or lane held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Policy {
    /// It waits, and takes the place of older ones that wait.
    Supersede,
    /// It waits in order.
    Fifo,
    /// It is refused.
    Reject,
    /// It does not wait: the lane is wide.
    Parallel,
}

impl From<QueuePolicy> for Policy {
    fn from(policy: QueuePolicy) -> Self {
        match policy {
            QueuePolicy::Supersede => Self::Supersede,
            QueuePolicy::Fifo => Self::Fifo,
            QueuePolicy::Reject => Self::Reject,
        }
    }
}

impl From<RuleQueue> for Policy {
    fn from(queue: RuleQueue) -> Self {
        match queue {
            RuleQueue::Supersede => Self::Supersede,
            RuleQueue::Fifo => Self::Fifo,
            RuleQueue::Parallel => Self::Parallel,
        }
    }
}

/// What was deployed to a target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Deployed {
    /// By which run.
    pub run: RunId,
    /// The commits that led to it.
    pub set: CommitSet,
    /// The digest of what was approved, where somebody was asked.
    pub approved: Option<Digest>,
    /// What it is made of.
    pub artifacts: Vec<Artifact>,
    /// Where it answers.
    pub address: Option<String>,
    /// What it is made of, to be compared with what comes next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<DeployedContent>,
    /// When: milliseconds since 1970, UTC.
    pub at_ms: i64,
    /// The stage's own commits from which it was made there, that no stage before had verified.
    #[serde(default, skip_serializing_if = "CommitSet::is_empty")]
    pub made_here: CommitSet,
}

/// What was verified together in a stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verified {
    /// The combination.
    pub set: CommitSet,
    /// By which run.
    pub run: RunId,
    /// When: milliseconds since 1970, UTC.
    pub at_ms: i64,
    /// Who wrote the changes in it.
    pub authors: BTreeSet<String>,
    /// The names of the artifacts that are pinned in it.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub artifacts: BTreeSet<String>,
    /// The stage's own commits from which it was made there, that no stage before had verified.
    #[serde(default, skip_serializing_if = "CommitSet::is_empty")]
    pub made_here: CommitSet,
    /// That it is of a hotfix.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hotfix: Option<Hotfix>,
}

/// What was last promoted into a stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Promoted {
    /// The combination, as it was in the stage that it came from.
    pub set: CommitSet,
    /// By which run.
    pub run: RunId,
    /// When: milliseconds since 1970, UTC.
    pub at_ms: i64,
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

impl System {
    /// The rules in force.
    #[must_use]
    pub fn rules(&self) -> Option<&Arc<Compiled>> {
        self.rules.as_ref().map(|in_force| &in_force.rules)
    }

    /// The run of that identity, if the state still keeps it.
    #[must_use]
    pub fn run(&self, id: &RunId) -> Option<&Run> {
        self.runs.get(&id.number()?).filter(|run| run.id == *id)
    }

    /// The head of a repository at a stage.
    #[must_use]
    pub fn head(&self, repository: &RepositoryName, stage: &StageName) -> Option<&Head> {
        self.repositories.get(repository)?.heads.get(stage)
    }

    /// The runs that have not ended, oldest first.
    pub fn live_runs(&self) -> impl Iterator<Item = &Run> {
        self.runs.values().filter(|run| !run.state.is_ended())
    }
}
