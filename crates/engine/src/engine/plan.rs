//! Plans: the steps of a run, made from a rule or a promotion, once, when the run is made.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::json;

use super::{
    authorship::{Authorship, Written},
    content::{Artifact, Bundle, CommitSet},
    leads,
    made::Made,
    shared::Shared,
    step_run::{StepRun, StepState, Steps},
    task::Member,
};
use crate::rules::{
    Action, BUNDLE, CHECK_WITHIN, Check, Conditions, Day, Operation, Promotion, RepositoryName, Requirement, Retry,
    Rule, Rules, Span, StageName, Step, StepId, Target,
};

pub use super::task::{Act, Back, Maker, Merge, Restore, Task, Wanted};

/// How long a step may take when its rule does not say: an hour covers a slow image build, and still ends.
pub const STEP_TIMEOUT: Span = Span::from_secs(3_600);
/// How a step is tried again when its rule does not say: ten tries over about a quarter of an hour outlast a restart
/// of the outside system.
pub const STEP_RETRY: Retry = Retry { attempts: 10, backoff: Span::from_secs(2) };
/// How long a promotion waits for the others of its release: people of several systems have to approve theirs.
pub const RELEASE_TIMEOUT: Span = Span::from_secs(30 * 24 * 3_600);
/// The longest wait between two tries.
pub const LONGEST_BACKOFF_MS: i64 = 600_000;

pub(super) fn planned(
    id: StepId,
    task: Task,
    needs: Vec<StepId>,
    timeout: Option<Span>,
    retry: Option<Retry>,
) -> StepRun {
    StepRun {
        id,
        task: Arc::new(task),
        state: if needs.is_empty() { StepState::Ready } else { StepState::Blocked },
        needs,
        retry: retry.unwrap_or(STEP_RETRY),
        timeout_ms: timeout.unwrap_or(STEP_TIMEOUT).as_ms(),
        round: 1,
        tries: 0,
        ticks: 0,
        effect: None,
        started_ms: None,
        waited_ms: 0,
        ended_ms: None,
        handle: None,
        progress: None,
        outputs: Shared::default(),
        made: Made::Nothing,
        artifacts: Shared::default(),
        error: None,
        hint: None,
        answers: Vec::new(),
        void: Vec::new(),
        authorship: None,
        planned: None,
        skippable: false,
        skipped: None,
        nudged: false,
    }
}

/// A check, which is given its own time to pass.
fn planned_check(id: StepId, check: &Check, needs: Vec<StepId>) -> StepRun {
    let within = check.within.unwrap_or(CHECK_WITHIN);
    planned(id, Task::Action(Action::Check(check.clone())), needs, Some(within), None)
}

/// Which of these steps a hotfix skips.
fn with_hotfix_lane(rules: &Rules, mut steps: Vec<StepRun>) -> Vec<StepRun> {
    for step in &mut steps {
        step.skippable =
            step.task.kind().a_hotfix_may_skip && rules.hotfix.as_ref().is_some_and(|lane| lane.skips(&step.id));
    }
    steps
}

/// The days of the calendars that a window heeds.
#[must_use]
pub fn holidays(rules: &Rules, conditions: &Conditions) -> Vec<Day> {
    let days = conditions.holidays.iter().filter_map(|name| rules.calendars.get(name)).flatten();
    days.filter_map(|day| day.parse().ok()).collect()
}

/// The steps of a rule at a stage. First it waits for what it combines to be of the same origin, where it combines
/// anything; then what the stage demands of the rule's repository is checked. A step that is not for this stage is left
/// out, and those that needed it need what it needed.
#[must_use]
pub(super) fn of_rule(rules: &Rules, rule: &Rule, stage: &StageName, combines: bool) -> Vec<StepRun> {
    let mut steps = Vec::with_capacity(rule.steps.len() + 2);
    if combines {
        steps.push(planned(StepId::of_engine("fan-in", ""), Task::FanIn, Vec::new(), None, None));
    }
    let mut first: Vec<StepId> = steps.iter().map(|step| step.id.clone()).collect();
    let demands = rule.repository().map_or_else(Vec::new, |repository| requirements(rules, stage, repository));
    if !demands.is_empty() {
        let require = planned(StepId::of_engine("require", ""), Task::Require(demands), first, None, None);
        first = vec![require.id.clone()];
        steps.push(require);
    }
    let mut previous = first.clone();
    let mut left_out: BTreeMap<StepId, Vec<StepId>> = BTreeMap::new();
    for step in &rule.steps {
        let id = step.id();
        let Step { id: _, needs, stages, timeout, retry, action } = step;
        let needs = match needs.as_deref() {
            Some([]) => first.clone(),
            Some(named) => named
                .iter()
                .flat_map(|need| left_out.get(need).cloned().unwrap_or_else(|| vec![need.clone()]))
                .collect(),
            None => previous.clone(),
        };
        if stages.as_ref().is_some_and(|stages| !stages.contains(stage)) {
            left_out.insert(id, needs);
            continue;
        }
        let timeout = match action {
            Action::Check(check) => timeout.or(check.within).or(Some(CHECK_WITHIN)),
            _ => *timeout,
        };
        steps.push(planned(id.clone(), Task::Action(action.clone()), needs, timeout, *retry));
        previous = vec![id];
    }
    with_hotfix_lane(rules, with_plans_shown(steps, stage))
}

