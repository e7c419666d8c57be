//! Why something has not moved: every waiting thing names what it waits for, and who or what can end it (I7).

mod ahead;
mod ancestry;
mod chain;
mod journey;
mod own;
mod question;
mod route;
mod running;
mod words;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    access::{Access, Permission},
    effect::{EffectKind, Phase},
    gate::approval::{self, Voice},
    obstacles,
    run::Run,
    state::System,
    step_run::{StepRun, StepState},
    task::Task,
};
use crate::rules::{Action, Moves};

pub use super::moment::time;
pub use ancestry::{Ancestry, Landing};
pub use chain::{Condition, Verdict, chain};
pub use journey::{Journey, journey};
pub use own::{made_here, made_in};

/// What ends a wait that should have ended already. No state that the engine makes has one: it would be a lost wake-up.
pub(super) const BY_THE_NEXT_EVENT: &str = "the engine, with the next event";

/// What something waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Waiting {
    /// For what, as a clause: "approval by release-managers (0 of 2)".
    pub for_what: String,
    /// Since when: milliseconds since 1970, UTC.
    pub since_ms: i64,
    /// The earliest moment at which it can end, where the clock ends it.
    pub until_ms: Option<i64>,
    /// When it fails if nobody ends it before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_ms: Option<i64>,
    /// Who or what can end it.
    pub ended_by: String,
}

impl Waiting {
    /// What only its end can end.
    fn of(for_what: impl Into<String>, since_ms: i64, ended_by: impl Into<String>) -> Self {
        let (for_what, ended_by) = (for_what.into(), ended_by.into());
        Self { for_what, since_ms, until_ms: None, expires_ms: None, ended_by }
    }

    /// What waits for both: for whichever ends last, and each is ended by its own.
    fn and(self, other: Self) -> Self {
        Self {
            for_what: format!("{}; and {}", self.for_what, other.for_what),
            since_ms: self.since_ms.min(other.since_ms),
            until_ms: self.until_ms.max(other.until_ms),
            expires_ms: self.expires_ms.into_iter().chain(other.expires_ms).min(),
            ended_by: format!("{}; and {}", self.ended_by, other.ended_by),
        }
    }
}

/// What a run waits for; `None` when it has ended. A run that works waits for its active steps.
#[must_use]
pub fn run(system: &System, run: &Run) -> Option<Waiting> {
    if run.state.is_ended() {
        return None;
    }
    let first = |state| run.steps.iter().find(|step| step.state == state);
    let gate = run.steps.iter().find(|step| step.state == StepState::Active && step.task.kind().is_gate());
    match gate.or_else(|| first(StepState::Active)).or_else(|| first(StepState::Ready)) {
        Some(waiting) => step(system, run, waiting),
        None => Some(Waiting::of("its end to be recorded", run.created_ms, BY_THE_NEXT_EVENT)),
    }
}

/// What a step waits for; `None` when it has ended.
#[must_use]
pub fn step(system: &System, run: &Run, step: &StepRun) -> Option<Waiting> {
    let kind = step.task.kind();
    if let Some(act) = next_act(run, step) {
        return self::step(system, run, act);
    }
    match step.state {
        StepState::Done | StepState::Failed | StepState::Cancelled => None,
        StepState::Blocked => Some(blocked(run, step)),
        StepState::Active if !kind.is_gate() && kind.moves != Moves::Others => Some(active(system, run, step)),
        StepState::Ready | StepState::Active => Some(kept(system, run, step)),
    }
}

/// The act that a step with a plan waits for, while it does nothing itself.
fn next_act<'run>(run: &'run Run, step: &'run StepRun) -> Option<&'run StepRun> {
    let acts = step.state == StepState::Active && step.planned.is_some() && step.effect.is_none();
    let first = |state| run.acts(&step.id).find(|act| act.state == state);
    acts.then(|| first(StepState::Active).or_else(|| first(StepState::Ready))).flatten()
}

fn blocked(run: &Run, step: &StepRun) -> Waiting {
    let open = step.needs.iter().filter(|need| run.step(need).is_none_or(|need| need.state != StepState::Done));
    let open: Vec<String> = open.map(ToString::to_string).collect();
    Waiting::of(open.join(", "), run.created_ms, "the steps before it")
}

/// Since when all that a step needs is done: milliseconds since 1970, UTC.
fn ready_ms(run: &Run, step: &StepRun) -> i64 {
    let needs = step.needs.iter().filter_map(|need| run.step(need)?.ended_ms);
    needs.fold(run.created_ms, i64::max)
}

/// What holds a step whatever else is free; `None` when nothing does.
#[must_use]
pub fn held(system: &System, run: &Run, step: &StepRun) -> Option<Waiting> {
    let holds = obstacles::holds(system, run, step, system.at_ms);
    holds.filter_map(|hold| hold.waiting(system, run, step)).reduce(Waiting::and)
}

/// By what it is known who wrote what a run asked about, once git has said it: the signatures of these, the names of those.
#[must_use]
pub fn known_by(system: &System, run: &Run) -> Option<String> {
    let written =
        run.steps.iter().rev().find_map(|step| step.written()).filter(|written| !written.authors.is_empty())?;
    Some(system.access.as_ref().map(|in_force| &in_force.access).unwrap_or(&Access::default()).known_by(written))
}

/// All that keeps a step from starting, or from passing.
fn kept(system: &System, run: &Run, step: &StepRun) -> Waiting {
    let obstacles = obstacles::obstacles(system, run, step, system.at_ms).into_iter();
    let waiting = obstacles.filter_map(|obstacle| obstacle.waiting(system, run, step)).reduce(Waiting::and);
    waiting.unwrap_or_else(|| Waiting::of("its start", ready_ms(run, step), BY_THE_NEXT_EVENT))
}

