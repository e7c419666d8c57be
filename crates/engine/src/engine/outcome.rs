//! What came of effects. An outcome of an effect that is no longer pending is late: it is in the log, and changes nothing.

use serde_json::{Map, Value};
use smol_str::SmolStr;

use super::{
    content::{Artifact, Link, StepPlace},
    effect::{EffectKind, Phase, Timer},
    event::{Outcome, StepOutcome},
    fact::{Fact, StepFact, TargetFact},
    heads::MadeHead,
    ids::{CommitId, Digest, EffectId, PinAt, PinnerId, Place, joined},
    made::{Made, Moved, Service},
    origin::Pins,
    plan::LONGEST_BACKOFF_MS,
    run::RunState,
    shared::Shared,
    state::{Deployed, Pin},
    step_run::{StepRun, StepState},
    task::Task,
    turn::Turn,
};
use crate::rules::{Action, Span, StepId};

/// How long a step that goes on is left alone at most, unless it asks for longer: an end is noticed soon enough for people,
/// and a service that is never healthy makes six events a minute.
const LONGEST_PATIENCE_MS: i64 = 10_000;

impl Turn<'_> {
    /// Takes in what came of an effect, which waited so long for a place.
    pub(super) fn outcome(&mut self, id: &EffectId, outcome: &Outcome, waited_ms: i64) {
        let Some(effect) = self.system.due.get(id).filter(|effect| answers(&effect.kind, outcome)).cloned() else {
            return;
        };
        self.drop_effect(id);
        match (effect.kind, outcome) {
            (EffectKind::Watch { repository }, Outcome::Heads { heads, unread, tags }) => {
                self.heads_seen(&repository, heads, unread, tags.as_deref());
            }
            (EffectKind::Watch { repository }, Outcome::Unreachable { error }) => self.unreachable(&repository, error),
            (EffectKind::Timer(Timer::Schedule { rule, stage, instant_ms }), Outcome::Fired) => {
                // Whoever fired it may have a clock that goes before ours; its moment has come all the same.
                self.at_ms = self.at_ms.max(effect.due_ms);
                self.schedule_fired(&rule, &stage, instant_ms);
            }
            (EffectKind::Timer(Timer::Gate { run, step }), Outcome::Fired) => {
                self.at_ms = self.at_ms.max(effect.due_ms);
                if let Some(number) = self.system.run(&run).map(|run| run.number) {
                    self.gate_fired(number, &step);
                }
            }
            (EffectKind::Timer(Timer::Freeze { freeze }), Outcome::Fired) => {
                self.at_ms = self.at_ms.max(effect.due_ms);
                self.freeze_ends(&freeze);
            }
            (EffectKind::Step { run, step, phase }, Outcome::Step(outcome)) => {
                if let Some(number) = self.system.run(&run).map(|run| run.number) {
                    if waited_ms > 0 {
                        self.record_step(number, &step, StepFact::Waited { ms: waited_ms });
                    }
                    self.step_outcome(number, &step, phase, outcome);
                }
            }
            (EffectKind::Authors { run, step }, Outcome::Authors(attribution)) => {
                if let Some(number) = self.system.run(&run).map(|run| run.number) {
                    self.attributed(number, &step, attribution);
                }
            }
            (EffectKind::Observe { target }, Outcome::Observed(seen)) => self.looked_at(&target, Ok(seen)),
            (EffectKind::Observe { target }, Outcome::Unobserved { error }) => self.looked_at(&target, Err(error)),
            (EffectKind::Notify { notice }, Outcome::Notice(delivery)) => self.notice_outcome(notice, delivery),
            _ => unreachable!("an outcome of another kind than its effect settles nothing"),
        }
    }

    fn step_outcome(&mut self, number: u64, id: &StepId, phase: Phase, outcome: &StepOutcome) {
        self.awake.insert(number);
        if phase == Phase::Cancel {
            return self.cancel_outcome(number, id, outcome);
        }
        match outcome {
            StepOutcome::Pending { handle, after_ms, progress } => {
                let polled = StepFact::Polled { handle: handle.clone(), progress: progress.clone() };
                self.record_step(number, id, polled);
                self.poll_later(number, id, *after_ms);
            }
            StepOutcome::Observed(observation) => self.observed(number, id, observation),
            StepOutcome::Done { .. } if self.release_waits_again(number, id) => {}
            StepOutcome::Done { outputs, artifacts, made } => self.done(number, id, outputs, artifacts, made),
            StepOutcome::Retry { error, after_ms } => self.try_again(number, id, phase, error, *after_ms),
            StepOutcome::Failed { error, hint } => self.fail_step(number, id, error.clone(), hint),
            StepOutcome::Cancelled => self.fail_step(number, id, "it was cancelled outside of Tidegate".to_owned(), ""),
        }
    }

    pub(super) fn done(
        &mut self,
        number: u64,
        id: &StepId,
        outputs: &Shared<Map<String, Value>>,
        artifacts: &Shared<Vec<Artifact>>,
        made: &Made,
    ) {
        let (outputs, artifacts, made) = (outputs.clone(), artifacts.clone(), made.clone());
        self.record_step(number, id, StepFact::Done { outputs, artifacts, made, at_ms: self.at_ms });
        self.link(number, id);
        self.step_done(number, id);
        self.wake_writers(number, id);
    }

    /// Looks at a step again later, but not past its deadline: then it is cancelled.
    pub(super) fn poll_later(&mut self, number: u64, id: &StepId, after_ms: i64) {
        let (at_ms, deadline_ms) = (self.at_ms, self.deadline_ms(number, id));
        if at_ms < deadline_ms {
            let step = self.step_of(number, id);
            let after_ms = if step.nudged { 0 } else { after_ms.max(patience_ms(step, at_ms)) };
            return self.emit_step(number, id, Phase::Poll, deadline_ms.min(at_ms.saturating_add(after_ms)));
        }
        let step = self.step_of(number, id);
        let limit = Span::from_ms(step.timeout_ms);
        let (error, hint) = match (&*step.task, &step.progress) {
            (task, said) if task.kind().only_waits() => {
                let said = said.as_ref().map_or_else(String::new, |said| format!("; it last said: {said}"));
                let hint = "raise `within`, or make what is asked say yes and then `tidegate retry`";
                (format!("did not pass within {limit}{said}"), hint)
            }
            _ => (format!("took longer than {limit}"), "give the step a longer `timeout`, or find out why it hangs"),
        };
        let overdue = StepFact::Overdue { error: format!("it {error}"), hint: hint.to_owned() };
        self.record_step(number, id, overdue);
        self.stop_run(number, RunState::Failed, format!("{id} {error}"));
        self.cancel_step(number, id);
    }

    /// When a step must be over: milliseconds since 1970, UTC.
    fn deadline_ms(&self, number: u64, id: &StepId) -> i64 {
        let step = self.step_of(number, id);
        step.deadline_ms(step.started_ms.unwrap_or(self.at_ms))
    }

    fn try_again(&mut self, number: u64, id: &StepId, phase: Phase, error: &str, after_ms: Option<i64>) {
        let (at_ms, deadline_ms) = (self.at_ms, self.deadline_ms(number, id));
        self.record_step(number, id, StepFact::Tried { error: Some(error.to_owned()), progress: None });
        let step = self.step_of(number, id);
        let (tries, attempts) = (step.tries, step.retry.attempts);
        let due_ms = at_ms.saturating_add(after_ms.unwrap_or(0).max(backoff_ms(step)));
        if tries >= attempts {
            self.fail_step(
                number,
                id,
                format!("gave up after {tries} tries: {error}"),
                "mend the cause, then `tidegate retry`",
            );
        } else if due_ms > deadline_ms {
            self.fail_step(
                number,
                id,
                format!("no time is left to try again: {error}"),
                "mend the cause, then `tidegate retry`",
            );
        } else {
            self.emit_step(number, id, phase, due_ms);
        }
    }

    fn cancel_outcome(&mut self, number: u64, id: &StepId, outcome: &StepOutcome) {
        // As long again as the step itself may take; a bound, not an expectation.
        let (at_ms, latest_ms) =
            (self.at_ms, self.deadline_ms(number, id).saturating_add(self.step_of(number, id).timeout_ms));
        let step = self.step_of(number, id);
        let hint = match outcome {
            StepOutcome::Retry { error, after_ms } if step.tries + 1 < step.retry.attempts => {
                let progress = Some(format!("cancelling: {error}"));
                self.record_step(number, id, StepFact::Tried { error: None, progress });
                let wait_ms = after_ms.unwrap_or(0).max(backoff_ms(self.step_of(number, id)));
                return self.emit_step(number, id, Phase::Cancel, at_ms.saturating_add(wait_ms));
            }
            StepOutcome::Pending { after_ms, .. } if at_ms < latest_ms => {
                let due_ms = latest_ms.min(at_ms.saturating_add((*after_ms).max(0)));
                return self.emit_step(number, id, Phase::Cancel, due_ms);
            }
            StepOutcome::Pending { .. } => {
                Some("it may still go on outside: it was told to end and did not".to_owned())
            }
            StepOutcome::Observed(_) => None,
            StepOutcome::Retry { error, .. } | StepOutcome::Failed { error, .. } => {
                Some(format!("it may still go on outside; cancelling it failed: {error}"))
            }
            // It was quicker than its cancellation: what is done is done.
            StepOutcome::Done { outputs, artifacts, made } => {
                return self.done(number, id, outputs, artifacts, made);
            }
            StepOutcome::Cancelled => None,
        };
        let ended = if self.run(number).ends_as == Some(RunState::Failed) {
            StepFact::Failed { error: step.error.clone(), hint: hint.or_else(|| step.hint.clone()), at_ms }
        } else {
            StepFact::Cancelled { hint, at_ms }
        };
        self.record_step(number, id, ended);
        self.wake_writers(number, id);
    }

    /// A step failed: the run fails with it once what is active has drained.
    pub(super) fn fail_step(&mut self, number: u64, id: &StepId, error: String, hint: &str) {
        let reason = format!("{id} failed: {error}");
        let hint = Some(hint.to_owned()).filter(|hint| !hint.is_empty());
        self.record_step(number, id, StepFact::Failed { error: Some(error), hint, at_ms: self.at_ms });
        self.drop_effect_of(number, id);
        self.stop_asking_git(number, id);
        self.stop_run(number, RunState::Failed, reason);
        self.wake_writers(number, id);
    }

    /// Lets the runs go on that wait to write where this step has just written, or failed to.
    fn wake_writers(&mut self, number: u64, id: &StepId) {
        let run = self.run(number);
        let Some(place) = self.step_of(number, id).task.writes_to() else { return };
        let waits = |step: &StepRun| step.state == StepState::Ready && step.task.writes_to() == Some(place);
        let writers = self.system.live_runs().filter(|other| other.stage == run.stage && other.steps.iter().any(waits));
        let writers: Vec<u64> = writers.map(|run| run.number).collect();
        self.awake.extend(writers);
    }

    /// What a step that is done means for the rest of the system.
    fn step_done(&mut self, number: u64, id: &StepId) {
        let task = self.step_of(number, id).task.clone();
        match &*task {
            Task::Action(Action::Commit(commit)) => {
                let wrote = self.wrote_pins(number, id);
                let run = self.run(number);
                let place = Place { repository: commit.repository.clone(), stage: run.stage.clone() };
                let Some(source) = run.source.clone() else { return };
                for pointer in commit.set.keys() {
                    let at = PinAt::of(commit, &place.stage, pointer);
                    let by = StepPlace { run: self.run(number).id.clone(), step: id.clone() };
                    let pin = Pin { by, source: source.commit.clone(), order: source.order, run_number: number };
                    self.record(Fact::PinSet { at, pin });
                }
                let step = self.step_of(number, id);
                if let Some(moved) = step.made.moved().cloned()
                    && let Some(parent) = &moved.parent
                {
                    self.carries_on(&moved.commit, parent);
                }
                self.made_head(number, id, &place, Some(std::slice::from_ref(&commit.file)), wrote);
                self.provenance_grew([&place.repository]);
            }
            Task::Restore(restore) => self.went_back(number, id, restore),
            Task::Merge(merge) => {
                let moved = self.step_of(number, id).made.moved().cloned();
                if let Some(moved) = moved.as_ref().filter(|moved| moved.parent.is_some()) {
                    self.carries(&moved.commit, merge.commit.clone(), false);
                }
                let place = Place { repository: merge.repository.clone(), stage: self.run(number).stage.clone() };
                let changed = moved.as_ref().and_then(|moved| moved.paths.as_deref());
                self.made_head(number, id, &place, changed, None);
                self.pins_moved(number, id, &place);
            }
            Task::Act(act) => self.act_done(number, &act.of),
            task if task.kind().deploys() => self.deployed(number, id),
            _ => {}
        }
    }

    /// A step has made a commit, or found that there is nothing to commit. `wrote` are the pins of a commit step.
    pub(super) fn made_head(
        &mut self,
        number: u64,
        id: &StepId,
        place: &Place,
        changed: Option<&[String]>,
        wrote: Option<(PinnerId, Shared<Pins>)>,
    ) {
        let Some(moved) = self.step_of(number, id).made.moved().cloned() else { return };
        let Moved { commit, parent: Some(parent), subject, pins, .. } = &*moved else { return };
        let by = (number, id);
        self.head_made(MadeHead { place, commit, parent, subject, by, changed, wrote, pins: pins.as_deref() });
    }

    fn deployed(&mut self, number: u64, id: &StepId) {
        let run = self.run(number);
        let (Some(key), Some(step)) = (&run.target, run.step(id)) else { return };
        let before = run.before(step);
        let approved = before.iter().rev().find_map(|step| step.answers.last()).map(|answer| answer.digest.clone());
        let artifacts: std::collections::BTreeSet<Artifact> =
            before.iter().flat_map(|step| step.artifacts.iter().cloned()).collect();
        let Service { address, image } = step.made.deployed().cloned().unwrap_or_default();
        let image = image.map(|ami| Artifact { kind: "ami".into(), name: ami.into(), uri: SmolStr::default() });
        let artifacts: std::collections::BTreeSet<Artifact> = artifacts.into_iter().chain(image).collect();
        let deployed = Deployed {
            run: run.id.clone(),
            set: run.set.clone(),
            approved,
            artifacts: artifacts.into_iter().collect(),
            address,
            content: self.system.content(run, step),
            made_here: self.system.made_here(run),
            at_ms: self.at_ms,
        };
        let key = key.clone();
        self.record_target(&key, TargetFact::Deployed(Box::new(deployed)));
        self.tell_deployed(number, id);
    }

    /// Records what the step's artifacts were made from: what the steps before it made, and the run's commit.
    fn link(&mut self, number: u64, id: &StepId) {
        let run = self.run(number);
        let Some(step) = run.step(id) else { return };
        let mut from: Vec<Artifact> =
            run.before(step).into_iter().flat_map(|step| step.artifacts.iter().cloned()).collect();
        let commit = match (&run.source, &*step.task) {
            (Some(source), _) => Some((&source.repository, source.commit.clone())),
            (None, Task::Merge(merge)) => Some((&merge.repository, merge.commit.clone())),
            (None, Task::Restore(restore)) => {
                let to = step.made.brought().and_then(|brought| brought.to.clone());
                to.map(|to| (&restore.repository, to))
            }
            (None, _) => None,
        };
        from.extend(commit.map(|(repository, commit)| Artifact::commit(repository, &commit)));
        let by = StepPlace { run: run.id.clone(), step: id.clone() };
        let links = step.artifacts.iter().flat_map(|to| from.iter().map(move |from| (from.clone(), to.clone())));
        let links = links.filter(|(from, to)| from != to);
        let links: Vec<Link> = links.map(|(from, to)| Link { from, to, by: by.clone(), at_ms: self.at_ms }).collect();
        if !links.is_empty() {
            self.record(Fact::Linked(links));
        }
    }
}

