//! One event taken in: what is decided because of it, fact by fact. The state changes only by these facts.

use std::collections::BTreeSet;

use super::{
    access::{Access, AccessInForce},
    compiled::Compiled,
    decision::{Decision, Working},
    effect::{Effect, EffectKind},
    event::{Event, Recorded},
    fact::{CommitFact, Fact, RepositoryFact, RunFact, StageFact, StepFact, TargetFact},
    ids::{CommitId, EffectId, TargetKey},
    refused::Refused,
    state::{RefusedRules, RulesInForce, System},
};
use crate::rules::{RepositoryName, Rules, StageName, StepId};

/// Takes one event in: decides, folds what was decided into the state, and returns it.
///
/// # Errors
/// [`Refused`] when the event does not follow the last one, or is a command that cannot be granted; the state is then
/// as it was (I8).
pub fn step(system: &mut System, recorded: &Recorded<Event>) -> Result<Decision, Refused> {
    if recorded.seq != system.seq + 1 {
        return Err(Refused::OutOfOrder { last: system.seq, got: recorded.seq });
    }
    let (seq, at_ms) = (recorded.seq, recorded.at_ms);
    let mut turn = Turn { system: Working::new(system), at_ms, seq, awake: BTreeSet::new() };
    match &recorded.event {
        Event::RulesLoaded { source, digest, rules } => {
            let in_force = RulesInForce {
                source: source.clone(),
                digest: digest.clone(),
                rules: std::sync::Arc::new(Compiled::new(Rules::clone(rules))),
                since_ms: at_ms,
            };
            turn.load_rules(in_force);
        }
        Event::RulesRefused { source, digest, mistakes } => {
            let (source, digest, mistakes) = (source.clone(), digest.clone(), mistakes.clone());
            turn.tell_rules_refused(&source, &mistakes);
            turn.record(Fact::RulesRefused(RefusedRules { source, digest, mistakes, at_ms }));
        }
        Event::AccessLoaded { access } => turn.load_access(access),
        Event::Outcome { effect, outcome } => turn.outcome(effect, outcome),
        Event::Command { by, command } => turn.command(by, command)?,
    }
    turn.advance_awake();
    turn.keep_questions_current();
    let decision = turn.system.end(seq, at_ms);
    debug_assert_eq!(super::invariants::broken(system), Vec::<String>::new(), "after event {seq}");
    Ok(decision)
}

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

    /// Puts people, groups and roles into force, as far as they concern this system.
    fn load_access(&mut self, access: &Access) {
        self.record(Fact::AccessInForce(AccessInForce { digest: access.digest(), access: access.clone() }));
    }

    /// Puts rules into force: watches what is new, forgets what is gone, and sets the schedules' timers.
    fn load_rules(&mut self, in_force: RulesInForce) {
        let rules = in_force.rules.clone();
        let before = self.system.rules().cloned();
        self.record(Fact::RulesInForce(in_force));
        self.forget_places(&rules);
        let stale: Vec<EffectId> =
            self.system.due.values().filter(|effect| is_watch(effect)).map(|effect| effect.id.clone()).collect();
        for id in &stale {
            self.drop_effect(id);
        }
        for name in rules.repositories.keys() {
            if !self.system.repositories.contains_key(name) {
                self.record_repository(name, RepositoryFact::Known);
            }
            self.watch(name, self.at_ms);
        }
        self.schedule_all(before.as_deref().map(|before| &**before), &rules);
        let runs: Vec<u64> = self.system.runs.keys().copied().collect();
        self.awake.extend(runs);
    }

    /// Forgets the repositories and stages that the rules do not have.
    fn forget_places(&mut self, rules: &Rules) {
        let mut gone = Vec::new();
        for (name, watched) in &self.system.repositories {
            if !rules.repositories.contains_key(name) {
                gone.push((name.clone(), RepositoryFact::Forgotten));
                continue;
            }
            let known =
                watched.heads.keys().chain(&watched.seen).chain(watched.gone.keys()).chain(watched.first.keys());
            let stages: BTreeSet<&StageName> = known.filter(|stage| !rules.stages.contains_key(*stage)).collect();
            let forgotten = |stage: &StageName| RepositoryFact::StageForgotten { stage: stage.clone() };
            gone.extend(stages.into_iter().map(|stage| (name.clone(), forgotten(stage))));
        }
        for (name, what) in gone {
            self.record_repository(&name, what);
        }
    }
}

const fn is_watch(effect: &Effect) -> bool {
    matches!(effect.kind, EffectKind::Watch { .. })
}
