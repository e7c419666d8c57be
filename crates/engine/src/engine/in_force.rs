//! What comes into force: rules, and the people, groups and roles.

use std::collections::BTreeSet;

use super::{
    access::{Access, AccessInForce},
    effect::{Effect, EffectKind},
    fact::{Fact, RepositoryFact},
    ids::EffectId,
    state::RulesInForce,
    turn::Turn,
};
use crate::rules::{Rules, StageName};

impl Turn<'_> {
    /// Puts people, groups and roles into force, as far as they concern this system.
    pub(super) fn load_access(&mut self, access: &Access) {
        self.record(Fact::AccessInForce(AccessInForce { digest: access.digest(), access: access.clone() }));
        self.look_at_answers_again();
    }

    /// Puts rules into force: watches what is new, forgets what is gone, and sets the schedules' timers.
    pub(super) fn load_rules(&mut self, in_force: RulesInForce) {
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
        self.forget_tags(&rules);
        self.targets_in_force(&rules);
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
