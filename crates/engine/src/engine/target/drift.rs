//! Looks at targets that nobody holds: what another hand changed there is told. While a run holds one, it looks itself.

use super::{
    life::LifeMove,
    standing::{Observation, Standing},
};
use crate::engine::{
    effect::{Effect, EffectKind},
    fact::TargetFact,
    ids::{EffectId, TargetKey},
    turn::Turn,
};
use crate::rules::{Rules, Span, Target, TargetKind, TargetLife};

/// When to look again at a target that could not be looked at, where the rules do not say how often.
const TRY_AGAIN_MS: i64 = 60_000;

impl Turn<'_> {
    /// Rules came into force: targets that have another name keep their lives, and looks are set as the rules say.
    pub(in crate::engine) fn targets_in_force(&mut self, rules: &Rules) {
        let all = rules.targets.iter().flat_map(|target| rules.stages.keys().map(move |stage| (target, stage)));
        for ((name, target), stage) in all {
            let key = TargetKey::Target(name.clone(), stage.clone());
            self.carry_over(&key, target);
            let observed = self.system.rules().and(target.observe);
            if let Some(every) = observed {
                self.prepare_target(&key, target.queue.into(), 0);
                self.say_kind(&key);
                if self.look_pending(&key).is_none() {
                    self.look_at(&key, self.at_ms.saturating_add(every.as_ms()));
                }
            } else if self.system.targets.contains_key(&key) {
                self.say_kind(&key);
            }
        }
        let gone =
            |key: &TargetKey| self.system.target_settings(key).is_none_or(|(_, target)| target.observe.is_none());
        let stale = self.system.due.values().filter(|effect| {
            matches!(&effect.kind, EffectKind::Observe { target } if gone(target) && effect.due_ms > self.at_ms)
        });
        for id in stale.map(|effect| effect.id.clone()).collect::<Vec<_>>() {
            self.drop_effect(&id);
        }
    }

    /// A target that the rules call by another name keeps its life.
    fn carry_over(&mut self, key: &TargetKey, target: &Target) {
        let (Some(was), Some((_, stage))) = (&target.was, key.target()) else { return };
        let old = TargetKey::Target(was.clone(), stage.clone());
        if self.system.targets.contains_key(&old) && !self.system.targets.contains_key(key) {
            if let Some(pending) = self.look_pending(&old) {
                self.drop_effect(&pending);
            }
            self.record_target(&old, TargetFact::Renamed { to: key.clone() });
        }
    }

    /// Notes what kind a target is, so that it is known when the rules do not have it any more.
    pub(super) fn say_kind(&mut self, key: &TargetKey) {
        let Some((_, Target { kind, .. })) = self.system.target_settings(key) else { return };
        let known = self.system.targets.get(key).map(|target| target.outside.as_ref().map(|outside| outside.kind));
        let is_said =
            |known: Option<TargetKind>| known == Some(kind) || (known.is_none() && kind == TargetKind::default());
        if known.is_some_and(|known| !is_said(known)) {
            self.record_target(key, TargetFact::Is { kind });
        }
    }

    fn look_pending(&self, key: &TargetKey) -> Option<EffectId> {
        let looks = |effect: &&Effect| matches!(&effect.kind, EffectKind::Observe { target } if target == key);
        self.system.due.values().find(looks).map(|effect| effect.id.clone())
    }

    /// Has a target looked at; a look that is pending already gives way.
    pub(super) fn look_at(&mut self, key: &TargetKey, due_ms: i64) {
        if let Some(pending) = self.look_pending(key) {
            self.drop_effect(&pending);
        }
        self.emit(Effect::observe(key.clone(), self.seq, due_ms));
    }

    /// A target was looked at, or could not be.
    pub(in crate::engine) fn looked_at(&mut self, key: &TargetKey, seen: Result<&Observation, &str>) {
        let every = self.system.target_settings(key).and_then(|(_, target)| target.observe).map(Span::as_ms);
        let retry = seen.is_err().then_some(TRY_AGAIN_MS);
        if let Some(after_ms) = every.or(retry) {
            self.look_at(key, self.at_ms.saturating_add(after_ms));
        }
        // Whoever has it looks itself, and what was seen may be half of what it does.
        let Some(target) = self.system.targets.get(key).filter(|target| target.holder.is_none()) else { return };
        match seen {
            Ok(observation) => {
                let (life, left) = (target.life, target.outside.as_ref().and_then(|outside| outside.left.clone()));
                self.see(key, observation, None);
                self.lives_on(key, life, &observation.standing);
                if let Some(left) = left {
                    self.compare(key, observation, &left);
                }
            }
            Err(error) => self.record_target(key, TargetFact::Unseen { error: error.to_owned() }),
        }
    }

    /// What somebody else made or removed is there, or gone.
    fn lives_on(&mut self, key: &TargetKey, life: TargetLife, standing: &Standing) {
        let absent = *standing == Standing::Absent;
        match life {
            TargetLife::Unprovisioned | TargetLife::ProvisionFailed | TargetLife::Deleted if !absent => {
                self.live(key, LifeMove::SeenThere);
            }
            TargetLife::Available | TargetLife::ProvisionFailed | TargetLife::DeleteFailed if absent => {
                self.live(key, LifeMove::SeenGone);
            }
            _ => {}
        }
    }

    /// Tells what differs from how the last run left it, once for each difference.
    fn compare(
        &mut self,
        key: &TargetKey,
        observation: &Observation,
        left: &serde_json::Map<String, serde_json::Value>,
    ) {
        let moves = observation.standing.in_the_way().is_some();
        let differences = observation.differs_from(left);
        let known = self.system.targets.get(key).and_then(|target| target.outside.as_ref());
        if moves || known.is_some_and(|outside| outside.drift == differences) {
            return;
        }
        self.record_target(key, TargetFact::Drifted { differences: differences.clone() });
        self.tell_drift(key, &differences);
    }
}
