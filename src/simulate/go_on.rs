//! How a simulation goes on: what is due is done or foreseen, who is asked agrees, and then the clock jumps.

use std::time::{Duration, Instant};

use super::{
    people::{self, Able, able},
    question::Unpredictable,
    report::Stopped,
    simulation::Simulation,
};
use crate::{
    engine::{
        Attribution, Cause, Delivery, Effect, EffectKind, Event, Outcome, Phase, Recorded, Run, StepOutcome, Timer,
        Work, explain, step, work,
    },
    steps::{attribute, foresee},
};

/// As many effects as a prediction may have: many times what a change causes in the largest system, and still read in a
/// minute.
const MOST_EFFECTS: usize = 5_000;
/// How long a prediction may really take.
const MOST_TIME: Duration = Duration::from_secs(600);

impl Simulation {
    /// Goes on until nothing more comes of it.
    pub(super) async fn go_on(&mut self) -> Result<Stopped, Unpredictable> {
        let started = Instant::now();
        // What waits already is told before anything happens: an event that would show it may never come.
        self.tell_gates();
        for _ in 0..MOST_EFFECTS {
            if started.elapsed() > MOST_TIME {
                return Ok(Stopped::Bound { bound: format!("{} s of real time", MOST_TIME.as_secs()) });
            }
            if let Some(effect) = self.next_now() {
                self.carry_out(&effect).await?;
                continue;
            }
            if self.pass_a_gate().await? {
                continue;
            }
            match self.next_moment() {
                Some(next_ms) if next_ms > self.horizon_ms => return Ok(Stopped::Horizon { next_ms }),
                Some(next_ms) => self.at_ms = next_ms,
                None if self.stuck.is_empty() => return Ok(Stopped::Settled),
                None => return Ok(Stopped::Stuck),
            }
        }
        Ok(Stopped::Bound { bound: format!("{MOST_EFFECTS} effects") })
    }

    /// What is to be done at this moment: of the oldest run first, so that what belongs together is told together.
    fn next_now(&self) -> Option<Effect> {
        let now = self.waits.values().filter(|(_, effect)| is_ours(effect) && effect.due_ms <= self.at_ms);
        now.min_by_key(|(order, effect)| (self.run_of(effect).unwrap_or(0), *order)).map(|(_, effect)| effect.clone())
    }

    /// The next moment at which something is due, if waiting for it belongs to what is supposed: a schedule alone does not,
    /// but one that comes before something else does.
    fn next_moment(&self) -> Option<i64> {
        let due = || self.waits.values().map(|(_, effect)| effect).filter(|effect| is_ours(effect));
        let awaited = |effect: &&Effect| match &effect.kind {
            EffectKind::Timer(Timer::Schedule { .. }) => self.until_horizon,
            EffectKind::Timer(Timer::Gate { step, .. }) => {
                let run = self.run_of(effect).unwrap_or(0);
                self.until_horizon
                    || !self.stuck.contains_key(&(run, step.to_string())) && !self.scheduled.contains(&run)
            }
            EffectKind::Timer(Timer::Freeze { .. }) => self.until_horizon || self.is_held_until(effect.due_ms),
            EffectKind::Step { .. } | EffectKind::Authors { .. } => true,
            EffectKind::Notify { .. } => self.until_horizon,
            EffectKind::Watch { .. } | EffectKind::Observe { .. } => false,
        };
        due().any(|effect| awaited(&effect)).then(|| due().map(|effect| effect.due_ms).min()).flatten()
    }

    /// Whether a run that belongs to what is supposed waits for this moment.
    fn is_held_until(&self, at_ms: i64) -> bool {
        let ours = self.system.live_runs().filter(|run| !self.scheduled.contains(&run.number));
        ours.filter_map(|run| explain::run(&self.system, run)).any(|waiting| waiting.until_ms == Some(at_ms))
    }

    fn run_of(&self, effect: &Effect) -> Option<u64> {
        match &effect.kind {
            EffectKind::Step { run, .. }
            | EffectKind::Authors { run, .. }
            | EffectKind::Timer(Timer::Gate { run, .. }) => self.system.run(run).map(|run| run.number),
            EffectKind::Watch { .. }
            | EffectKind::Observe { .. }
            | EffectKind::Notify { .. }
            | EffectKind::Timer(Timer::Schedule { .. } | Timer::Freeze { .. }) => None,
        }
    }

