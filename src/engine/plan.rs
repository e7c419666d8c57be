//! Plans: the steps of a run, made from a rule or a promotion, once, when the run is made.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    event::CommitSet,
    fan_in,
    ids::CommitId,
    run::{StepRun, StepState},
};
use crate::rules::{
    Action, CHECK_WITHIN, Check, Conditions, Day, Promotion, Quorum, RepositoryName, Requirement, Retry, Rule, Rules,
    Span, StageName, Step, StepId,
};

/// How long a step may take when its rule does not say: an hour covers a slow image build, and still ends.
pub const STEP_TIMEOUT: Span = Span::from_secs(3_600);
/// How a step is tried again when its rule does not say: ten tries over about a quarter of an hour outlast a restart
/// of the outside system.
pub const STEP_RETRY: Retry = Retry { attempts: 10, backoff: Span::from_secs(2) };
/// The longest wait between two tries.
pub const LONGEST_BACKOFF_MS: i64 = 600_000;

/// What a step of a plan does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// What the rule says.
    Action(Action),
    /// Waits until all that is pinned in the run's commit was made from the same commits.
    FanIn,
    /// Checks what the stage demands of its commits.
    Require(Vec<Requirement>),
    /// Waits until so long after the set was verified: milliseconds since 1970, UTC.
    Soak {
        /// The moment.
        until_ms: i64,
    },
    /// Waits for a window of time.
    Window {
        /// As the rules write it.
        window: String,
        /// The days on which it stays shut.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        holidays: Vec<Day>,
    },
    /// Waits for people to approve a promotion.
    Consent(Quorum),
    /// Computes a merge and what the stage demands of it; changes nothing.
    CheckMerge(Merge),
    /// Merges into the stage's branch.
    Merge(Merge),
}

/// A merge of one repository's part of a set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Merge {
    /// The repository.
    pub repository: RepositoryName,
    /// The commit that is merged.
    pub commit: CommitId,
    /// The branch that it is on.
    pub branch: String,
    /// The pins, which the source's side wins: file and JSON pointer.
    pub pins: Vec<(String, String)>,
    /// What the stage that it goes to demands.
    pub requires: Vec<Requirement>,
}

impl Task {
    /// The kind's name, for people.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Action(action) => action.kind(),
            Self::FanIn => "fan-in",
            Self::Require(_) => "require",
            Self::Soak { .. } => "soak",
            Self::Window { .. } => "window",
            Self::Consent(_) => "approve",
            Self::CheckMerge(_) => "check-merge",
            Self::Merge(_) => "merge",
        }
    }

    /// Whether the engine itself decides when it is done, with nothing to do outside.
    #[must_use]
    pub const fn is_gate(&self) -> bool {
        match self {
            Self::Action(Action::Approve(_))
            | Self::FanIn
            | Self::Soak { .. }
            | Self::Window { .. }
            | Self::Consent(_) => true,
            Self::Action(_) | Self::Require(_) | Self::CheckMerge(_) | Self::Merge(_) => false,
        }
    }

    /// Whether it only waits, for the engine, people or something outside: it works on nothing.
    #[must_use]
    pub const fn waits(&self) -> bool {
        self.is_gate() || matches!(self, Self::Action(Action::Check(_)))
    }

    /// Whether the run must hold its target from here on.
    #[must_use]
    pub const fn holds_target(&self) -> bool {
        match self {
            Self::Action(action) => action.holds_target(),
            Self::Merge(_) => true,
            Self::FanIn
            | Self::Require(_)
            | Self::Soak { .. }
            | Self::Window { .. }
            | Self::Consent(_)
            | Self::CheckMerge(_) => false,
        }
    }

    /// Who must approve at this stage, for a step that asks people.
    #[must_use]
    pub fn quorum(&self, stage: &StageName) -> Option<&Quorum> {
        match self {
            Self::Action(Action::Approve(approve)) => approve.stages.get(stage),
            Self::Consent(quorum) => Some(quorum),
            _ => None,
        }
    }

    /// The repository that it commits to, which no other step may do at the same time in the same stage.
    #[must_use]
    pub const fn writes_to(&self) -> Option<&RepositoryName> {
        match self {
            Self::Action(Action::Commit(commit)) => Some(&commit.repository),
            Self::Merge(merge) => Some(&merge.repository),
            _ => None,
        }
    }
}