/// Has the target looked at, and its plan made, before people are asked about what is done to it: they see the plan.
fn with_plans_shown(mut steps: Vec<StepRun>, stage: &StageName) -> Vec<StepRun> {
    let planning: Vec<StepId> = steps.iter().filter(|step| step.task.plans()).map(|step| step.id.clone()).collect();
    for id in planning {
        let asks = |step: &StepRun| step.task.quorum(stage).is_some() && comes_after(&steps, &id, &step.id);
        let Some(place) = steps.iter().position(asks) else { continue };
        let (needs, shown) = (steps[place].needs.clone(), StepId::of_act(&id, "plan"));
        let timeout = Span::from_ms(steps.iter().find(|step| step.id == id).map_or(0, |step| step.timeout_ms));
        steps.insert(place, planned(shown.clone(), Task::Plan(id.clone()), needs, Some(timeout), None));
        // Whoever is asked first sees it; what is asked later comes after that.
        let first = &mut steps[place + 1];
        (first.needs, first.state) = (vec![shown], StepState::Blocked);
    }
    steps
}

/// Whether a step comes after another, directly or through others.
fn comes_after(steps: &[StepRun], later: &StepId, earlier: &StepId) -> bool {
    let mut waiting = vec![later];
    let mut seen = std::collections::BTreeSet::new();
    while let Some(id) = waiting.pop() {
        if id == earlier {
            return later != earlier;
        }
        if seen.insert(id) {
            waiting.extend(steps.iter().filter(|step| step.id == *id).flat_map(|step| &step.needs));
        }
    }
    false
}

/// The steps of what somebody asked of a target: people are asked where the target says so.
#[must_use]
pub(super) fn of_operation(
    target: &Target,
    operation: Operation,
    stage: &StageName,
    by: &std::collections::BTreeSet<String>,
) -> Vec<StepRun> {
    let mut steps = Vec::new();
    let mut needs = Vec::new();
    if let Some(quorum) = target.approvals.get(&operation) {
        let id = StepId::of_engine("approve", "");
        let mut asks = planned(id.clone(), Task::Consent(quorum.clone()), Vec::new(), None, None);
        let written = Some(Written { authors: by.clone(), ..Written::default() });
        asks.authorship = Some(Authorship { written, ..Authorship::default() }.into());
        steps.push(asks);
        needs.push(id);
    }
    let id = StepId::of_engine(operation.name(), "");
    steps.push(planned(id, Task::Operate(operation), needs, None, None));
    with_plans_shown(steps, stage)
}

/// The steps of a run that begins with a fan-in, also where its rule combines nothing.
pub(super) fn behind_fan_in(steps: Steps) -> Steps {
    if steps.iter().any(|step| *step.task == Task::FanIn) {
        return steps;
    }
    behind(planned(StepId::of_engine("fan-in", ""), Task::FanIn, Vec::new(), None, None), steps)
}

/// The steps of a run that works on what somebody brought: for those after it, it is what a step made.
pub(super) fn behind_bundle(bundle: &Bundle, at_ms: i64, steps: Steps) -> Steps {
    let Bundle { name, uri, sha256, bytes } = bundle;
    let mut brought = planned(StepId::of_engine("bundle", ""), Task::Bundle, Vec::new(), None, None);
    (brought.state, brought.ended_ms) = (StepState::Done, Some(at_ms));
    let outputs = BUNDLE.into_iter().zip([json!(name), json!(uri), json!(sha256), json!(bytes)]);
    brought.outputs = outputs.map(|(name, value)| (name.to_owned(), value)).collect();
    brought.artifacts =
        vec![Artifact { kind: "bundle".into(), name: format!("sha256:{sha256}").into(), uri: uri.as_str().into() }]
            .into();
    behind(brought, steps)
}

/// These steps, after one that none of them needed before.
fn behind(first: StepRun, mut steps: Steps) -> Steps {
    steps.change(|steps| {
        for step in steps.iter_mut().filter(|step| step.needs.is_empty()) {
            (step.needs, step.state) = (vec![first.id.clone()], StepState::Blocked);
        }
        steps.insert(0, first.into());
    });
    steps
}

/// What a promotion is made of besides its rules and its set.
#[derive(Debug, Clone, Default)]
pub struct Terms {
    /// When the set was verified: milliseconds since 1970, UTC.
    pub verified_ms: i64,
    /// The heads of the stage that it comes from, when it may go back to an older version; else empty.
    pub back_from: CommitSet,
    /// The release that it is a part of, and since when.
    pub release: Option<Member>,
}

