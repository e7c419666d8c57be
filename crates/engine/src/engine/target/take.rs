//! Targets and lanes: one run at a time holds one (I1), and the others wait, give way or are refused.

use super::life::{LifeMove, after};
use super::standing::Standing;
use crate::engine::{
    fact::TargetFact,
    ids::{RunId, TargetKey},
    obstacles::{Obstacle, lane},
    run::{Run, RunState, Subject},
    state::{Policy, TargetState},
    step_run::{StepRun, StepState},
    turn::Turn,
};
use crate::rules::{Operation, Target, TargetLife};

impl Run {
    /// Whether something of it has begun that needs its target.
    pub(in crate::engine) fn has_begun_on_target(&self) -> bool {
        let begun = |step: &&StepRun| !matches!(step.state, StepState::Blocked | StepState::Ready);
        self.steps.iter().filter(begun).any(|step| step.task.kind().holds_target)
    }
}

impl Turn<'_> {
    /// Makes sure that the target is known, with the policy that the rules give it now. Returns the run that holds it, when
    /// the policy is to refuse any other.
    pub(in crate::engine) fn prepare_target(&mut self, key: &TargetKey, policy: Policy, number: u64) -> Option<RunId> {
        let on_it = |run: &&Run| run.target.as_ref() == Some(key) && run.number != number && !run.waits_at_fan_in();
        let target = self.system.targets.get(key);
        let (before, queue) = (target.map(|target| target.policy), target.map(|target| target.queue.clone()));
        // A wide lane narrows only when it is empty; a queue before a lane that became wide goes on at once.
        let stays_wide = before == Some(Policy::Parallel) && self.system.live_runs().any(|run| on_it(&run));
        let now = if stays_wide { Policy::Parallel } else { policy };
        if before != Some(now) {
            self.record_target(key, TargetFact::Known { policy: now });
        }
        for run in queue.into_iter().flatten().filter(|_| now == Policy::Parallel) {
            self.record_target(key, TargetFact::Left { run });
            self.awake.insert(run);
        }
        (policy == Policy::Reject).then(|| self.system.live_runs().find(on_it).map(|run| run.id.clone())).flatten()
    }

    /// Takes the target for the run if it is free and the run is next, and says whether it has it; else the run waits in the
    /// queue. A run that gets this far takes the place of older ones that still wait, where that is the policy.
    pub(in crate::engine) fn claim_target(&mut self, number: u64) -> bool {
        if lane(&self.system, self.run(number)).is_none() {
            return true;
        }
        let Some(key) = self.run(number).target.clone() else { return true };
        if !self.system.targets.get(&key).is_some_and(|target| target.queue.contains(&number)) {
            let place = self.place_in_queue(&key, number);
            self.record_target(&key, TargetFact::Queued { run: number, place });
        }
        self.supersede_older(number);
        let is_next = matches!(lane(&self.system, self.run(number)), Some(Obstacle::Lane(_, None)));
        if is_next {
            self.take(&key, number);
        }
        is_next
    }

    fn take(&mut self, key: &TargetKey, number: u64) {
        let life = self.system.targets.get(key).map_or(TargetLife::Unprovisioned, |target| target.life);
        debug_assert!(after(life, LifeMove::Taken).is_ok(), "{key} is {life:?}");
        self.record_target(key, TargetFact::Taken { run: number });
    }

    /// Moves a target on in its life. What its life does not have is not done: the commands refuse it before.
    pub(super) fn live(&mut self, key: &TargetKey, by: LifeMove) {
        let life = self.system.targets.get(key).map(|target| target.life);
        match life.map(|life| after(life, by)) {
            Some(Ok(life)) => self.record_target(key, TargetFact::Lives { life }),
            Some(Err(illegal)) => debug_assert!(false, "{key}: {illegal}"),
            None => {}
        }
    }

    fn place_in_queue(&self, key: &TargetKey, number: u64) -> usize {
        let queue = self.system.targets.get(key).map(|target| &target.queue);
        let place = |number: u64| self.run(number).place_in_queue();
        queue.map_or(0, |queue| queue.partition_point(|waiting| place(*waiting) < place(number)))
    }

    /// Ends the older runs of the same subject and stage that do not hold the target: this one brings what they would have
    /// brought, and more. What is a part of a release gives way only to that release: other systems count on it.
    pub(in crate::engine) fn supersede_older(&mut self, number: u64) {
        let run = self.run(number);
        let Some(key) = &run.target else { return };
        let target = self.system.targets.get(key);
        let Some(target) = target.filter(|target| target.policy == Policy::Supersede) else { return };
        let holder = target.holder;
        // What a pin keeps out brings nothing of what is pinned.
        let pinned = self.system.versions.pinned.get(&run.stage).map(|pinned| &pinned.version);
        let pinned = pinned.filter(|version| !self.system.is_of_version(run, version));
        let is_pinned = |other: &&Run| pinned.is_some_and(|version| self.system.is_of_version(other, version));
        let older: Vec<u64> = self
            .system
            .live_runs()
            .filter(|other| other.number < number && other.state != RunState::Ending)
            .filter(|other| other.subject == run.subject && other.stage == run.stage && Some(other.number) != holder)
            .filter(|other| {
                other.release().is_none_or(|release| run.release().is_some_and(|own| own.name == release.name))
            })
            .filter(|other| !is_pinned(other))
            .map(|other| other.number)
            .collect();
        let reason = format!("{} is newer and came as far", run.id);
        for older in older {
            self.stop_run(older, RunState::Superseded, reason.clone());
        }
    }

    /// Takes the run out of the queue that it waits in, and lets the next have its place.
    pub(in crate::engine) fn leave_queue(&mut self, number: u64) {
        let Some(key) = self.system.runs.get(&number).and_then(|run| run.target.clone()) else { return };
        if self.system.targets.get(&key).is_some_and(|target| target.queue.contains(&number)) {
            self.record_target(&key, TargetFact::Left { run: number });
        }
        self.wake_next(&key);
    }

    /// Lets the run go on that is next in a target's queue.
    fn wake_next(&mut self, key: &TargetKey) {
        let next = self.system.targets.get(key).and_then(|target| target.queue.front().copied());
        self.awake.extend(next);
    }

    /// Frees what the run holds, and only that, and wakes the next in the queue.
    pub(in crate::engine) fn release_target(&mut self, run: &Run) {
        let number = run.number;
        self.leave_queue(number);
        let Some(key) = &run.target else { return };
        self.withdraw_deletion(run, key);
        let breaks = self.breaks(run) && self.goes_back_after(run).is_none();
        let Some(target) = self.system.targets.get(key).filter(|target| target.holder == Some(number)) else {
            return;
        };
        if breaks {
            self.record_target(key, TargetFact::Broken { because: format!("{} failed on it", run.id) });
            self.tell_target_broken(run, key);
        } else {
            let life = if run.holds_from_start { TargetLife::Available } else { rests(target, run) };
            self.record_target(key, TargetFact::Freed { life });
            self.deletion_waits(key);
            self.wake_next(key);
        }
    }

    /// A run that was to delete a target ended before it had it.
    fn withdraw_deletion(&mut self, run: &Run, key: &TargetKey) {
        let life = self.system.targets.get(key).map(|target| target.life);
        if life == Some(TargetLife::DeleteScheduled) && run.subject == Subject::Operation(Operation::Delete) {
            self.live(key, LifeMove::DeletionWithdrawn);
        }
    }

    /// A target is free again, and somebody asked for its deletion meanwhile.
    fn deletion_waits(&mut self, key: &TargetKey) {
        let deletes =
            |run: &Run| run.subject == Subject::Operation(Operation::Delete) && run.target.as_ref() == Some(key);
        let asked = self.system.live_runs().any(deletes);
        let life = self.system.targets.get(key).map(|target| target.life);
        if asked && life.is_some_and(|life| after(life, LifeMove::DeletionAsked).is_ok()) {
            self.live(key, LifeMove::DeletionAsked);
        }
    }

    /// Takes a run out of the queue, and frees its target if nothing that needs it has begun: it keeps nobody from it while
    /// it waits for something else.
    pub(in crate::engine) fn give_back_target(&mut self, number: u64) {
        let run = self.run(number);
        if run.holds_from_start || run.has_begun_on_target() {
            return;
        }
        let Some(key) = run.target.clone() else { return };
        let (stage, promotes) = (run.stage.clone(), matches!(run.subject, Subject::Promotion { .. }));
        self.leave_queue(number);
        let target = self.system.targets.get(&key).filter(|target| target.holder == Some(number));
        if let Some(life) = target.map(TargetState::at_rest) {
            self.record_target(&key, TargetFact::Freed { life });
            self.deletion_waits(&key);
            self.wake_next(&key);
        }
        if promotes && !self.promotion_moves(&stage) {
            self.release_held(&stage);
        }
    }

    /// Whether the run's end leaves its target broken: it did something to it, and how it stands since then is not settled; or a
    /// step that changes the target failed, and the target's policy is to wait for an operator then.
    fn breaks(&self, run: &Run) -> bool {
        let ended_badly = run.state != RunState::Done;
        let acted = ended_badly && run.steps.iter().any(|step| step.task.plans() && step.planned.is_some());
        let target = run.target.as_ref().and_then(|key| self.system.targets.get(key));
        let seen = target.and_then(|target| target.seen_by(run));
        if acted && !matches!(seen, Some(Standing::Absent | Standing::Stable)) {
            return true;
        }
        if acted && run.state == RunState::Aborted {
            return false;
        }
        let failed_on_it = run.steps.iter().any(|step| {
            step.task.kind().holds_target && matches!(step.state, StepState::Failed | StepState::Cancelled)
        });
        let name = run.target.as_ref().and_then(TargetKey::target);
        let target = self.system.rules().zip(name).and_then(|(rules, (name, _))| rules.targets.get(name));
        failed_on_it && target.is_some_and(Target::breaks)
    }

    /// Makes a broken target available again and lets the next run have it.
    pub(in crate::engine) fn unlock(&mut self, key: &TargetKey) {
        self.record_target(key, TargetFact::Unlocked);
        self.wake_next(key);
    }
}

