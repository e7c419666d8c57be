//! The facts of the lattice, for people and programs alike. The schema is in `schemas/`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    holds::HoldStatus,
    releases::HalfReleased,
    remotes::RemoteCall,
    untold::{self, UntoldNotice},
    versions::VersionsStatus,
};
use crate::{
    engine::{RulesInForce, Run, StepState, System, TargetKey, TargetLife, Unread, explain},
    rules::{RepositoryName, Rules, StageName, SystemName},
    view::words,
};

/// One system as it stands.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StatusReport {
    /// Its name; empty for a rules file that does not say whose rules it has.
    pub system: String,
    /// Of which past moment this is; absent when it is the present.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub past: Option<Past>,
    /// Why nothing is known of it: its log cannot be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unreadable: Option<String>,
    /// How many events its log holds.
    pub events: u64,
    /// When the last of them was recorded: milliseconds since 1970, UTC.
    #[serde(default)]
    pub last_event_ms: i64,
    /// The stages in promotion order.
    pub stages: Vec<String>,
    /// The repositories, upstream first.
    pub repositories: Vec<RepositoryStatus>,
    /// What is deployed to, per stage.
    pub targets: Vec<TargetStatus>,
    /// The runs that go on, oldest first.
    pub live: Vec<LiveRun>,
    /// The last run of each rule and stage that did not succeed, where none has succeeded since.
    pub failed: Vec<FailedRun>,
    /// Where its rules are from.
    #[serde(default)]
    pub rules: Option<RulesStatus>,
    /// Why the newest rules file is not in force.
    pub refused_rules: Option<String>,
    /// What people and programs were to be told and could not be, yet or at all; oldest first.
    #[serde(default)]
    pub untold: Vec<UntoldNotice>,
    /// How many notices were given up besides those listed.
    #[serde(default)]
    pub more_given_up: u64,
    /// What holds it, by hand: the pause and the freezes.
    #[serde(default)]
    pub holds: Vec<HoldStatus>,
    /// Which versions there are, and what was decided about them.
    #[serde(default)]
    pub versions: VersionsStatus,
    /// What waits for a place to work, one line for steps, looks, fetches and deliveries each: how many, and for what.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waits_for_place: Vec<String>,
    /// The calls to remotes that go on for longer than a moment, and what is read there and doubted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remotes: Vec<RemoteCall>,
    /// Whether commands of repositories run without a sandbox: `sandbox = "none"` in `tidegate.toml`.
    #[serde(default)]
    pub unboxed: bool,
    /// The releases of the system that only some of their systems have; none where the past is shown.
    #[serde(default)]
    pub half_released: Vec<HalfReleased>,
}

/// The rules of a system.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RulesStatus {
    /// Where they were read: a path, in the repository where they are from one.
    pub source: String,
    /// The commit that brought them; `null` for a file beside the server.
    pub commit: Option<RulesCommit>,
    /// Why the repository of the rules cannot be looked at.
    pub trouble: Option<String>,
    /// Since when they are in force: milliseconds since 1970, UTC; `null` when no rules of the system ever were.
    pub since_ms: Option<i64>,
}

/// A commit of the repository of the rules.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RulesCommit {
    /// The repository's URL.
    pub repository: String,
    /// The branch.
    pub branch: String,
    /// The commit, in full.
    pub commit: String,
    /// Who wrote it.
    pub author: String,
    /// The first line of its message.
    pub subject: String,
}

/// A moment that is over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Past {
    /// The moment: milliseconds since 1970, UTC.
    pub at_ms: i64,
    /// The place in the log of the last event before it, or at it.
    pub seq: u64,
    /// When that event was recorded: milliseconds since 1970, UTC.
    pub event_ms: i64,
    /// That event, in words.
    pub event: String,
}

/// A repository at every stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RepositoryStatus {
    /// Its name.
    pub repository: String,
    /// Stage → the head; absent where there is no such branch.
    pub heads: BTreeMap<String, HeadStatus>,
    /// Why it cannot be reached.
    pub unreachable: Option<String>,
    /// Stage → why the head of its branch cannot be read; what is said of it above is the last that could be.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub unread: BTreeMap<String, UnreadStatus>,
    /// Why its tags are not taken in, where rules ask for them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags_unread: Option<String>,
    /// Whether it has been looked at at all.
    pub seen: bool,
}

/// A head that cannot be read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UnreadStatus {
    /// The commit, in full.
    pub commit: String,
    /// What was tried, what came back, and what to do.
    pub error: String,
}

/// A head.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HeadStatus {
    /// The commit, in full.
    pub commit: String,
    /// The run or person that made it.
    pub by: String,
    /// The first line of its message.
    pub subject: String,
    /// Since when it is the head: milliseconds since 1970, UTC.
    pub since_ms: i64,
    /// That the branch was force-pushed to it.
    pub forced: bool,
    /// Whether what runs in the stage has it, or is the same as if it had; absent where nothing runs that is made of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runs: Option<bool>,
}