/// The steps of a promotion: its conditions, then every merge is checked before any is made, so that a conflict in one
/// repository leaves all of them as they were.
#[must_use]
pub fn of_promotion(rules: &Rules, promotion: &Promotion, set: &CommitSet, terms: &Terms) -> Vec<StepRun> {
    let mut steps: Vec<StepRun> = Vec::new();
    let conditions = &promotion.requires;
    let mut gate: Vec<StepId> = Vec::new();
    let push = |steps: &mut Vec<StepRun>, gate: &mut Vec<StepId>, kind: &str, task: Task| {
        let id = StepId::of_engine(kind, "");
        steps.push(planned(id.clone(), task, std::mem::replace(gate, vec![id]), None, None));
    };
    if let Some(soak) = conditions.soak {
        push(&mut steps, &mut gate, "soak", Task::Soak { until_ms: terms.verified_ms + soak.as_ms() });
    }
    if !conditions.checks.is_empty() {
        let checks = conditions.checks.iter().map(|(id, check)| planned_check(id.clone(), check, gate.clone()));
        steps.extend(checks.collect::<Vec<_>>());
        gate = conditions.checks.keys().cloned().collect();
    }
    if let Some(quorum) = conditions.approvals.clone() {
        push(&mut steps, &mut gate, "approve", Task::Consent(quorum));
    }
    if let Some(window) = conditions.window.clone() {
        let holidays = holidays(rules, conditions);
        push(&mut steps, &mut gate, "window", Task::Window { window, holidays });
    }
    let merges: Vec<Merge> = rules
        .repositories
        .keys()
        .filter_map(|repository| Some((repository, set.get(repository)?)))
        .map(|(repository, commit)| Merge {
            repository: repository.clone(),
            commit: commit.clone(),
            branch: rules.branch(&promotion.from).to_owned(),
            pins: pins(rules, repository),
            kept: Vec::new(),
            makers: makers(rules, repository, &promotion.to),
            requires: requirements(rules, &promotion.to, repository),
            back_from: terms.back_from.get(repository).cloned(),
        })
        .collect();
    let id = |kind: &str, merge: &Merge| StepId::of_engine(kind, merge.repository.as_str());
    let checks: Vec<StepId> = merges.iter().map(|merge| id("check", merge)).collect();
    for merge in &merges {
        steps.push(planned(id("check", merge), Task::CheckMerge(merge.clone()), gate.clone(), None, None));
    }
    let mut checked = checks;
    if let Some(member) = &terms.release {
        let task = Task::Release(member.clone());
        steps.push(planned(StepId::of_engine("release", ""), task, checked, Some(RELEASE_TIMEOUT), None));
        checked = vec![StepId::of_engine("release", "")];
    }
    for merge in merges {
        steps.push(planned(id("merge", &merge), Task::Merge(merge), checked.clone(), None, None));
    }
    with_hotfix_lane(rules, steps)
}

/// The steps of a way back: all of it is computed before any is made, so that a conflict leaves every repository as it
/// was.
#[must_use]
pub fn of_way_back(rules: &Rules, stage: &StageName, restores: Vec<Restore>) -> Vec<StepRun> {
    let restores = restores.into_iter().filter(|restore| rules.repositories.contains_key(&restore.repository));
    let restores = restores.map(|restore| Restore {
        pins: pins(rules, &restore.repository),
        makers: makers(rules, &restore.repository, stage),
        ..restore
    });
    let restores: Vec<Restore> = restores.collect();
    let id = |kind: &str, restore: &Restore| StepId::of_engine(kind, restore.repository.as_str());
    let checks: Vec<StepId> = restores.iter().map(|restore| id("check", restore)).collect();
    let checked = restores
        .iter()
        .map(|restore| planned(id("check", restore), Task::CheckRestore(restore.clone()), Vec::new(), None, None));
    let made = restores
        .iter()
        .map(|restore| planned(id("restore", restore), Task::Restore(restore.clone()), checks.clone(), None, None));
    checked.chain(made).collect()
}

/// What a stage demands of one repository.
fn requirements(rules: &Rules, stage: &StageName, repository: &RepositoryName) -> Vec<Requirement> {
    let demands = rules.stages.get(stage).map(|stage| stage.requires.as_slice()).unwrap_or_default();
    demands.iter().filter(|demand| demand.repository == *repository).cloned().collect()
}

/// The places in a repository that rules write pins to: file and JSON pointer, each once.
fn pins(rules: &Rules, repository: &RepositoryName) -> Vec<(String, String)> {
    let commits = rules.rules.values().flat_map(|rule| &rule.steps).filter_map(|step| match &step.action {
        Action::Commit(commit) if commit.repository == *repository => Some(commit),
        _ => None,
    });
    let places: std::collections::BTreeSet<_> =
        commits.flat_map(|commit| commit.set.keys().map(|pointer| (commit.file.clone(), pointer.clone()))).collect();
    places.into_iter().collect()
}

/// The rules of a stage that pin what they make of a repository.
fn makers(rules: &Rules, repository: &RepositoryName, stage: &StageName) -> Vec<Maker> {
    let of_it = rules.rules.iter().filter(|(_, rule)| rule.repository() == Some(repository));
    let making = of_it.filter(|(_, rule)| leads::commits(rule, stage).next().is_some());
    making.map(|(name, rule)| Maker { rule: name.clone(), paths: rule.on.paths.clone() }).collect()
}
