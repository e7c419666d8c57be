//! Runs: how they are made, go on, and end.

use super::{
    compiled::Compiled,
    effect::{Effect, Phase},
    fact::{Fact, RunFact, StepFact},
    ids::{Place, RunId, TargetKey},
    obstacles::{Means, Obstacle, before_start, shut},
    plan,
    provenance::{self, fan_in},
    run::{Cause, Run, RunState, Source, Subject},
    state::{Head, Policy, RECENT_RUNS, System},
    step_run::{StepRun, StepState, Steps},
    task::Task,
    turn::Turn,
};
use crate::rules::{Rule, RuleName, StageName, StepId};

impl Turn<'_> {
    /// Makes a run of a rule at a stage's present head, if there is one.
    pub(super) fn make_run(&mut self, subject: &Subject, stage: &StageName, cause: Cause) -> Option<RunId> {
        let Subject::Rule(name) = subject else { return None };
        let repository = self.system.rules()?.rules.get(name)?.repository()?;
        let head = self.system.head(repository, stage)?.clone();
        self.make_run_of(subject, stage, cause, &head)
    }

    /// The same at a head that the stage was at before.
    pub(super) fn make_run_of(
        &mut self,
        subject: &Subject,
        stage: &StageName,
        cause: Cause,
        head: &Head,
    ) -> Option<RunId> {
        let Subject::Rule(name) = subject else { return None };
        let in_force = self.system.rules.as_ref()?;
        let (rules, digest) = (in_force.rules.clone(), in_force.digest.clone());
        let rule = rules.rules.get(name)?;
        let repository = rule.repository()?;
        let source = Source { repository: repository.clone(), commit: head.commit.clone(), order: head.order };
        let target = rule.target.as_ref().map(|target| TargetKey::Target(target.clone(), stage.clone()));
        let holds_from_start = target.is_none();
        let target = target.unwrap_or_else(|| TargetKey::Rule(name.clone(), stage.clone()));
        let run = Run {
            id: RunId::new(""),
            number: 0,
            subject: subject.clone(),
            stage: stage.clone(),
            cause,
            source: Some(source),
            set: head.set.clone(),
            authors: self.system.known_authors(head),
            others_wrote: false,
            origin: head.origin.clone(),
            hotfix: None,
            rules: digest,
            state: RunState::Queued,
            target: Some(target),
            holds_from_start,
            steps: Steps::default(),
            created_ms: self.at_ms,
            ended_ms: None,
            ends_as: None,
            reason: None,
        };
        let run = Run { steps: self.planned_steps(&rules, (name, rule), &run), ..run };
        let policy = match rule.target.as_ref().and_then(|target| rules.targets.get(target)) {
            Some(target) => target.queue.into(),
            None => rule.queue.unwrap_or_default().into(),
        };
        Some(self.begin_run(run, policy))
    }

    /// The steps of a run: those of its rule, before them a fan-in where what is pinned is older than a set that was moved, or
    /// none to be done where the set brought what they would make.
    fn planned_steps(&self, rules: &Compiled, (name, rule): (&RuleName, &Rule), run: &Run) -> Steps {
        let mut steps = rules.at(name, &run.stage).map(|at| at.steps.clone()).unwrap_or_default();
        if let Some(by) = provenance::brought_by(&self.system, name, rule, run) {
            steps.change(|steps| {
                for step in steps {
                    (step.state, step.ended_ms) = (StepState::Done, Some(self.at_ms));
                    step.skipped = Some(format!("{by} brought what was verified before"));
                }
            });
            return steps;
        }
        let place =
            rule.repository().map(|repository| Place { repository: repository.clone(), stage: run.stage.clone() });
        let waits = place.is_some_and(|place| !fan_in::awaited_by(&self.system, &place, name, &run.origin).is_empty());
        let steps = if waits { plan::behind_fan_in(steps) } else { steps };
        match &run.cause {
            Cause::Release { bundle, .. } => plan::behind_bundle(bundle, self.at_ms, steps),
            _ => steps,
        }
    }

    /// Numbers a run and lets it begin, or refuses it where its target says so.
    pub(super) fn begin_run(&mut self, mut run: Run, policy: Policy) -> RunId {
        run.number = self.system.runs_made + 1;
        run.id = RunId::new(format!("{}-{}", run.subject.name(), run.number));
        run.hotfix = self.hotfix_of(&run);
        self.inherit_overrides(&run);
        let (id, number) = (run.id.clone(), run.number);
        let busy = run.target.as_ref().and_then(|key| self.prepare_target(key, policy, number));
        let waits = run.steps.iter().any(|step| *step.task == Task::FanIn && step.state != StepState::Done);
        self.record(Fact::RunMade(run.into()));
        if !waits {
            self.replace_waiting(number);
        }
        match busy {
            Some(holder) => self.end_run(
                number,
                RunState::Rejected,
                format!("{holder} holds the target, and its queue policy is `reject`"),
            ),
            None => drop(self.awake.insert(number)),
        }
        id
    }

    /// Lets every run that was woken go on as far as it can.
    pub(super) fn advance_awake(&mut self) {
        while let Some(number) = self.awake.pop_first() {
            self.advance(number);
        }
    }

    fn advance(&mut self, number: u64) {
        if self.system.runs.get(&number).is_none_or(|run| run.state.is_ended()) {
            return;
        }
        if self.run(number).state == RunState::Queued {
            if self.waits_at_fan_in(number) {
                return;
            }
            self.unblock(number);
            let run = self.run(number);
            // What has nothing to do waits for nobody.
            let is_idle = run.steps.iter().all(|step| step.state == StepState::Done);
            if run.holds_from_start && !is_idle && !self.claim_target(number) {
                return;
            }
            self.record_run(number, RunFact::Began);
        }
        self.unblock(number);
        for step in self.ready_steps(number) {
            if self.run(number).state != RunState::Running {
                break;
            }
            // One that was started before it may have put it back.
            if self.step_of(number, &step).state == StepState::Ready {
                self.start_step(number, &step);
            }
        }
        self.set_alarm(number);
        self.look_at_the_end(number);
        self.finish_if_over(number);
    }

    fn unblock(&mut self, number: u64) {
        let run = self.run(number);
        let is_done = |need: &StepId| run.step(need).is_some_and(|step| step.state == StepState::Done);
        let blocked = run.steps.iter().filter(|step| step.state == StepState::Blocked);
        let ready = blocked.filter(|step| step.needs.iter().all(is_done)).map(|step| step.id.clone());
        for id in ready.collect::<Vec<_>>() {
            self.record_step(number, &id, StepFact::Ready);
        }
    }

    fn ready_steps(&self, number: u64) -> Vec<StepId> {
        let run = self.run(number);
        run.steps.iter().filter(|step| step.state == StepState::Ready).map(|step| step.id.clone()).collect()
    }

    /// Starts a ready step that nothing keeps from it; else does what the first obstacle means.
    fn start_step(&mut self, number: u64, id: &StepId) {
        let (run, step) = (self.run(number), self.step_of(number, id));
        let first = before_start(&self.system, run, step, self.at_ms).next().as_ref().map(Obstacle::means);
        match first {
            None if step.task.kind().is_gate() => self.open_gate(number, id),
            None => {
                self.look_before_moving(number, id);
                let at_ms = self.at_ms;
                self.record_step(number, id, StepFact::Started { at_ms });
                self.emit_step(number, id, Phase::Start, at_ms);
            }
            Some(Means::Wait) => {}
            Some(Means::StandAside) => {
                self.supersede_older(number);
                self.give_back_target(number);
            }
            Some(Means::Queue) => {
                if self.claim_target(number) {
                    self.start_step(number, id);
                }
            }
            Some(Means::Skip) => self.skip(number, id),
            Some(Means::AskAgain(gates)) => {
                for gate in &gates {
                    self.reopen(number, gate, "what is deployed has changed since");
                }
            }
            Some(Means::Fail(error, hint)) => self.fail_step(number, id, error, &hint),
            Some(Means::End(state, reason)) => self.stop_run(number, state, reason),
        }
    }

    /// Sets the alarm that wakes a run when the window opens that it waits for, and takes back one that is not needed.
    fn set_alarm(&mut self, number: u64) {
        let run = self.run(number);
        let Some(window) = run.steps.iter().find(|step| step.task.is_window()) else { return };
        let ready = run.steps.iter().filter(|step| run.state == RunState::Running && step.state == StepState::Ready);
        let mut shut = ready.filter_map(|step| shut(&self.system, run, step, self.at_ms)?.opens_ms.ok());
        let (opens_ms, id, is_set) = (shut.next(), window.id.clone(), window.effect.is_some());
        match opens_ms {
            Some(opens_ms) if !is_set => self.wait_until(number, &id, opens_ms),
            None if is_set => self.drop_effect_of(number, &id),
            _ => {}
        }
    }

    /// Makes the next effect of a step pending.
    pub(super) fn emit_step(&mut self, number: u64, id: &StepId, phase: Phase, due_ms: i64) {
        let step = self.step_of(number, id);
        let effect = Effect::step(&self.run(number).id, id, phase, (step.round, step.ticks + 1), due_ms);
        self.emit(effect);
    }

    fn finish_if_over(&mut self, number: u64) {
        let run = self.run(number);
        let any = |state| run.steps.iter().any(|step| step.state == state);
        if run.state.is_ended() || any(StepState::Active) {
            return;
        }
        if run.state == RunState::Ending {
            let (ends_as, reason) = (run.ends_as.unwrap_or(RunState::Failed), run.reason.clone().unwrap_or_default());
            self.end_run(number, ends_as, reason);
        } else if run.steps.iter().all(|step| step.state == StepState::Done) {
            self.end_run(number, RunState::Done, String::new());
        } else if !any(StepState::Ready) && !self.awake.contains(&number) {
            self.end_run(
                number,
                RunState::Failed,
                "deadlock: only steps that wait for one another are left".to_owned(),
            );
        }
    }

    /// Begins to end a run: nothing new starts, what waits is dropped, and what is active drains or, unless the run
    /// failed by itself, is cancelled.
    pub(super) fn stop_run(&mut self, number: u64, ends_as: RunState, reason: String) {
        let run = self.run(number);
        if run.state.is_ended() {
            return;
        }
        if run.state != RunState::Ending {
            self.record_run(number, RunFact::Ending { ends_as, reason });
        } else if (run.ends_as, ends_as) == (Some(RunState::Failed), RunState::Failed) {
            let reason = format!("{}; {reason}", run.reason.as_deref().unwrap_or_default());
            self.record_run(number, RunFact::Ending { ends_as, reason });
        }
        // What planned acts ends when they have, and the target was looked at.
        let acted = |step: &&StepRun| step.planned.is_some() && step.task.plans();
        let active = self.run(number).steps.iter().filter(|step| step.state == StepState::Active && !acted(step));
        let active: Vec<(StepId, bool)> = active.map(|step| (step.id.clone(), step.task.kind().is_gate())).collect();
        for (id, is_gate) in active {
            if is_gate {
                let because = self.run(number).reason.clone().unwrap_or_default();
                self.void_answers(number, &id, &because);
                self.record_step(number, &id, StepFact::Cancelled { hint: None, at_ms: self.at_ms });
                self.drop_effect_of(number, &id);
                self.stop_asking_git(number, &id);
            } else if ends_as != RunState::Failed {
                self.cancel_step(number, &id);
            }
        }
        self.leave_queue(number);
        self.awake.insert(number);
    }

    /// Replaces what is pending for a step by its cancellation.
    pub(super) fn cancel_step(&mut self, number: u64, id: &StepId) {
        self.record_step(number, id, StepFact::Cancelling);
        self.drop_effect_of(number, id);
        self.emit_step(number, id, Phase::Cancel, self.at_ms);
    }

    /// Takes back what is pending for a step.
    pub(super) fn drop_effect_of(&mut self, number: u64, id: &StepId) {
        if let Some(effect) = self.step_of(number, id).effect.clone() {
            self.drop_effect(&effect);
        }
    }

    fn end_run(&mut self, number: u64, state: RunState, reason: String) {
        let reason = Some(reason).filter(|reason| !reason.is_empty());
        self.record_run(number, RunFact::Ended { state, reason, at_ms: self.at_ms });
        let Some(ended) = self.system.runs.get(&number).cloned() else { return };
        self.tell_ended(&ended);
        self.release_target(&ended);
        self.run_ended(&ended);
        self.forget_old_runs();
        self.forget_carried(number);
        let waiting = self.system.live_runs().filter(|run| run.steps.iter().any(|step| step.state == StepState::Ready));
        self.awake.extend(waiting.map(|run| run.number).collect::<Vec<_>>());
    }

    /// Keeps the last ended runs, and of every subject and stage the newest and the one that ended last, however long ago
    /// that was: an older run may end after a newer one, and it is the newer that is asked about.
    fn forget_old_runs(&mut self) {
        for number in self.system.old_runs() {
            self.record_run(number, RunFact::Forgotten);
        }
    }

    /// What a run's end means for others: what it verified, and what comes after it.
    fn run_ended(&mut self, run: &Run) {
        match &run.subject {
            Subject::Promotion { from } => self.promotion_ended(run, from),
            Subject::Rollback => self.rollback_ended(run),
            Subject::TakeBack => self.take_back_ended(run),
            Subject::Rules => self.offer_ended(run),
            Subject::Operation(_) => {}
            Subject::Rule(rule) if run.state == RunState::Done => {
                if let Some(source) = &run.source {
                    let (rule, stage, commit) = (rule.clone(), run.stage.clone(), source.commit.clone());
                    self.record(Fact::Succeeded { rule, stage, commit });
                }
                self.verified_on_target(run);
                let is_whole = || self.system.unverified_beside(run).is_none() && !self.system.is_of_older_tag(run);
                if !run.holds_from_start && !self.is_left_behind(run) && is_whole() {
                    self.set_verified(run);
                }
                let Some(rules) = self.system.rules().cloned() else { return };
                for (name, next) in &rules.rules {
                    if next.on.upstream.as_ref() == Some(rule) && next.is_for(&run.stage) {
                        let cause = Cause::Upstream { run: run.id.clone() };
                        self.make_run(&Subject::Rule(name.clone()), &run.stage, cause);
                    }
                }
            }
            Subject::Rule(_) => self.verify_failed(run),
        }
    }
}

impl System {
    /// The ended runs that are forgotten next, if there are too many.
    fn old_runs(&self) -> Vec<u64> {
        let Self { ended, runs, .. } = self;
        if ended.len() <= RECENT_RUNS {
            return Vec::new();
        }
        // Of each subject and stage the newest, and where the one that ended last stands.
        let mut kept: Vec<(&Run, u64, usize)> = Vec::new();
        for (position, number) in ended.iter().enumerate() {
            let Some(run) = runs.get(number) else { continue };
            match kept.iter_mut().find(|(like, ..)| (&like.subject, &like.stage) == (&run.subject, &run.stage)) {
                Some((_, newest, last)) => (*newest, *last) = ((*newest).max(*number), position),
                None => kept.push((run, *number, position)),
            }
        }
        let besides = kept.iter().filter(|(_, newest, last)| ended.get(*last) != Some(newest)).count();
        let is_kept = |(position, number): (usize, &u64)| {
            kept.iter().any(|(_, newest, last)| newest == number || *last == position)
        };
        let old = ended.iter().enumerate().filter(|run| !is_kept(*run));
        old.map(|(_, number)| *number).take(ended.len().saturating_sub(besides + RECENT_RUNS)).collect()
    }
}
