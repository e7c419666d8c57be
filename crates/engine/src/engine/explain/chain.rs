//! The chain of conditions of one run: what has passed, what waits, what was refused, and what is not yet its turn. What is
//! active or ready is said by [`super::step`] and [`super::run`] alone, so that a new kind of wait is explained once.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::question;
use crate::{
    engine::{
        command::to_start,
        ids::TargetKey,
        obstacles::heeded_window,
        run::{Run, RunState, Subject},
        state::System,
        step_run::{StepRun, StepState},
        task::Task,
    },
    rules::{Action, Day, Quorum, StepId, Window},
};

/// One condition between a thing and where it is to go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Condition {
    /// Its name: a step, with its run where there are several runs.
    pub name: String,
    /// Whether it holds.
    pub verdict: Verdict,
    /// Since when it is as it is: milliseconds since 1970, UTC.
    pub since_ms: i64,
    /// The earliest moment at which it can pass, where the clock has a say.
    pub earliest_ms: Option<i64>,
    /// When it fails if nobody ends it before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_ms: Option<i64>,
    /// What happened, what it waits for, or why it was refused.
    pub what: String,
    /// Who or what can end it; empty only for what has passed.
    pub ended_by: String,
}

/// Whether a condition holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It does.
    Passed,
    /// It is its turn, and it does not yet.
    Waiting,
    /// It does not, and will not by itself.
    Refused,
    /// Something before it has not passed.
    NotYet,
}

impl Condition {
    pub(super) fn passed(name: impl Into<String>, since_ms: i64, what: impl Into<String>) -> Self {
        Self::of(Verdict::Passed, name, since_ms, what, "")
    }

    pub(super) fn of(
        verdict: Verdict,
        name: impl Into<String>,
        since_ms: i64,
        what: impl Into<String>,
        ended_by: impl Into<String>,
    ) -> Self {
        let (name, what, ended_by) = (name.into(), what.into(), ended_by.into());
        Self { name, verdict, since_ms, earliest_ms: None, expires_ms: None, what, ended_by }
    }

    fn waiting(name: impl Into<String>, waiting: super::Waiting) -> Self {
        let super::Waiting { for_what, since_ms, until_ms, expires_ms, ended_by } = waiting;
        Self { earliest_ms: until_ms, expires_ms, ..Self::of(Verdict::Waiting, name, since_ms, for_what, ended_by) }
    }
}

/// The conditions of a run in the order of its plan; never empty. The state may have forgotten a run that has ended.
#[must_use]
pub fn chain(system: &System, run: &Run) -> Vec<Condition> {
    let earliest = earliest(system, run);
    let steps = run.steps.iter().map(|step| {
        let condition = condition(system, run, step);
        let clock = earliest.get(&step.id).copied().filter(|earliest_ms| *earliest_ms > system.at_ms);
        let open = matches!(condition.verdict, Verdict::Waiting | Verdict::NotYet);
        Condition { earliest_ms: condition.earliest_ms.max(clock).filter(|_| open), ..condition }
    });
    let mut conditions: Vec<Condition> = steps.collect();
    let whole = super::run(system, run).map(|waiting| Condition::waiting("start", waiting));
    let is_said = |whole: &Condition| {
        conditions.iter().any(|step| (&step.what, &step.ended_by) == (&whole.what, &whole.ended_by))
    };
    if let Some(whole) = whole.filter(|whole| !is_said(whole)) {
        conditions.insert(0, whole);
    }
    if run.state.is_ended() {
        conditions.push(end(system, run));
    }
    conditions
}

fn condition(system: &System, run: &Run, step: &StepRun) -> Condition {
    let name = step.id.to_string();
    let since_ms = step.ended_ms.or(step.started_ms).unwrap_or(run.created_ms);
    let over = run.state.is_ended() || run.state == RunState::Ending;
    match super::step(system, run, step) {
        None if step.state == StepState::Done => Condition::passed(name, since_ms, made(system, run, step)),
        None => {
            let what = match (&step.error, step.state) {
                (Some(error), _) => error.clone(),
                (None, StepState::Cancelled) => "it was cancelled".to_owned(),
                (None, _) => "it failed".to_owned(),
            };
            let ended_by = step.hint.clone().unwrap_or_else(|| again(system, run));
            Condition::of(Verdict::Refused, name, since_ms, what, ended_by)
        }
        Some(_) if over && step.state != StepState::Active => {
            let what = format!("{} was not begun: the run has come to its end", asked(system, run, step));
            Condition::of(Verdict::Refused, name, since_ms, what, again(system, run))
        }
        Some(after) if step.state == StepState::Blocked => {
            let what = format!("{}, after {}", asked(system, run, step), after.for_what);
            Condition::of(Verdict::NotYet, name, since_ms, what, after.ended_by)
        }
        Some(waiting) => Condition::waiting(name, waiting),
    }
}

/// What a step that is done has done.
fn made(system: &System, run: &Run, step: &StepRun) -> String {
    if let Some(why) = &step.skipped {
        return format!("skipped, as {why}");
    }
    let by = step.answers.iter().map(|answer| match &answer.in_place_of {
        Some(of) => format!("{} (in the place of {of})", answer.by.said()),
        None => answer.by.said(),
    });
    let by: Vec<String> = by.collect();
    if !by.is_empty() {
        return format!("approved by {}", by.join(", "));
    }
    if step.task.quorum(&run.stage).is_some() {
        return "nobody had to approve it: nothing differs".to_owned();
    }
    let commit = step.made.head().filter(|_| step.made.pins_found_in(&step.task).is_none());
    let commit = commit.and_then(|commit| commit.as_str().get(..10));
    match (&*step.task, step.task.writes_to(), commit) {
        (_, Some(place), Some(commit)) => format!("{} is in {place} {}", commit, run.stage),
        (task, ..) if task.kind().asks_people() => format!("nobody is asked in {}", run.stage),
        (Task::Require(_), ..) => format!("{} has what it demands", run.stage),
        _ => format!("{} is done", asked(system, run, step)),
    }
}

