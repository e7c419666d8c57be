//! Gates that are open again: what let a run pass may not hold any more when something is to move. A window has shut, what
//! is deployed has changed, somebody has taken an approval back. What came after the gate, and has moved nothing, is put
//! back behind it; the run holds no target meanwhile.

use crate::engine::{
    fact::StepFact,
    gate::approval::unseen,
    plan::Task,
    run::{Run, StepRun, StepState, Subject},
    turn::Turn,
};
use crate::rules::{Action, Moves, StepId, Window};

/// The window before a step that is shut at an instant, although it let the run pass; not one that a hotfix skips.
pub(in crate::engine) fn shut_window<'run>(run: &'run Run, step: &StepRun, at_ms: i64) -> Option<&'run StepRun> {
    run.before(step).into_iter().find(|gate| {
        let Task::Window { window, holidays } = &gate.task else { return false };
        let skips = gate.skipped.is_some() || (run.hotfix.is_some() && gate.skippable);
        let window = || window.parse::<Window>().ok().map(|window| window.except(holidays.clone()));
        gate.state == StepState::Done && !skips && !window().is_some_and(|window| window.contains(at_ms))
    })
}

/// Whether a promotion still waits for its window at this step: the first of its merges is not begun, nor has it let the
/// others of its release merge.
pub(in crate::engine) fn heeds_window(run: &Run, step: &StepRun) -> bool {
    matches!(step.task.kind().moves, Moves::Merge | Moves::Others) && !run.steps.iter().any(StepRun::is_begun_merge)
}

impl Turn<'_> {
    /// Fails a deployment of what nobody was shown who approved; says whether it is one.
    pub(in crate::engine) fn deploys_unseen(&mut self, number: u64, id: &StepId) -> bool {
        let Some((made, asked)) = unseen(self.run(number), self.step_of(number, id)) else { return false };
        let error = format!("what {} made was not shown to those who approved at {}", made.id, asked.id);
        let hint = format!("move `{}` before `{}` in the rules, then start anew", made.id, asked.id);
        self.fail_step(number, id, error, &hint);
        true
    }

    /// Opens the window again that has shut before the first merge of a promotion; says whether one has.
    pub(in crate::engine) fn window_has_shut(&mut self, number: u64, id: &StepId) -> bool {
        let (run, step) = (self.run(number), self.step_of(number, id));
        let shut = shut_window(run, step, self.at_ms).filter(|_| heeds_window(run, step));
        let Some(gate) = shut.map(|gate| gate.id.clone()) else { return false };
        self.reopen(number, &gate, "its window has shut");
        true
    }

    /// Asks people what nobody was asked because nothing differed, where something differs now that the run has the target;
    /// says whether it does. Before the run had it, another one could still change what is deployed.
    pub(in crate::engine) fn differs_by_now(&mut self, number: u64) -> bool {
        let unasked = |step: &&StepRun| {
            let passes = matches!(&step.task, Task::Action(Action::Approve(approve)) if approve.pass_if_unchanged);
            passes && step.state == StepState::Done && step.answers.is_empty()
        };
        let run = self.run(number);
        let asks = |step: &&StepRun| step.task.quorum(&run.stage).is_some();
        let passed = run.steps.iter().filter(unasked).filter(asks);
        let differs = passed.filter(|step| !self.nothing_differs(number, step)).map(|step| step.id.clone());
        let differs: Vec<StepId> = differs.collect();
        for gate in &differs {
            self.reopen(number, gate, "what is deployed has changed since");
        }
        !differs.is_empty()
    }

    /// Makes a gate's turn come again, and puts back what came after it.
    fn reopen(&mut self, number: u64, id: &StepId, because: &str) {
        self.put_back_after(number, id, because);
        self.put_back(number, id, because);
        self.awake.insert(number);
    }

    /// Puts back what came after a step: it is done again when its turn comes. What it needs of the target is given back.
    pub(in crate::engine) fn put_back_after(&mut self, number: u64, id: &StepId, because: &str) {
        let run = self.run(number);
        let is_after = |step: &&StepRun| run.before(step).iter().any(|before| before.id == *id);
        let after: Vec<StepId> = run.steps.iter().filter(is_after).map(|step| step.id.clone()).collect();
        for id in after {
            self.drop_effect_of(number, &id);
            self.put_back(number, &id, because);
            self.stop_asking_git(number, &id);
        }
        self.give_back_target(number);
        let (stage, promotes) = {
            let run = self.run(number);
            (run.stage.clone(), matches!(run.subject, Subject::Promotion { .. }))
        };
        if promotes && !self.promotion_moves(&stage) {
            self.release_held(&stage);
        }
    }

    /// Puts a step back to where it was before its turn came: the next time is a new round, and what was approved on its
    /// ground is void.
    pub(in crate::engine) fn put_back(&mut self, number: u64, id: &StepId, because: &str) {
        self.void_answers(number, id, because);
        let step = self.step_of(number, id);
        let state = if step.needs.is_empty() { StepState::Ready } else { StepState::Blocked };
        let round = step.round + u32::from(step.started_ms.is_some());
        self.record_step(number, id, StepFact::PutBack { state, round });
    }
}
