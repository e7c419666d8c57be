//! Schedules: every instant has a timer of its own, and fires once.

use std::collections::BTreeSet;

use super::{
    effect::{Effect, EffectKind, Timer},
    run::{Cause, Subject},
    turn::Turn,
};
use crate::rules::{CronTimes, MissedPolicy, RuleName, Rules, Schedule, StageName};

/// How late an instant may fire and still count as on time: longer than a restart, shorter than any sensible interval
/// between nightly builds.
const LATE_AFTER_MS: i64 = 300_000;

impl Turn<'_> {
    /// Sets a timer for the next instant of every schedule. Where the times are as they were before, the timer stays:
    /// an instant that passed while the engine was down is not lost because the rules changed meanwhile.
    pub(super) fn schedule_all(&mut self, before: Option<&Rules>, rules: &Rules) {
        let mut kept = BTreeSet::new();
        let timers = self.system.due.values().filter_map(|effect| match &effect.kind {
            EffectKind::Timer(Timer::Schedule { rule, stage, .. }) => Some((&effect.id, rule, stage)),
            EffectKind::Timer(Timer::Gate { .. } | Timer::Freeze { .. })
            | EffectKind::Watch { .. }
            | EffectKind::Authors { .. }
            | EffectKind::Step { .. }
            | EffectKind::Observe { .. }
            | EffectKind::Notify { .. } => None,
        });
        let mut stale = Vec::new();
        for (id, rule, stage) in timers {
            let old = before.and_then(|before| schedule_at(before, rule, stage));
            let new = schedule_at(rules, rule, stage);
            if old.zip(new).is_some_and(|(old, new)| (&old.cron, &old.timezone) == (&new.cron, &new.timezone)) {
                kept.insert((rule.clone(), stage.clone()));
            } else {
                stale.push(id.clone());
            }
        }
        for id in &stale {
            self.drop_effect(id);
        }
        for (name, stage) in rules.rules.keys().flat_map(|name| rules.stages.keys().map(move |stage| (name, stage))) {
            let schedule = schedule_at(rules, name, stage);
            if let Some(schedule) = schedule.filter(|_| !kept.contains(&(name.clone(), stage.clone()))) {
                self.schedule_next(name, stage, schedule);
            }
        }
    }

    /// Sets the next timer. Times that cannot be read have none: the rules are checked before they come here, but perhaps
    /// by another version, and a log must replay.
    fn schedule_next(&mut self, rule: &RuleName, stage: &StageName, schedule: &Schedule) {
        let next = CronTimes::parse(schedule).ok().and_then(|times| times.next_after(self.at_ms));
        if let Some(instant_ms) = next {
            let timer = Timer::Schedule { rule: rule.clone(), stage: stage.clone(), instant_ms };
            self.emit(Effect::timer(timer, self.seq, instant_ms));
        }
    }

    /// An instant has come: runs the rule unless it is too late or nothing changed, and sets the next timer, which is
    /// after now, so that however many were missed, one run makes up for them.
    pub(super) fn schedule_fired(&mut self, rule_name: &RuleName, stage: &StageName, instant_ms: i64) {
        let Some(rules) = self.system.rules().cloned() else { return };
        let Some(rule) = rules.rules.get(rule_name) else { return };
        let Some(schedule) = &rule.on.schedule else { return };
        self.schedule_next(rule_name, stage, schedule);
        if schedule.missed == MissedPolicy::Skip && self.at_ms - instant_ms > LATE_AFTER_MS {
            return;
        }
        let Some(head) = rule.repository().and_then(|repository| self.system.head(repository, stage)) else { return };
        let last = self.system.succeeded.get(rule_name).and_then(|of_rule| of_rule.get(stage));
        if schedule.only_if_changed && last == Some(&head.commit) {
            return;
        }
        self.make_run(&Subject::Rule(rule_name.clone()), stage, Cause::Schedule { instant_ms });
    }
}

/// The schedule of a rule, if it has one that is for this stage.
fn schedule_at<'rules>(rules: &'rules Rules, rule: &RuleName, stage: &StageName) -> Option<&'rules Schedule> {
    let rule = rules.rules.get(rule).filter(|rule| rule.is_for(stage) && rules.stages.contains_key(stage))?;
    rule.on.schedule.as_ref().filter(|schedule| schedule.stages.as_ref().is_none_or(|stages| stages.contains(stage)))
}
