//! The whole of what an effect is about, read from the state when the effect is claimed: so that effects stay small, and
//! whoever runs one needs to know nothing else.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    authorship::Authorship,
    content::{Artifact, CommitSet},
    context,
    effect::{Effect, EffectKind, Phase, Timer},
    ids::{CommitId, Digest, RunId, StepKey, TargetKey},
    provenance,
    run::{Cause, Hotfix, Run, Source},
    shared::Shared,
    state::{Message, System},
    step_run::{StepRun, StepState},
    target::Seen,
    task::Task,
    watching::{PinPlace, WatchWork, pin_places, watch_work},
};
use crate::rules::{
    Action, AtTarget, Commit, KnownBy, Repository, RepositoryName, Rules, StageName, StepId, SystemName, Target,
    TargetName, template,
};

/// What is to be done, with all that it takes to do it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "work", rename_all = "snake_case")]
pub enum Work {
    /// Look at heads.
    Watch(Box<WatchWork>),
    /// Start, poll or cancel a step.
    Step(Box<StepWork>),
    /// Ask git who wrote something.
    Authors(Box<AuthorsWork>),
    /// Look at a target that nobody holds.
    Observe(Box<TargetWork>),
    /// Say when it is due.
    Timer(Timer),
    /// Deliver a notice.
    Notice(Box<NoticeWork>),
}

/// A target at its stage, as whoever looks at it or acts on it has to know it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TargetWork {
    /// The system.
    pub system: SystemName,
    /// The target.
    pub name: TargetName,
    /// The stage.
    pub stage: StageName,
    /// What the rules say of it.
    pub settings: Target,
    /// The last look at it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<Seen>,
    /// The keys of acts of ours whose run goes on: what they do is no other hand's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ours: Vec<StepKey>,
}

/// A notice with all that it takes to deliver it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NoticeWork {
    /// How the outside tells it from every other, and knows it again: `msg_` and 32 hexadecimal digits.
    pub id: String,
    /// The system.
    pub system: SystemName,
    /// Its number within the system.
    pub number: u64,
    /// What is to be said, and to whom.
    pub message: Message,
}

/// What a question is about, with all that it takes to ask git who wrote it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthorsWork {
    /// The system.
    pub system: SystemName,
    /// The run.
    pub run: RunId,
    /// The step that asks.
    pub step: StepId,
    /// Every repository of the system: a commit of ours may carry what is in any.
    pub repositories: BTreeMap<RepositoryName, AuthorsOf>,
}

/// What is new of one repository is at or below `commit`, and neither at nor below one of `base`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthorsOf {
    /// Where it is.
    pub url: String,
    /// The branches of all stages, in their order: where commits of ours are made.
    pub branches: Vec<String>,
    /// Its commit in what the question is about, if it has one.
    pub commit: Option<CommitId>,
    /// What it is compared with.
    pub base: Vec<CommitId>,
    /// What it is compared with instead where that is nowhere to be found any more.
    pub otherwise: Vec<CommitId>,
    /// By what it is to be known who wrote it, where the rules say so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<KnownBy>,
}

/// A step with all that it takes to do it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepWork {
    /// The identity of the effect in the outside world.
    pub key: StepKey,
    /// Start, poll or cancel.
    pub phase: Phase,
    /// How to find what was started.
    pub handle: Option<String>,
    /// The system.
    pub system: SystemName,
    /// The run.
    pub run: RunId,
    /// The step.
    pub step: StepId,
    /// The stage.
    pub stage: StageName,
    /// The stage's environment, as people call it.
    pub environment: String,
    /// The stage's branch.
    pub branch: String,
    /// The branches of all stages, in their order.
    pub branches: Vec<String>,
    /// What is to be done.
    pub task: Task,
    /// That the run is of a hotfix.
    pub hotfix: Option<Hotfix>,
    /// The commit that the run works on.
    pub source: Option<Source>,
    /// The tag that names it, where one started the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// What is in the run.
    pub set: CommitSet,
    /// The URL of every repository of the system.
    pub urls: BTreeMap<RepositoryName, String>,
    /// What the steps before it made, by step, in the order of the plan.
    pub inputs: Vec<StepOutput>,
    /// The digest that was approved, where a step before it asked people.
    pub approved: Option<Digest>,
    /// What was last deployed to the run's target.
    pub deployed: Vec<Artifact>,
    /// Whether what was built before of the same inputs is not used: a schedule asked for it, and what schedules are for is
    /// what changes without a push, such as packages from outside.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub rebuild: bool,
    /// The later commit steps of the run that pin what a build makes: one of its images that is pinned there stays.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pinned_by: Vec<Commit>,
    /// Of which commits the artifact is that a commit step pins.
    #[serde(default, skip_serializing_if = "Shared::is_default")]
    pub made_from: CommitSet,
    /// Where rules pin in the repository that the step moves, in its stage.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pin_places: Vec<PinPlace>,
    /// The heads since which every commit of the stage's branches must be signed, of the repositories that require it.
    #[serde(default, skip_serializing_if = "Shared::is_default")]
    pub signed_since: CommitSet,
    /// The target that it looks at or acts on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<TargetWork>,
    /// Whether another run waits for what goes on outside under the same handle, so that it must not be ended.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub shared: bool,
    /// When the step was started: milliseconds since 1970, UTC. The time that commits carry.
    pub started_ms: i64,
    /// When it must be over: milliseconds since 1970, UTC.
    pub deadline_ms: i64,
}

