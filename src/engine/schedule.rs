//! Schedules: every instant has a timer of its own, and fires once.

use super::{
    effect::{Effect, Timer},
    run::{Cause, Subject},
    turn::Turn,
};
use crate::rules::{CronTimes, MissedPolicy, RuleName, Rules, Schedule, StageName};

/// How late an instant may fire and still count as on time: longer than a restart, shorter than any sensible interval
/// between nightly builds.
const LATE_AFTER_MS: i64 = 300_000;

impl Turn<'_> {
    /// Sets a timer for the next instant of every schedule.
    pub(super) fn schedule_all(&mut self, rules: &Rules) {
        for (name, rule) in &rules.rules {
            let Some(schedule) = &rule.on.schedule else { continue };
            let stages = rules.stages.keys().filter(|stage| rule.is_for(stage));
            for stage in stages.filter(|stage| schedule.stages.as_ref().is_none_or(|stages| stages.contains(stage))) {
                self.schedule_next(name, stage, schedule);
            }
        }
    }

    fn schedule_next(&mut self, rule: &RuleName, stage: &StageName, schedule: &Schedule) {
        let times = CronTimes::parse(schedule).expect("rules in force were checked when they were loaded");
        if let Some(instant_ms) = times.next_after(self.at_ms) {
            self.emit(Effect::timer(
                Timer::Schedule { rule: rule.clone(), stage: stage.clone(), instant_ms },
                instant_ms,
            ));
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
        let last = self.system.succeeded.get(&format!("{rule_name}@{stage}"));
        if schedule.only_if_changed && last == Some(&head.commit) {
            return;
        }
        self.make_run(&Subject::Rule(rule_name.clone()), stage, Cause::Schedule { instant_ms });
    }
}
