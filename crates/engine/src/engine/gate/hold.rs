//! Pauses and freezes: people hold what could start. A pause holds everything that is new; a freeze holds what would move
//! something in its stage. Whatever runs already goes on to its end.

use std::collections::BTreeMap;

use crate::engine::{
    access::Principal,
    command::known_stage,
    effect::{Effect, Timer},
    fact::Fact,
    ids::RunId,
    moment,
    refused::Refused,
    run::{Cause, Run},
    turn::Turn,
};
use crate::rules::StageName;

pub use crate::engine::state::{Freeze, Override, Pause};

/// How many freezes a system may have at once; more of them explain nothing.
const MOST_FREEZES: usize = 100;

impl Turn<'_> {
    pub(in crate::engine) fn pause_command(&mut self, by: &Principal, reason: &str) -> Result<(), Refused> {
        if let Some(pause) = &self.system.paused {
            return Err(Refused::unknown(
                format!("it is paused already, by {}: {}", pause.by, pause.reason),
                "`tidegate resume` ends that",
            ));
        }
        demand_reason(reason, "a pause")?;
        self.tell_paused(&by.name, reason);
        let (by, reason) = (by.said(), reason.to_owned());
        self.record(Fact::Paused(Pause { by, reason, since_ms: self.at_ms }));
        Ok(())
    }

    pub(in crate::engine) fn resume_command(&mut self, by: &Principal) -> Result<(), Refused> {
        let Some(pause) = self.system.paused.clone() else {
            return Err(Refused::unknown("it is not paused", "there is nothing to resume"));
        };
        self.record(Fact::Resumed);
        self.tell_resumed(&by.name, &pause);
        self.wake_all();
        Ok(())
    }

    pub(in crate::engine) fn freeze_command(
        &mut self,
        by: &Principal,
        stage: Option<&StageName>,
        until_ms: i64,
        reason: &str,
    ) -> Result<(), Refused> {
        let rules = self.rules_in_force()?;
        if let Some(stage) = stage {
            known_stage(&rules, stage)?;
        }
        demand_reason(reason, "a freeze")?;
        if until_ms <= self.at_ms {
            return Err(Refused::unknown(
                format!("{} is over already", moment::time(until_ms)),
                "a freeze ends in the future: `--until TIME` or `--for 2d`",
            ));
        }
        if self.system.freezes.len() >= MOST_FREEZES {
            return Err(Refused::unknown(
                format!("there are {MOST_FREEZES} freezes already"),
                "end some of them with `tidegate thaw`",
            ));
        }
        let name = format!("freeze-{}", self.system.freezes_made + 1);
        let freeze = Freeze {
            stage: stage.cloned(),
            by: by.said(),
            reason: reason.to_owned(),
            since_ms: self.at_ms,
            until_ms,
            overrides: BTreeMap::new(),
        };
        self.tell_frozen(&name, &freeze);
        self.record(Fact::Frozen { freeze: name.clone(), terms: freeze });
        self.emit(Effect::timer(Timer::Freeze { freeze: name }, self.seq, until_ms));
        Ok(())
    }

    pub(in crate::engine) fn thaw_command(&mut self, by: &Principal, name: &str) -> Result<(), Refused> {
        let freeze = self.known_freeze(name)?.clone();
        self.tell_thawed(&by.name, name, &freeze);
        let timer = Timer::Freeze { freeze: name.to_owned() };
        let pending = self.system.due.values().find(|effect| effect.is_timer(&timer)).map(|effect| effect.id.clone());
        if let Some(pending) = pending {
            self.drop_effect(&pending);
        }
        self.freeze_ends(name);
        Ok(())
    }

    pub(in crate::engine) fn override_command(
        &mut self,
        by: &Principal,
        name: &str,
        id: &RunId,
        reason: &str,
    ) -> Result<(), Refused> {
        let freeze = self.known_freeze(name)?;
        let run = self.live_run(id)?;
        if freeze.stage.as_ref().is_some_and(|stage| *stage != run.stage) {
            return Err(Refused::not_now(id, format!("{name} is not of {}", run.stage), "it need not pass it"));
        }
        demand_reason(reason, "an override")?;
        let number = run.number;
        let said = Override { by: by.said(), reason: reason.to_owned(), at_ms: self.at_ms };
        self.record(Fact::Overridden { freeze: name.to_owned(), run: id.clone(), said });
        self.tell_overridden(&by.name, name, number, reason);
        self.awake.insert(number);
        Ok(())
    }

    /// What comes of a run in its own stage may pass what the run may pass: it is the same change.
    pub(in crate::engine) fn inherit_overrides(&mut self, run: &Run) {
        let parent = match &run.cause {
            Cause::Push { by: Some(parent), .. } | Cause::Upstream { run: parent } => parent,
            Cause::NotVerified { run: parent } | Cause::HalfWay { run: parent } => parent,
            Cause::Push { by: None, .. } | Cause::Schedule { .. } | Cause::Verified { .. } => return,
            Cause::Tag { .. } | Cause::Workflow { .. } | Cause::Release { .. } => return,
            Cause::Command { .. } | Cause::Decision { .. } => return,
        };
        let passes = |(name, freeze): (&String, &Freeze)| Some((name.clone(), freeze.overrides.get(parent)?.clone()));
        let passed: Vec<(String, Override)> = self.system.freezes.iter().filter_map(passes).collect();
        for (freeze, said) in passed {
            self.record(Fact::Overridden { freeze, run: run.id.clone(), said });
        }
    }

    /// A freeze is over, by the clock or by hand: what it held goes on.
    pub(in crate::engine) fn freeze_ends(&mut self, name: &str) {
        self.record(Fact::Thawed { freeze: name.to_owned() });
        self.wake_all();
    }

    fn known_freeze(&self, name: &str) -> Result<&Freeze, Refused> {
        self.system.freezes.get(name).ok_or_else(|| {
            let names: Vec<&str> = self.system.freezes.keys().map(String::as_str).collect();
            let hint = if names.is_empty() { "none is in force".to_owned() } else { names.join(", ") };
            Refused::unknown(format!("there is no freeze `{name}`"), format!("in force: {hint}"))
        })
    }

    /// Lets every live run look whether it can go on.
    pub(in crate::engine) fn wake_all(&mut self) {
        let live: Vec<u64> = self.system.live_runs().map(|run| run.number).collect();
        self.awake.extend(live);
    }
}

/// Whoever stops or waives something says why: it is in the log for ever.
pub(in crate::engine) fn demand_reason(reason: &str, what: &str) -> Result<(), Refused> {
    if reason.trim().is_empty() {
        return Err(Refused::unknown(format!("{what} needs a reason"), "say it with `--reason`"));
    }
    Ok(())
}