/// What an earlier step made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepOutput {
    /// The step.
    pub step: StepId,
    /// Its kind.
    pub kind: String,
    /// What later steps may use.
    pub outputs: Shared<Map<String, Value>>,
    /// What it made.
    pub artifacts: Shared<Vec<Artifact>>,
}

impl StepWork {
    /// An output of the nearest earlier step of this kind.
    #[must_use]
    pub fn input(&self, kind: &str, name: &str) -> Option<&Value> {
        self.inputs.iter().rev().find(|input| input.kind == kind)?.outputs.get(name)
    }

    /// The commit that the run works on and the URL of its repository.
    #[must_use]
    pub fn source(&self) -> Option<(&Source, &str)> {
        let source = self.source.as_ref()?;
        Some((source, self.urls.get(&source.repository)?))
    }

    /// What the templates of this step may use.
    #[must_use]
    pub fn context(&self) -> Value {
        let inputs = self.inputs.iter().map(|input| (&input.step, &*input.outputs));
        let place = (&self.stage, self.environment.as_str(), self.branch.as_str());
        context::of(&self.system, (&self.run, self.source.as_ref(), self.tag.as_deref()), place, inputs)
    }
}

/// The whole of a pending effect.
///
/// # Errors
/// Says why it cannot be done any more, as when the rules no longer have the repository.
pub fn work(system: &System, effect: &Effect) -> Result<Work, String> {
    let rules = system.rules().ok_or("no rules are in force")?;
    match &effect.kind {
        EffectKind::Timer(timer) => Ok(Work::Timer(timer.clone())),
        EffectKind::Notify { notice } => {
            let undelivered = system.notices.undelivered.get(notice);
            let message = undelivered.ok_or_else(|| format!("there is no notice {notice} to deliver"))?.message.clone();
            let id = message.id(&rules.system, *notice);
            let (system, number) = (rules.system.clone(), *notice);
            Ok(Work::Notice(Box::new(NoticeWork { id, system, number, message })))
        }
        EffectKind::Watch { repository } => watch_work(system, rules, repository).map(Box::new).map(Work::Watch),
        EffectKind::Authors { run, step } => authors_work(system, rules, run, step),
        EffectKind::Observe { target } => {
            let work = target_work(system, rules, target).ok_or_else(|| format!("there is no target {target}"))?;
            Ok(Work::Observe(Box::new(work)))
        }
        EffectKind::Step { run, step, phase } => {
            let run = system.run(run).ok_or_else(|| format!("there is no run {run}"))?;
            let target = run.target.as_ref().and_then(|key| system.targets.get(key));
            let deployed = target.and_then(|target| target.deployed.as_ref());
            let deployed = deployed.map(|deployed| deployed.artifacts.clone()).unwrap_or_default();
            let shared = is_shared(system, run, step);
            let mut work = step_work(rules, run, step, *phase)?;
            (work.deployed, work.shared) = (deployed, shared);
            let is_at_target = work.task.kind().at_target != AtTarget::Nothing;
            work.target = run.target.as_ref().filter(|_| is_at_target).and_then(|key| target_work(system, rules, key));
            work.signed_since = signed_since(system, rules, &run.stage);
            match (&work.task, work.task.moves()) {
                (Task::Action(Action::Commit(_)), _) => work.made_from = made_from(system, run),
                (_, Some(repository)) => work.pin_places = pin_places(rules, &run.stage, repository),
                _ => {}
            }
            Ok(Work::Step(Box::new(work)))
        }
    }
}

/// What it takes to look at a target or to act on it.
fn target_work(system: &System, rules: &Rules, key: &TargetKey) -> Option<TargetWork> {
    let ((name, settings), (_, stage)) = (system.target_settings(key)?, key.target()?);
    let outside = system.targets.get(key).and_then(|target| target.outside.as_ref());
    let on_it = system.live_runs().filter(|run| run.target.as_ref() == Some(key));
    let acts = on_it.flat_map(|run| run.steps.iter().map(move |step| (run, step)));
    let acts = acts.filter(|(_, step)| step.task.planned_by().is_some() && step.started_ms.is_some());
    Some(TargetWork {
        system: rules.system.clone(),
        name,
        stage: stage.clone(),
        settings,
        seen: outside.and_then(|outside| outside.seen.clone()),
        ours: acts.map(|(run, step)| run.key(&rules.system, step)).collect(),
    })
}

/// The heads that are known of the repositories whose commits in a stage must be signed.
fn signed_since(system: &System, rules: &Rules, stage: &StageName) -> CommitSet {
    let demanding = rules.repositories.iter().filter(|(_, repository)| repository.require_signatures.contains(stage));
    demanding.filter_map(|(name, _)| Some((name.clone(), system.head(name, stage)?.commit.clone()))).collect()
}