    /// Does one effect, or foresees it, and takes in what comes of it.
    async fn carry_out(&mut self, effect: &Effect) -> Result<(), Unpredictable> {
        let outcome = match work(&self.system, effect) {
            Ok(Work::Timer(_)) => Outcome::Fired,
            Ok(Work::Step(work)) => {
                let is_cancel = work.phase == Phase::Cancel;
                let done = foresee((*work).clone(), &self.scratch.tools, &self.foresight, self.at_ms).await;
                if let Some(note) = done.note.filter(|note| !self.notes.contains(note)) {
                    self.notes.push(note);
                }
                if !is_cancel {
                    self.tell_step(&work, &done.outcome, done.certainty).await;
                }
                Outcome::Step(done.outcome)
            }
            Ok(Work::Authors(work)) => Outcome::Authors(attribute(&work, &self.scratch.tools.mirrors, None).await),
            Ok(Work::Notice(work)) => {
                self.tell_notice(&work);
                Outcome::Notice(Delivery::Delivered)
            }
            Ok(Work::Watch(_) | Work::Observe(_)) => unreachable!("a simulation does not look outside"),
            Err(error) if matches!(effect.kind, EffectKind::Notify { .. }) => {
                Outcome::Notice(Delivery::Failed { error, hint: String::new() })
            }
            Err(error) if matches!(effect.kind, EffectKind::Authors { .. }) => {
                Outcome::Authors(Attribution::Retry { error, after_ms: None })
            }
            Err(reason) => Outcome::Step(StepOutcome::Failed { error: reason, hint: String::new() }),
        };
        self.take_in(Event::Outcome { effect: effect.id.clone(), outcome, waited_ms: 0 }).await
    }

    /// Lets the engine take an event in, and writes down what it decides.
    pub(super) async fn take_in(&mut self, event: Event) -> Result<(), Unpredictable> {
        let (seq, made_before) = (self.system.seq + 1, self.system.runs_made);
        let at_ms = self.at_ms.max(self.system.at_ms);
        let decision = step(&mut self.system, &Recorded { seq, at_ms, event })?;
        for effect in decision.due {
            self.waits.insert(effect.id.clone(), (self.emitted, effect));
            self.emitted += 1;
        }
        for dropped in &decision.dropped {
            self.waits.remove(dropped);
        }
        let mut made: Vec<Run> =
            decision.ended.iter().filter(|run| run.number > made_before).map(|run| Run::clone(run)).collect();
        made.extend(self.system.runs.range(made_before + 1..).map(|(_, run)| Run::clone(run)));
        made.sort_by_key(|run| run.number);
        made.dedup_by_key(|run| run.number);
        for run in &made {
            self.note_schedule(run);
            self.record.run(self.at_ms, run, false);
        }
        self.tell_gates();
        for run in &decision.ended {
            self.tell_end(run);
        }
        Ok(())
    }

    /// Notes a run that a schedule began, or that came of one.
    fn note_schedule(&mut self, run: &Run) {
        let by = match &run.cause {
            Cause::Schedule { .. } => {
                self.scheduled.insert(run.number);
                return;
            }
            Cause::Push { by, .. } => by.as_ref(),
            Cause::Upstream { run } | Cause::Verified { run } | Cause::HalfWay { run } | Cause::NotVerified { run } => {
                Some(run)
            }
            Cause::Command { .. } | Cause::Decision { .. } => None,
            Cause::Tag { .. } | Cause::Workflow { .. } | Cause::Release { .. } => None,
        };
        let of_schedule = by.and_then(|by| self.system.run(by)).is_some_and(|by| self.scheduled.contains(&by.number));
        if of_schedule {
            self.scheduled.insert(run.number);
        }
    }

    /// Supposes that one run that asks is approved, by people who could; says whether there was one.
    async fn pass_a_gate(&mut self) -> Result<bool, Unpredictable> {
        let asking: Vec<Run> = self.system.live_runs().filter(|run| run.asking().is_some()).cloned().collect();
        for run in asking {
            let Some((asked, quorum)) = run.asking().and_then(|step| Some((step, step.task.quorum(&run.stage)?)))
            else {
                continue;
            };
            let key = (run.number, asked.id.to_string());
            if self.stuck.get(&key) == Some(&self.system.seq) {
                continue;
            }
            let found = able(&self.system, &run, asked, quorum);
            self.tell_able(&run, (asked.id.as_str(), asked.round), &found);
            if found.chosen.len() < found.missing {
                self.stuck.insert(key, self.system.seq);
                continue;
            }
            self.stuck.remove(&key);
            for person in &found.chosen {
                let event = people::approval(&self.system, &run, person).event;
                self.take_in(event).await?;
            }
            return Ok(true);
        }
        Ok(false)
    }

    fn tell_able(&mut self, run: &Run, (step, round): (&str, u32), found: &Able) {
        let at_ms = self.at_ms;
        let Some(gate) = self.record.gate_mut(run.number, step, round) else { return };
        gate.could_approve.clone_from(&found.able);
        gate.may_not_approve.clone_from(&found.may_not);
        if found.chosen.len() == found.missing {
            gate.approved_by = found.chosen.iter().map(|person| person.name.clone()).collect();
            (gate.passes_ms, gate.stuck) = (Some(at_ms), None);
        } else {
            let (missing, could) = (found.missing, found.chosen.len());
            gate.stuck = Some(match could {
                0 => format!("{missing} must approve, and nobody could"),
                _ => format!("{missing} must approve, and only {could} could"),
            });
        }
    }
}

/// Whether a simulation has to do with an effect: what the remotes do is not its business.
const fn is_ours(effect: &Effect) -> bool {
    !matches!(effect.kind, EffectKind::Watch { .. } | EffectKind::Observe { .. })
}