impl TargetState {
    /// Where a target is in its life that nobody holds.
    pub(super) fn at_rest(&self) -> TargetLife {
        if self.deployed.is_some() { TargetLife::Available } else { TargetLife::Unprovisioned }
    }

    /// How it stood when a run that holds it looked last.
    pub(in crate::engine) fn seen_by(&self, run: &Run) -> Option<&Standing> {
        let seen = self.outside.as_ref()?.seen.as_ref()?;
        (seen.by.as_ref() == Some(&run.id)).then_some(&seen.observation.standing)
    }
}

/// Where a target is in its life when the run that holds it ends, and has not broken it.
fn rests(target: &TargetState, run: &Run) -> TargetLife {
    let is_done = run.state == RunState::Done;
    let absent = match target.seen_by(run) {
        Some(standing) => *standing == Standing::Absent,
        None => target.deployed.is_none(),
    };
    let by = match (target.life, is_done) {
        (TargetLife::Provisioning, false) if absent => LifeMove::NotProvisioned,
        (TargetLife::Deleting, true) => LifeMove::DeletionDone,
        (TargetLife::Deleting, false) => LifeMove::DeletionFailed,
        _ if absent => LifeMove::FreedAbsent,
        _ => LifeMove::Freed,
    };
    after(target.life, by).unwrap_or_else(|_| target.at_rest())
}