/// A target at a stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TargetStatus {
    /// The target.
    pub target: String,
    /// The stage.
    pub stage: String,
    /// Where it is in its life, as AVAILABLE.
    pub state: String,
    /// The run that deployed what is there.
    pub deployed_by: Option<String>,
    /// When: milliseconds since 1970, UTC.
    pub deployed_ms: Option<i64>,
    /// Where it answers.
    pub address: Option<String>,
    /// Whether what is there was verified.
    pub verified: bool,
    /// Of what is there, that it was made in this stage, and from what; absent where the stage before had verified all of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made_here: Option<String>,
    /// Why it is broken.
    pub broken: Option<String>,
    /// Why it could not be looked at when that was last tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unseen: Option<String>,
    /// What another hand changed there since the last run left it: the names of what is otherwise now.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub drift: Vec<String>,
}

/// A run that goes on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LiveRun {
    /// Its identity.
    pub run: String,
    /// Its stage.
    pub stage: String,
    /// Its state.
    pub state: String,
    /// Why there is this run.
    pub cause: String,
    /// How many steps are done, of how many.
    pub steps_done: (usize, usize),
    /// Whether it waits for somebody or something outside of its own steps.
    pub waits: bool,
    /// For what it waits, or what it is at.
    pub waiting_for: String,
    /// Since when: milliseconds since 1970, UTC.
    pub since_ms: i64,
    /// The earliest moment at which that can end, where the clock ends it.
    pub until_ms: Option<i64>,
    /// When it fails if nobody ends it before: milliseconds since 1970, UTC.
    #[serde(default)]
    pub expires_ms: Option<i64>,
    /// Who or what can end it.
    pub ended_by: String,
    /// Who marked it as a hotfix, and why.
    #[serde(default)]
    pub hotfix: Option<String>,
    /// What the rules mean that it asks about, line by line.
    #[serde(default)]
    pub changes: Vec<String>,
}

/// A run that did not succeed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FailedRun {
    /// Its identity.
    pub run: String,
    /// Its stage.
    pub stage: String,
    /// FAILED or ABORTED.
    pub state: String,
    /// Why.
    pub reason: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl StatusReport {
    /// What is said of a system whose log cannot be read.
    #[must_use]
    pub fn unreadable(system: &SystemName, error: String) -> Self {
        Self { system: system.to_string(), unreadable: Some(error), ..Self::of(&System::default()) }
    }

    /// The facts of a state.
    #[must_use]
    pub fn of(state: &System) -> Self {
        let rules = state.rules().map(|rules| Rules::clone(rules));
        let stages: Vec<StageName> = rules.iter().flat_map(|rules| rules.stages.keys().cloned()).collect();
        let repositories = rules.iter().flat_map(|rules| rules.repositories.keys());
        let targets = rules.iter().flat_map(|rules| rules.targets.keys());
        let places = targets.flat_map(|target| stages.iter().map(move |stage| (target, stage)));
        Self {
            system: rules.as_ref().map_or_else(String::new, |rules| rules.system.to_string()),
            past: None,
            unreadable: None,
            events: state.seq,
            last_event_ms: state.at_ms,
            stages: stages.iter().map(ToString::to_string).collect(),
            repositories: repositories.map(|name| repository(state, name)).collect(),
            targets: places
                .map(|(name, stage)| {
                    target(state, name.as_str(), &TargetKey::Target(name.clone(), stage.clone()), stage)
                })
                .collect(),
            live: state.live_runs().map(|run| live(state, run)).collect(),
            failed: failed(state),
            rules: state.rules.as_ref().map(RulesStatus::of),
            refused_rules: state.refused_rules.as_ref().map(|refused| refused.mistakes.clone()),
            untold: untold::of(state),
            more_given_up: state.notices.more_given_up,
            holds: HoldStatus::all(state),
            versions: VersionsStatus::of(state, &stages),
            waits_for_place: Vec::new(),
            remotes: Vec::new(),
            unboxed: false,
            half_released: Vec::new(),
        }
    }

    /// A system that is not there yet, for its rules never were without mistakes.
    #[must_use]
    pub fn not_there(source: String, system: Option<&SystemName>, mistakes: String) -> Self {
        Self {
            system: system.map_or_else(String::new, ToString::to_string),
            rules: Some(RulesStatus { source, commit: None, trouble: None, since_ms: None }),
            refused_rules: Some(mistakes),
            ..Self::default()
        }
    }

    /// Whether it is there: rules of it are in force.
    #[must_use]
    pub fn is_there(&self) -> bool {
        self.rules.as_ref().is_none_or(|rules| rules.since_ms.is_some())
    }
}