/// Whether an active step of another run goes on under the same handle.
fn is_shared(system: &System, run: &Run, id: &StepId) -> bool {
    let Some(handle) = run.step(id).and_then(|step| step.handle.as_ref()) else { return false };
    let mut others = system.live_runs().filter(|other| other.number != run.number && other.ends_as.is_none());
    others.any(|other| {
        let mut active = other.steps.iter().filter(|step| step.state == StepState::Active);
        active.any(|step| step.handle.as_ref() == Some(handle))
    })
}

fn authors_work(system: &System, rules: &Rules, run: &RunId, step: &StepId) -> Result<Work, String> {
    let run = system.run(run).ok_or_else(|| format!("there is no run {run}"))?;
    let asking = run.step(step).ok_or_else(|| format!("{} has no step {step}", run.id))?;
    let Authorship { base, identity, .. } = asking.authorship.as_deref().cloned().unwrap_or_default();
    let branches: Vec<String> = rules.stages.keys().map(|stage| rules.branch(stage).to_owned()).collect();
    let of = |(name, repository): (&RepositoryName, &Repository)| {
        let of = AuthorsOf {
            url: repository.url.clone(),
            branches: branches.clone(),
            commit: run.set.get(name).cloned(),
            base: base.get(name).cloned().unwrap_or_default(),
            otherwise: system.taken_as_it_is(name, run),
            identity: identity.get(name).copied(),
        };
        (name.clone(), of)
    };
    Ok(Work::Authors(Box::new(AuthorsWork {
        system: rules.system.clone(),
        run: run.id.clone(),
        step: step.clone(),
        repositories: rules.repositories.iter().map(of).collect(),
    })))
}

/// The newest commit of every repository that an artifact of this run is of.
fn made_from(system: &System, run: &Run) -> CommitSet {
    let newest =
        |points: super::origin::Points| points.into_iter().max_by_key(|point| (point.stage == run.stage, point.order));
    let of = provenance::of_run(system, run).into_iter();
    of.filter_map(|(repository, points)| Some((repository, newest(points)?.commit.clone()))).collect()
}

pub(super) fn step_work(rules: &Rules, run: &Run, id: &StepId, phase: Phase) -> Result<StepWork, String> {
    let step = run.step(id).ok_or_else(|| format!("{} has no step {id}", run.id))?;
    let stage =
        rules.stages.get(&run.stage).ok_or_else(|| format!("the rules no longer have the stage {}", run.stage))?;
    let before = run.before(step);
    let started_ms = step.started_ms.unwrap_or(run.created_ms);
    Ok(StepWork {
        key: run.key(&rules.system, step),
        phase,
        handle: step.handle.clone(),
        system: rules.system.clone(),
        run: run.id.clone(),
        step: id.clone(),
        stage: run.stage.clone(),
        environment: stage.environment.clone(),
        branch: rules.branch(&run.stage).to_owned(),
        branches: rules.stages.keys().map(|stage| rules.branch(stage).to_owned()).collect(),
        hotfix: run.hotfix.clone(),
        task: Task::clone(&step.task),
        source: run.source.clone(),
        tag: run.tag().map(str::to_owned),
        set: run.set.clone(),
        urls: rules.repositories.iter().map(|(name, repository)| (name.clone(), repository.url.clone())).collect(),
        deployed: Vec::new(),
        rebuild: matches!(run.cause, Cause::Schedule { .. }),
        pinned_by: pinned_by(run, step),
        made_from: CommitSet::default(),
        pin_places: Vec::new(),
        signed_since: CommitSet::default(),
        target: None,
        shared: false,
        approved: before.iter().rev().find_map(|step| step.answers.last()).map(|answer| answer.digest.clone()),
        inputs: before
            .into_iter()
            .map(|earlier| StepOutput {
                step: earlier.id.clone(),
                kind: earlier.task.kind().name.to_owned(),
                outputs: earlier.outputs.clone(),
                artifacts: earlier.artifacts.clone(),
            })
            .collect(),
        started_ms,
        deadline_ms: step.deadline_ms(started_ms),
    })
}

/// The commit steps after a build whose values name what it makes.
fn pinned_by(run: &Run, build: &StepRun) -> Vec<Commit> {
    if !build.task.kind().builds() {
        return Vec::new();
    }
    let names_it = |value: &Value| {
        let names = template::names_within(value).unwrap_or_default();
        names.iter().any(|name| name.first().is_some_and(|first| first == build.id.as_str()))
    };
    let later = run.steps.iter().filter(|step| run.before(step).iter().any(|before| before.id == build.id));
    let commits = later.filter_map(|step| match &*step.task {
        Task::Action(Action::Commit(commit)) => Some(commit),
        _ => None,
    });
    let narrowed = commits.map(|commit| {
        let set = commit.set.iter().filter(|(_, value)| names_it(value));
        Commit { set: set.map(|(pointer, value)| (pointer.clone(), value.clone())).collect(), ..commit.clone() }
    });
    narrowed.filter(|commit| !commit.set.is_empty()).collect()
}
