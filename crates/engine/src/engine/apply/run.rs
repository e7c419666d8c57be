//! Folds the facts of runs and their steps.

use std::sync::Arc;

use crate::engine::{
    fact::{RunFact, StepFact},
    made::Made,
    run::{Run, RunState},
    shared::Shared,
    state::System,
    step_run::{Planned, StepRun, StepState, Steps, VoidAnswer},
    task::{Back, Task},
};
use crate::rules::StepId;

pub(super) fn step_mut<'system>(system: &'system mut System, run: u64, step: &StepId) -> Option<&'system mut StepRun> {
    system.runs.get_mut(&run)?.steps.get_mut(step)
}

pub(super) fn made(system: &mut System, run: &Shared<Run>) {
    system.runs_made = run.number;
    system.runs.insert(run.number, run.clone());
}

pub(super) fn apply(system: &mut System, number: u64, fact: &RunFact) {
    let Some(run) = system.runs.get_mut(&number) else { return };
    match fact {
        RunFact::Began => run.state = RunState::Running,
        RunFact::Ending { ends_as, reason } => {
            (run.state, run.ends_as, run.reason) = (RunState::Ending, Some(*ends_as), Some(reason.clone()));
        }
        RunFact::Ended { state, reason, at_ms } => {
            (run.state, run.ended_ms) = (*state, Some(*at_ms));
            run.reason.clone_from(reason);
            system.ended.push_back(number);
        }
        RunFact::Retried => {
            (run.state, run.ended_ms, run.ends_as, run.reason) = (RunState::Queued, None, None, None);
            system.ended.retain(|ended| *ended != number);
        }
        RunFact::Planned { step, plan, acts } => planned(run, step, plan, acts),
        RunFact::PlanDropped { step } => plan_dropped(run, step),
        RunFact::Forgotten => {
            system.runs.remove(&number);
            system.ended.retain(|ended| *ended != number);
        }
        RunFact::Marked(mark) => run.hotfix = Some(mark.clone()),
        RunFact::Attributed { authors, others_wrote } => {
            (run.authors, run.others_wrote) = (authors.clone(), *others_wrote);
        }
        RunFact::ContentSet { set, origin, authors, others_wrote } => {
            (run.set, run.origin) = (set.clone(), origin.clone());
            (run.authors, run.others_wrote) = (authors.clone(), *others_wrote);
        }
    }
}

pub(super) fn apply_step(system: &mut System, run: u64, step: &StepId, fact: &StepFact) {
    let Some(step) = step_mut(system, run, step) else { return };
    match fact {
        StepFact::Ready => step.state = StepState::Ready,
        StepFact::Started { at_ms } => {
            (step.state, step.started_ms, step.ended_ms) = (StepState::Active, Some(*at_ms), None);
            empty(step);
            step.made = Made::Nothing;
        }
        StepFact::Waited { ms } => step.waited_ms = step.waited_ms.saturating_add(*ms),
        StepFact::Polled { handle, progress } => {
            step.handle = Some(handle.clone());
            step.progress.clone_from(progress);
            (step.tries, step.error) = (0, None);
        }
        StepFact::Nudged => step.nudged = true,
        StepFact::Tried { error, progress } => {
            step.tries += 1;
            step.error = error.clone().or_else(|| step.error.take());
            step.progress = progress.clone().or_else(|| step.progress.take());
        }
        StepFact::Overdue { error, hint } => {
            (step.error, step.hint) = (Some(error.clone()), Some(hint.clone()));
        }
        StepFact::Cancelling => step.tries = 0,
        StepFact::Done { outputs, artifacts, made, at_ms } => {
            (step.state, step.ended_ms) = (StepState::Done, Some(*at_ms));
            (step.outputs, step.artifacts, step.made) = (outputs.clone(), artifacts.clone(), made.clone());
            (step.error, step.hint, step.progress) = (None, None, None);
        }
        StepFact::Failed { error, hint, at_ms } => {
            (step.state, step.ended_ms, step.progress) = (StepState::Failed, Some(*at_ms), None);
            (step.error, step.hint) = (error.clone(), hint.clone());
        }
        StepFact::Cancelled { hint, at_ms } => {
            (step.state, step.ended_ms, step.progress) = (StepState::Cancelled, Some(*at_ms), None);
            step.hint = hint.clone().or_else(|| step.hint.take());
        }
        StepFact::PutBack { state, round } => put_back(step, *state, *round),
        StepFact::Skipped { because } => step.skipped = Some(because.clone()),
        StepFact::Undone { hint } => (step.state, step.hint) = (StepState::Cancelled, Some(hint.clone())),
        StepFact::Answered(answer) => step.answers.push(answer.clone()),
        StepFact::AnswerWithdrawn { by } => step.answers.retain(|answer| answer.by.name != *by),
        StepFact::AnswerVoided { by, because } => void(step, by, because),
        StepFact::VoidForgotten { count } => drop(step.void.drain(..(*count).min(step.void.len()))),
        StepFact::AuthorshipSet(authorship) => step.authorship = Some(authorship.clone()),
        StepFact::KeptSet { kept } => {
            if let Task::CheckMerge(merge) | Task::Merge(merge) = Arc::make_mut(&mut step.task) {
                merge.kept.clone_from(kept);
            }
        }
        StepFact::LeavesSet { from: leaves } => {
            if let Task::CheckRestore(restore) | Task::Restore(restore) = Arc::make_mut(&mut step.task)
                && let Back::ToVersion { from, .. } = &mut restore.back
            {
                *from = Some(leaves.clone());
            }
        }
        StepFact::ReleaseTried { since_ms } => {
            if let Task::Release(member) = Arc::make_mut(&mut step.task) {
                member.since_ms = *since_ms;
            }
        }
    }
}

/// The acts stand where the step that planned them stands, before it: it is done when they are.
fn planned(run: &mut Run, by: &StepId, plan: &Planned, acts: &Steps) {
    let is_left = |step: &StepRun| step.task.planned_by() == Some(by) && step.state != StepState::Done;
    run.steps.change(|steps| {
        steps.retain(|step| !is_left(step));
        let place = steps.iter().take_while(|step| step.id != *by).count();
        if let Some(step) = steps.get_mut(place) {
            step.planned = Some(Box::new(plan.clone()));
        }
        steps.splice(place..place, acts.shared());
    });
}

fn plan_dropped(run: &mut Run, by: &StepId) {
    run.steps.change(|steps| {
        steps.retain(|step| step.task.planned_by() != Some(by));
        for step in steps.iter_mut().filter(|step| step.id == *by) {
            step.planned = None;
        }
    });
}

fn put_back(step: &mut StepRun, state: StepState, round: u32) {
    if step.round != round {
        (step.round, step.ticks) = (round, 0);
    }
    (step.state, step.tries, step.waited_ms) = (state, 0, 0);
    (step.started_ms, step.ended_ms, step.skipped) = (None, None, None);
    (step.handle, step.progress, step.error, step.hint) = (None, None, None, None);
    empty(step);
    if !step.artifacts.is_empty() {
        step.artifacts = Shared::default();
    }
    step.made = Made::Nothing;
}

fn empty(step: &mut StepRun) {
    if !step.outputs.is_empty() {
        step.outputs = Shared::default();
    }
}

fn void(step: &mut StepRun, by: &str, because: &str) {
    if let Some(position) = step.answers.iter().position(|answer| answer.by.name == by) {
        let answer = step.answers.remove(position);
        step.void.push(VoidAnswer { answer, because: because.to_owned() });
    }
}