impl RulesStatus {
    fn of(in_force: &RulesInForce) -> Self {
        let commit = in_force.origin.as_ref().map(|origin| RulesCommit {
            repository: origin.repository.clone(),
            branch: origin.branch.clone(),
            commit: origin.commit.to_string(),
            author: origin.author.clone(),
            subject: origin.subject.clone(),
        });
        Self { source: in_force.source.clone(), commit, trouble: None, since_ms: Some(in_force.since_ms) }
    }
}

fn repository(state: &System, name: &RepositoryName) -> RepositoryStatus {
    let watched = state.repositories.get(name);
    let heads = watched.into_iter().flat_map(|watched| &watched.heads).map(|(stage, head)| {
        let status = HeadStatus {
            commit: head.commit.to_string(),
            by: words::made_by(head),
            subject: head.subject.clone(),
            since_ms: head.since_ms,
            forced: head.forced,
            runs: state.runs_head(name, stage),
        };
        (stage.to_string(), status)
    });
    RepositoryStatus {
        repository: name.to_string(),
        heads: heads.collect(),
        unreachable: watched.and_then(|watched| watched.unreachable.as_ref()).map(|reason| reason.error.clone()),
        unread: watched.into_iter().flat_map(|watched| &watched.unread).map(unread).collect(),
        tags_unread: watched.and_then(|watched| watched.tags.as_ref()?.error.clone()),
        seen: watched.is_some_and(|watched| !watched.seen.is_empty()),
    }
}

fn unread((stage, unread): (&StageName, &Unread)) -> (String, UnreadStatus) {
    (stage.to_string(), UnreadStatus { commit: unread.commit.to_string(), error: unread.error.clone() })
}

fn target(state: &System, name: &str, key: &TargetKey, stage: &StageName) -> TargetStatus {
    let target = state.targets.get(key);
    let deployed = target.and_then(|target| target.deployed.as_ref());
    let outside = target.and_then(|target| target.outside.as_ref());
    let verified =
        state.verified.get(stage).zip(deployed).is_some_and(|(verified, deployed)| verified.run == deployed.run);
    TargetStatus {
        target: name.to_owned(),
        stage: stage.to_string(),
        state: words::text_of(&target.map_or(TargetLife::Unprovisioned, |target| target.life)),
        deployed_by: deployed.map(|deployed| deployed.run.to_string()),
        deployed_ms: deployed.map(|deployed| deployed.at_ms),
        address: deployed.and_then(|deployed| deployed.address.clone()),
        verified,
        made_here: deployed.and_then(|deployed| explain::made_in(state, stage, &deployed.made_here)),
        broken: target.and_then(|target| target.broken.clone()),
        unseen: outside.and_then(|outside| outside.unseen.clone()),
        drift: outside.into_iter().flat_map(|outside| &outside.drift).map(|change| change.name.clone()).collect(),
    }
}

fn live(state: &System, run: &Run) -> LiveRun {
    let waiting = explain::run(state, run);
    let done = run.steps.iter().filter(|step| step.state == StepState::Done).count();
    LiveRun {
        run: run.id.to_string(),
        stage: run.stage.to_string(),
        state: words::text_of(&run.state),
        cause: words::cause(&run.cause, &run.subject),
        steps_done: (done, run.steps.len()),
        waits: run.steps.iter().all(|step| step.state != StepState::Active || step.task.kind().only_waits()),
        hotfix: run.hotfix.as_ref().map(|hotfix| format!("{}: {}", hotfix.by, hotfix.reason)),
        changes: state.offered_by(&run.id).map(|offered| offered.meaning.clone()).unwrap_or_default(),
        since_ms: waiting.as_ref().map_or(run.created_ms, |waiting| waiting.since_ms),
        until_ms: waiting.as_ref().and_then(|waiting| waiting.until_ms),
        expires_ms: waiting.as_ref().and_then(|waiting| waiting.expires_ms),
        waiting_for: waiting.as_ref().map(|waiting| waiting.for_what.clone()).unwrap_or_default(),
        ended_by: waiting.map(|waiting| waiting.ended_by).unwrap_or_default(),
    }
}

/// Of every subject and stage, the newest ended run, if it did not succeed.
fn failed(state: &System) -> Vec<FailedRun> {
    use crate::engine::RunState::{Aborted, Done, Failed};
    let mut newest: BTreeMap<(&str, &StageName), &Run> = BTreeMap::new();
    for run in state.all_runs().filter(|run| matches!(run.state, Aborted | Done | Failed)) {
        newest.insert((run.subject.name(), &run.stage), run);
    }
    let failed = newest.into_values().filter(|run| run.state != Done);
    failed
        .map(|run| FailedRun {
            run: run.id.to_string(),
            stage: run.stage.to_string(),
            state: words::text_of(&run.state),
            reason: run.reason.clone().unwrap_or_default(),
            hint: run.steps.iter().find_map(|step| step.hint.clone()),
        })
        .collect()
}