/// Whether an outcome is of the kind that its effect asks for. Any other settles nothing: the effect stays pending.
const fn answers(kind: &EffectKind, outcome: &Outcome) -> bool {
    match kind {
        EffectKind::Watch { .. } => matches!(outcome, Outcome::Heads { .. } | Outcome::Unreachable { .. }),
        EffectKind::Observe { .. } => matches!(outcome, Outcome::Observed(_) | Outcome::Unobserved { .. }),
        EffectKind::Timer(_) => matches!(outcome, Outcome::Fired),
        EffectKind::Step { .. } => matches!(outcome, Outcome::Step(_)),
        EffectKind::Notify { .. } => matches!(outcome, Outcome::Notice(_)),
        EffectKind::Authors { .. } => matches!(outcome, Outcome::Authors(_)),
    }
}

/// How long to wait at least before a step that goes on is looked at again: what takes long is not news every moment, and
/// each look is an event in the log for ever. A tenth of the time that it has taken already, bounded.
fn patience_ms(step: &StepRun, at_ms: i64) -> i64 {
    let taken_ms = at_ms.saturating_sub(step.started_ms.unwrap_or(at_ms)).max(0);
    (taken_ms / 10).min(LONGEST_PATIENCE_MS)
}

/// How long to wait before the next try: doubled each time, bounded.
fn backoff_ms(step: &StepRun) -> i64 {
    let doublings = step.tries.saturating_sub(1).min(20);
    step.retry.backoff.as_ms().saturating_mul(1 << doublings).min(LONGEST_BACKOFF_MS)
}

impl Artifact {
    /// A commit as an artifact.
    #[must_use]
    pub fn commit(repository: &crate::rules::RepositoryName, commit: &CommitId) -> Self {
        let name = joined(&[repository.as_str(), "@", commit.as_str()]);
        Self { kind: SmolStr::new_static("commit"), name, uri: SmolStr::default() }
    }

    /// Something named by its digest.
    #[must_use]
    pub fn of_digest(kind: &str, digest: &Digest, uri: &str) -> Self {
        Self { kind: kind.into(), name: digest.as_str().into(), uri: uri.into() }
    }
}
