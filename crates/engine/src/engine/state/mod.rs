//! The state of one system: all that the engine knows, and nothing that it could not learn again from the log. Each file
//! has the part of it that it is named after. Nothing here decides: it answers what it holds.

mod hold;
mod notice;
mod repository;
mod target;
mod version;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use super::{
    access::AccessInForce,
    compiled::Compiled,
    effect::Effect,
    event::{CommandKey, DeliveryId},
    ids::{CommitId, Digest, EffectId, PinAt, RunId, TargetKey},
    origin::{Point, Record, read_records},
    rules_origin::RulesOrigin,
    run::{Hotfix, Run},
    shared::Shared,
};
use crate::rules::{RepositoryName, RuleName, StageName};

pub use self::{
    hold::{Freeze, Override, Pause},
    notice::{GivenUp, Message, Notices, Undelivered},
    repository::{AwaitedTag, FirstSeen, Head, Pin, Tags, Unreachable, Watched, WorkflowEnd},
    target::{Deployed, DeployedContent, Outside, Policy, TargetState},
    version::{Carried, HalfWay, Pinned, Promoted, RolledBack, Verified, Version, Versions, Veto},
};

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
    /// Rules that people are asked about, or have said no to; none once rules are in force that are newer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offered: Option<Box<OfferedRules>>,
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
    pub runs: BTreeMap<u64, Shared<Run>>,
    /// The numbers of the ended runs among them, oldest first.
    pub ended: VecDeque<u64>,
    /// How many runs there have been.
    pub runs_made: u64,
    /// The highest number of a run that a repository proves and the log does not have; 0 where there is none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub runs_lost: u64,
    /// Per stage, what was last verified together.
    pub verified: BTreeMap<StageName, Verified>,
    /// Per stage, the set that was last promoted into it and by which run.
    pub promoted: BTreeMap<StageName, Promoted>,
    /// Pins: where they are → what they were last set from. As JSON, a list of pairs.
    #[serde(with = "super::pairs")]
    pub pins: BTreeMap<PinAt, Pin>,
    /// Per repository, what is known of the values that are pinned in it, newest last.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "read_records")]
    pub provenance: BTreeMap<RepositoryName, Vec<Shared<Record>>>,
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
    /// The nudges that were taken in last, oldest first.
    #[serde(default, skip_serializing_if = "VecDeque::is_empty")]
    pub deliveries: VecDeque<DeliveryId>,
    /// The commands that were done under a key, oldest first.
    #[serde(default, skip_serializing_if = "VecDeque::is_empty")]
    pub asked_once: VecDeque<AskedOnce>,
    /// What people and programs are told.
    #[serde(default, skip_serializing_if = "Notices::is_empty")]
    pub notices: Notices,
}

/// A command that was done under a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AskedOnce {
    /// The name of whoever asked.
    pub by: String,
    /// Under which key.
    pub key: CommandKey,
    /// The place of the command in the log.
    pub seq: u64,
    /// The newest run there was after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newest_run: Option<RunId>,
}

/// The rules in force.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RulesInForce {
    /// Where they were read: a path, in the repository where they are from one.
    pub source: String,
    /// Of the file's text.
    pub digest: Digest,
    /// What they say.
    pub rules: Arc<Compiled>,
    /// When they came into force: milliseconds since 1970, UTC.
    pub since_ms: i64,
    /// The commit that brought them; none for a file beside the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<RulesOrigin>,
    /// The fingerprint of the secret that proves commits to be ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<Digest>,
}

/// Rules that come into force when people say yes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OfferedRules {
    /// The run that asks.
    pub run: RunId,
    /// The rules.
    pub rules: RulesInForce,
    /// What they mean for who lives under those in force, line by line.
    pub meaning: Vec<String>,
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
    /// The commit that has it; none for a file beside the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<RulesOrigin>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_zero(number: &u64) -> bool {
    *number == 0
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
        self.runs.get(&id.number()?).map(|run| &**run).filter(|run| run.id == *id)
    }

    /// The rules that a run asks about.
    #[must_use]
    pub fn offered_by(&self, run: &RunId) -> Option<&OfferedRules> {
        self.offered.as_deref().filter(|offered| offered.run == *run)
    }

    /// The head of a repository at a stage.
    #[must_use]
    pub fn head(&self, repository: &RepositoryName, stage: &StageName) -> Option<&Head> {
        self.repositories.get(repository)?.heads.get(stage).map(|head| &**head)
    }

    /// The run of that number, if the state still keeps it.
    #[must_use]
    pub fn numbered(&self, number: u64) -> Option<&Run> {
        self.runs.get(&number).map(|run| &**run)
    }

    /// The runs that it keeps, oldest first.
    pub fn all_runs(&self) -> impl DoubleEndedIterator<Item = &Run> {
        self.runs.values().map(|run| &**run)
    }

    /// The runs that have not ended, oldest first.
    pub fn live_runs(&self) -> impl Iterator<Item = &Run> {
        self.all_runs().filter(|run| !run.state.is_ended())
    }
}
