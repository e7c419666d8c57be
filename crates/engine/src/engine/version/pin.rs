//! Pinned stages: a stage that somebody holds at one version. Nothing else moves into it or is deployed there; what would,
//! waits and says for whom.

use crate::engine::{
    access::Principal,
    fact::StageFact,
    gate::hold::demand_reason,
    ids::RunId,
    refused::Refused,
    run::{RunState, Subject},
    state::{Pinned, Version},
    step_run::StepRun,
    turn::Turn,
    version::rollback::Decided,
};
use crate::rules::StageName;

impl Turn<'_> {
    /// `tidegate pin`.
    pub(in crate::engine) fn pin_command(
        &mut self,
        by: &Principal,
        stage: &StageName,
        run: Option<&RunId>,
        reason: &str,
    ) -> Result<(), Refused> {
        self.known_stage(stage)?;
        demand_reason(reason, "a pin")?;
        let here = self.system.version_here(stage).cloned();
        let version = match run {
            Some(run) => self.known_version(stage, run)?.clone(),
            None => here.clone().ok_or_else(|| {
                Refused::unknown(
                    format!("what is in {stage} now was not verified there"),
                    format!("say `--version` and one of them; {}", self.versions_hint(stage)),
                )
            })?,
        };
        if let Some(pinned) = self.system.versions.pinned.get(stage) {
            return Err(Refused::unknown(
                format!("{} pinned {stage} at {}: {}", pinned.by, pinned.version.verified.run, pinned.reason),
                format!("end that first with `tidegate unpin {stage}`"),
            ));
        }
        let what = format!("pin {stage} at {}", version.verified.run);
        self.not_vetoed(by, &what, &version.verified.set)?;
        let is_here = here.is_some_and(|here| self.system.same_content(&version.verified.set, &here.verified.set));
        let pinned = Pinned { version: version.clone(), by: by.said(), reason: reason.to_owned(), at_ms: self.at_ms };
        self.record_stage(stage, StageFact::Pinned(Box::new(pinned)));
        self.stop_other_ways_back(by, stage, &version);
        if !is_here || self.promotion_moves(stage) {
            self.roll_back(stage, &version, None, Decided::by_hand(by, reason));
        }
        Ok(())
    }

    /// A stage that is pinned goes back to no other version any more: one that waits to would only be in the way. What has
    /// begun to restore is finished.
    fn stop_other_ways_back(&mut self, by: &Principal, stage: &StageName, pinned: &Version) {
        let live = self.system.live_runs().filter(|run| run.subject == Subject::Rollback && run.stage == *stage);
        let others = live.filter(|run| {
            let begun = run.steps.iter().any(StepRun::is_begun_move);
            !begun && run.state != RunState::Ending && !self.system.same_content(&run.set, &pinned.verified.set)
        });
        for other in others.map(|run| run.number).collect::<Vec<_>>() {
            let reason = format!("{} pinned {stage} at {}", by.said(), pinned.verified.run);
            self.stop_run(other, RunState::Superseded, reason);
        }
    }

    /// `tidegate unpin`.
    pub(in crate::engine) fn unpin_command(&mut self, stage: &StageName) -> Result<(), Refused> {
        self.known_stage(stage)?;
        if !self.system.versions.pinned.contains_key(stage) {
            return Err(Refused::unknown(format!("{stage} is not pinned"), "there is nothing to end"));
        }
        self.record_stage(stage, StageFact::Unpinned);
        self.wake_all();
        Ok(())
    }

    /// Refuses to take a stage to another version than that at which it is pinned.
    pub(in crate::engine) fn not_pinned(&self, by: &Principal, stage: &StageName, to: &Version) -> Result<(), Refused> {
        match self.system.versions.pinned.get(stage) {
            Some(pinned) if !self.system.same_content(&to.verified.set, &pinned.version.verified.set) => {
                Err(Refused::NotAllowed {
                    who: by.name.clone(),
                    what: format!("take {stage} to {}", to.verified.run),
                    reason: format!(
                        "{} pinned it at {}: {}; `tidegate unpin {stage}` ends that",
                        pinned.by, pinned.version.verified.run, pinned.reason
                    ),
                })
            }
            _ => Ok(()),
        }
    }
}