fn gate(system: &System, run: &Run, step: &StepRun) -> Waiting {
    let since_ms = step.started_ms.unwrap_or(run.created_ms);
    let due_ms = step.effect.as_ref().and_then(|id| system.due.get(id)).map(|effect| effect.due_ms);
    if let Some(quorum) = step.task.quorum(&run.stage) {
        let who = if quorum.from.is_empty() { "anybody".to_owned() } else { quorum.from.join(", ") };
        let (given, count, id) = (approval::standing(system, run, step, system.at_ms).count(), quorum.count, &run.id);
        let expires = due_ms.map_or_else(String::new, |due_ms| format!("; it expires at {}", time(due_ms)));
        let people = who_may(system, run, step, &who);
        let (first, then) = for_git(system, step);
        let made = made_here(system, run).map_or_else(String::new, |made| format!("; {made}"));
        let doubts = approval::doubts(system, run, step).map_or_else(String::new, |why| {
            format!("; not all who wrote it are known ({why}), so that it takes the permission `override`")
        });
        let for_what = format!("approval by {who} ({given} of {count}){made}{doubts}{first}");
        let ended_by = format!("{then}{people}: `tidegate approve {id}` or `tidegate reject {id} --reason …`{expires}");
        return Waiting { expires_ms: due_ms, ..Waiting::of(for_what, since_ms, ended_by) };
    }
    if *step.task == Task::FanIn {
        let (for_what, ended_by) = super::provenance::fan_in::explained(system, run);
        return Waiting::of(for_what, since_ms, ended_by);
    }
    let for_what = match &*step.task {
        Task::Soak { .. } => "the soak time after its verification",
        task => task.kind().name,
    };
    Waiting { until_ms: due_ms, ..Waiting::of(for_what, since_ms, "the clock") }
}

/// What is said of a question until git has said who wrote what it is about: beside what waits, and before who ends it.
fn for_git(system: &System, step: &StepRun) -> (String, String) {
    let Some(asked) = step.authorship.as_ref().filter(|asked| asked.written.is_none()) else {
        return Default::default();
    };
    let due_ms = asked.effect.as_ref().and_then(|id| system.due.get(id)).map(|effect| effect.due_ms);
    match (&asked.error, due_ms) {
        (Some(error), Some(due_ms)) => (
            format!("; git is asked who wrote it, and could not say ({} tries so far): {error}", asked.tries),
            format!("git, which is asked again at {}; then ", time(due_ms)),
        ),
        _ => ("; git is asked who wrote it".to_owned(), "git's answer; then ".to_owned()),
    }
}

/// Who may answer, by name where the people are known.
fn who_may(system: &System, run: &Run, step: &StepRun, asked: &str) -> String {
    if system.access.as_ref().is_none_or(|in_force| in_force.access.people.is_empty()) {
        let author_may = step.task.quorum(&run.stage).is_some_and(|quorum| quorum.author_may_approve);
        return format!("{asked}{}", if author_may { "" } else { ", but not an author of a change in it" });
    }
    let named = |(name, voice): (String, Voice)| match voice {
        Voice::Own => name,
        Voice::InPlaceOf(of) => format!("{name} (in the place of {of})"),
    };
    let people: Vec<String> = approval::deciders(system, run, step).into_iter().map(named).collect();
    let given = approval::standing(system, run, step, system.at_ms).count();
    let missing = step.task.quorum(&run.stage).map_or(1, |quorum| quorum.count as usize).saturating_sub(given);
    match people.as_slice() {
        [] => {
            let in_force = system.access.as_ref().filter(|_| approval::doubts(system, run, step).is_some());
            let holders = in_force.map_or_else(String::new, |in_force| {
                let holders = in_force.access.holders(Permission::Override, Some(&run.stage));
                format!("; it takes the permission `override`, which these have: {holders}")
            });
            format!(
                "nobody who is known and may still ({asked} are asked; authors and those who answered are not{holders})"
            )
        }
        people if people.len() < missing => {
            format!("{}, which is not enough: {missing} more are needed", people.join(", "))
        }
        people => people.join(", "),
    }
}

fn active(system: &System, run: &Run, step: &StepRun) -> Waiting {
    let since_ms = step.started_ms.unwrap_or(run.created_ms);
    let pending = step.effect.as_ref().and_then(|id| system.due.get(id));
    let cancelling = pending.is_some_and(|effect| matches!(effect.kind, EffectKind::Step { phase: Phase::Cancel, .. }));
    let deadline_ms = step.deadline_ms(since_ms);
    let for_what = match (&step.progress, &step.error) {
        _ if cancelling => format!("{} to be cancelled", step.id),
        (Some(progress), _) => match &*step.task {
            Task::Action(Action::Check(check)) => {
                format!("{}: {} ({progress})", step.id, question::of_run(system, run, step, check))
            }
            _ => format!("{}: {progress}", step.id),
        },
        (None, Some(error)) => format!("{} to be tried again ({} tries so far): {error}", step.id, step.tries),
        (None, None) => step.id.to_string(),
    };
    let again = pending.filter(|_| step.error.is_some()).map(|effect| effect.due_ms);
    let ended_by = format!("its outcome, or its deadline at {}", time(deadline_ms));
    Waiting { until_ms: again, ..Waiting::of(for_what, since_ms, ended_by) }
}
