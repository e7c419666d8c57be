//! Gates that are open again: what is deployed has changed, or somebody has taken an approval back. What came after the
//! gate, and has moved nothing, is put back behind it; the run holds no target meanwhile.

use crate::engine::{
    fact::StepFact,
    run::{StepRun, StepState},
    turn::Turn,
};
use crate::rules::StepId;

impl Turn<'_> {
    /// Makes a gate's turn come again, and puts back what came after it.
    pub(in crate::engine) fn reopen(&mut self, number: u64, id: &StepId, because: &str) {
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
