//! The acts of a plan, as steps of the run that has the target. When all of them are done, or nothing of a run that ends is active
//! any more, the target is looked at again.

use super::plan::ActPlan;
use crate::engine::{
    effect::Phase,
    plan,
    run::RunState,
    step_run::{StepRun, StepState},
    task::{Act, Task, Wanted},
    turn::Turn,
};
use crate::rules::{Span, StepId};

impl Turn<'_> {
    /// The steps of a plan. They need what the step that planned needs, so that they see the same; its limits are theirs.
    pub(super) fn act_steps(&self, (number, by): (u64, &StepId), wanted: &Wanted, plan: &ActPlan) -> Vec<StepRun> {
        let planner = self.step_of(number, by);
        let id = |name: &str| StepId::of_act(by, name);
        let step = |act: &super::plan::PlannedAct| {
            let needs = planner.needs.iter().cloned().chain(act.needs.iter().map(|need| id(need)));
            let task = Task::Act(Box::new(Act { of: by.clone(), name: act.name.clone(), wanted: wanted.clone() }));
            let timeout = Span::from_ms(planner.timeout_ms);
            let step = plan::planned(id(&act.name), task, needs.collect(), Some(timeout), Some(planner.retry));
            StepRun { round: planner.round, state: StepState::Blocked, ..step }
        };
        plan.acts.iter().map(step).collect()
    }

    /// An act is done; after the last of them, the target is looked at.
    pub(in crate::engine) fn act_done(&mut self, number: u64, by: &StepId) {
        let run = self.run(number);
        let all = run.acts(by).all(|act| act.state == StepState::Done);
        if all && run.state == RunState::Running {
            self.emit_step(number, by, Phase::Poll, self.at_ms);
        }
    }

    /// Of a run that ends: looks at the target as soon as no act of a plan for it is active.
    pub(in crate::engine) fn look_at_the_end(&mut self, number: u64) {
        let run = self.run(number);
        if run.state != RunState::Ending {
            return;
        }
        let is_quiet = |step: &&StepRun| {
            let acted = step.state == StepState::Active && step.planned.is_some() && step.effect.is_none();
            acted && run.acts(&step.id).all(|act| act.state != StepState::Active)
        };
        let quiet: Vec<StepId> = run.steps.iter().filter(is_quiet).map(|step| step.id.clone()).collect();
        for id in &quiet {
            self.emit_step(number, id, Phase::Poll, self.at_ms);
        }
    }
}
