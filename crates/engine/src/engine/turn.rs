//! The taking in of one event: what is decided because of it, fact by fact. The state changes only by these facts. Every room
//! that decides stands on this one, which knows none of them.

use std::collections::BTreeSet;

use super::{
    decision::Working,
    effect::Effect,
    fact::{CommitFact, Fact, RepositoryFact, RunFact, StageFact, StepFact, TargetFact},
    ids::{CommitId, EffectId, TargetKey},
    run::Run,
    step_run::StepRun,
};
use crate::rules::{RepositoryName, StageName, StepId};

/// The taking in of one event.
pub(super) struct Turn<'system> {
    /// The state, as of what was decided so far. Only [`Turn::record`] changes it.
    pub(super) system: Working<'system>,
    pub(super) at_ms: i64,
    pub(super) seq: u64,
    /// The numbers of runs that may go on now.
    pub(super) awake: BTreeSet<u64>,
}

impl Turn<'_> {
    /// Notes what was decided, and folds it into the state.
    pub(super) fn record(&mut self, fact: Fact) {
        self.system.record(fact);
    }

    pub(super) fn record_run(&mut self, run: u64, what: RunFact) {
        self.record(Fact::Run { run, what });
    }

    pub(super) fn record_step(&mut self, run: u64, step: &StepId, what: StepFact) {
        self.record(Fact::Step { run, step: step.clone(), what });
    }

    pub(super) fn record_target(&mut self, target: &TargetKey, what: TargetFact) {
        self.record(Fact::Target { target: target.clone(), what });
    }

    pub(super) fn record_repository(&mut self, repository: &RepositoryName, what: RepositoryFact) {
        self.record(Fact::Repository { repository: repository.clone(), what });
    }

    pub(super) fn record_stage(&mut self, stage: &StageName, what: StageFact) {
        self.record(Fact::Stage { stage: stage.clone(), what });
    }

    pub(super) fn record_commit(&mut self, commit: &CommitId, what: CommitFact) {
        self.record(Fact::Commit { commit: commit.clone(), what });
    }

    /// Makes an effect pending.
    pub(super) fn emit(&mut self, effect: Effect) {
        self.record(Fact::EffectDue(effect));
    }

    /// Takes an effect back, if it is still pending.
    pub(super) fn drop_effect(&mut self, id: &EffectId) {
        if self.system.due.contains_key(id) {
            self.record(Fact::EffectDropped(id.clone()));
        }
    }

    pub(super) fn run(&self, number: u64) -> &Run {
        self.system.runs.get(&number).expect("numbers come from the runs themselves")
    }

    pub(super) fn step_of(&self, number: u64, id: &StepId) -> &StepRun {
        self.run(number).step(id).expect("ids come from the run itself")
    }
}