/// What a step asks of the world, as a clause.
fn asked(system: &System, run: &Run, step: &StepRun) -> String {
    if let Some(quorum) = step.task.quorum(&run.stage) {
        return format!("approval by {}", who(quorum));
    }
    match &*step.task {
        Task::Soak { until_ms } => format!("the soak time until {}", super::time(*until_ms)),
        Task::Window { window, .. } => format!("the window {window}"),
        Task::Require(_) => format!("what {} demands", run.stage),
        Task::CheckMerge(merge) => format!("a merge of {} {} without conflict", merge.repository, merge.commit.short()),
        Task::Action(Action::Check(check)) => question::of_run(system, run, step, check),
        Task::CheckRestore(restore) => format!("a way back of {} without conflict", restore.repository),
        Task::Restore(restore) => format!("the way back of {}", restore.repository),
        Task::Release(member) => format!("the other systems of the release {}", member.release.name),
        Task::Merge(merge) => format!("the merge of {} {}", merge.repository, merge.commit.short()),
        task => match task.writes_to() {
            Some(place) => format!("the commit to {place} {}", run.stage),
            None => task.kind().name.to_owned(),
        },
    }
}

/// Whom a quorum asks.
pub(super) fn who(quorum: &Quorum) -> String {
    if quorum.from.is_empty() { "anybody".to_owned() } else { quorum.from.join(", ") }
}

/// How a run ended, and what to do about it.
fn end(system: &System, run: &Run) -> Condition {
    let at_ms = run.ended_ms.unwrap_or(run.created_ms);
    let reason = |otherwise: &str| run.reason.clone().unwrap_or_else(|| otherwise.to_owned());
    if run.state == RunState::Done {
        return Condition::passed("end", at_ms, "all of it succeeded");
    }
    Condition::of(Verdict::Refused, "end", at_ms, reason("it did not succeed"), again(system, run))
}

/// How advice begins that helps only when the run has ended.
const AT_ITS_END: &str = "when it has ended: ";

/// What brings a run that did not succeed, or what it would have brought, on.
pub(super) fn again(system: &System, run: &Run) -> String {
    if let Some(reason) = system.vetoed_run(run) {
        return format!("a better change, for this one never moves again ({reason})");
    }
    let anew = match run.subject {
        Subject::Rule(ref rule) => to_start(system, rule, &run.stage),
        Subject::Promotion { ref from } => format!("`tidegate promote {from} {}`", run.stage),
        Subject::Rules => "a push to the repository of the rules".to_owned(),
        Subject::Operation(operation) => {
            let target = run.target.as_ref().and_then(TargetKey::target).map_or("", |(target, _)| target.as_str());
            format!("`tidegate target {} {target} --stage {}`", operation.name(), run.stage)
        }
        Subject::Rollback | Subject::TakeBack => {
            format!("`tidegate rollback {} --reason …`", run.stage)
        }
    };
    match run.state.is_ended().then_some(run.state).or(run.ends_as).unwrap_or(run.state) {
        RunState::Superseded => "the newer run, which brings what this one would have brought".to_owned(),
        RunState::Rejected => format!("{anew}, when the target is free"),
        _ if run.state.is_ended() => format!("`tidegate retry {}`, or {anew}", run.id),
        _ => format!("{AT_ITS_END}`tidegate retry {}`, or {anew}", run.id),
    }
}

/// The earliest moment at which each step can pass: what the clock demands of it and of all that comes before it.
fn earliest<'run>(system: &System, run: &'run Run) -> BTreeMap<&'run StepId, i64> {
    let mut earliest: BTreeMap<&StepId, i64> = BTreeMap::new();
    for step in &run.steps {
        let after = step.needs.iter().filter_map(|need| earliest.get(need).copied()).max();
        let after_ms = after.unwrap_or(i64::MIN).max(system.at_ms);
        let waiting = match step.state {
            StepState::Blocked => super::held(system, run, step),
            _ => super::step(system, run, step),
        };
        let after_ms = after_ms.max(waiting.and_then(|waiting| waiting.until_ms).unwrap_or(i64::MIN));
        let own_ms = match &*step.task {
            _ if step.ended_ms.is_some() => system.at_ms,
            Task::Soak { until_ms } => after_ms.max(*until_ms),
            _ => match heeded_window(run, step).map(|gate| &*gate.task) {
                Some(Task::Window { window, holidays }) => opening(window, holidays, after_ms),
                _ => after_ms,
            },
        };
        earliest.insert(&step.id, own_ms);
    }
    earliest
}

/// When a window is next open; the moment itself where that cannot be told.
pub(super) fn opening(window: &str, holidays: &[Day], from_ms: i64) -> i64 {
    let window = window.parse::<Window>().ok().map(|window| window.except(holidays.to_vec()));
    window.and_then(|window| window.next_opening(from_ms)).unwrap_or(from_ms)
}