fn planned(id: StepId, task: Task, needs: Vec<StepId>, timeout: Option<Span>, retry: Option<Retry>) -> StepRun {
    StepRun {
        id,
        task,
        state: if needs.is_empty() { StepState::Ready } else { StepState::Blocked },
        needs,
        retry: retry.unwrap_or(STEP_RETRY),
        timeout_ms: timeout.unwrap_or(STEP_TIMEOUT).as_ms(),
        round: 1,
        tries: 0,
        ticks: 0,
        effect: None,
        started_ms: None,
        ended_ms: None,
        handle: None,
        progress: None,
        outputs: serde_json::Map::new(),
        artifacts: Vec::new(),
        error: None,
        hint: None,
        answers: Vec::new(),
        void: Vec::new(),
        skippable: false,
        skipped: None,
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
        let may_be = matches!(step.task, Task::Soak { .. } | Task::Window { .. } | Task::Action(Action::Check(_)));
        step.skippable = may_be && rules.hotfix.as_ref().is_some_and(|lane| lane.skips(&step.id));
    }
    steps
}

/// The days of the calendars that a window heeds.
pub(super) fn holidays(rules: &Rules, conditions: &Conditions) -> Vec<Day> {
    let days = conditions.holidays.iter().filter_map(|name| rules.calendars.get(name)).flatten();
    days.filter_map(|day| day.parse().ok()).collect()
}

/// The steps of a rule at a stage. First it waits for what it combines to be of the same origin, where it combines
/// anything; then what the stage demands of the rule's repository is checked. A step that is not for this stage is left
/// out, and those that needed it need what it needed.
#[must_use]
pub fn of_rule(rules: &Rules, rule: &Rule, stage: &StageName) -> Vec<StepRun> {
    let mut steps = Vec::with_capacity(rule.steps.len() + 2);
    if fan_in::is_needed(rules, rule, stage) {
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
    with_hotfix_lane(rules, steps)
}

/// The steps of a promotion: its conditions, then every merge is checked before any is made, so that a conflict in one
/// repository leaves all of them as they were.
#[must_use]
pub fn of_promotion(rules: &Rules, promotion: &Promotion, set: &CommitSet, verified_ms: i64) -> Vec<StepRun> {
    let mut steps: Vec<StepRun> = Vec::new();
    let conditions = &promotion.requires;
    let mut gate: Vec<StepId> = Vec::new();
    let push = |steps: &mut Vec<StepRun>, gate: &mut Vec<StepId>, kind: &str, task: Task| {
        let id = StepId::of_engine(kind, "");
        steps.push(planned(id.clone(), task, std::mem::replace(gate, vec![id]), None, None));
    };
    if let Some(soak) = conditions.soak {
        push(&mut steps, &mut gate, "soak", Task::Soak { until_ms: verified_ms + soak.as_ms() });
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
            requires: requirements(rules, &promotion.to, repository),
        })
        .collect();
    let id = |kind: &str, merge: &Merge| StepId::of_engine(kind, merge.repository.as_str());
    let checks: Vec<StepId> = merges.iter().map(|merge| id("check", merge)).collect();
    for merge in &merges {
        steps.push(planned(id("check", merge), Task::CheckMerge(merge.clone()), gate.clone(), None, None));
    }
    for merge in merges {
        steps.push(planned(id("merge", &merge), Task::Merge(merge), checks.clone(), None, None));
    }
    with_hotfix_lane(rules, steps)
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
