//! Taking back: a promotion that ended with some of its merges made is undone in all repositories, so that no stage is left
//! with half of a set without a word.

use crate::engine::{
    access::Principal,
    fact::StageFact,
    ids::RunId,
    refused::Refused,
    run::{Cause, Run, RunState, Subject},
    state::HalfWay,
    task::{Back, Restore},
    turn::Turn,
    version::half_way::{may_have_moved, may_have_moved_any},
    version::rollback::Decided,
};
use crate::rules::{Moves, OnPartialFailure, StageName};

impl Turn<'_> {
    /// A promotion ended otherwise than well: what it merged is taken back, or said to be half-way, as its rules want it.
    pub(in crate::engine) fn promotion_broke(&mut self, run: &Run, from: &StageName) {
        if !may_have_moved_any(run) {
            return;
        }
        let rules = self.system.rules();
        let promotion = rules.and_then(|rules| {
            rules.promotions.iter().find(|promotion| promotion.from == *from && promotion.to == run.stage)
        });
        let keeps = promotion.is_some_and(|promotion| promotion.on_failure == OnPartialFailure::Keep);
        let reason = run.reason.clone().unwrap_or_default();
        let cause = Cause::HalfWay { run: run.id.clone() };
        let taken_back_by = if keeps { None } else { self.take_back(run, "the rules", &reason, cause) };
        self.note_half_way(run, taken_back_by);
    }

    /// Undoes the merges that a promotion made or may have made.
    fn take_back(&mut self, run: &Run, by: &str, reason: &str, cause: Cause) -> Option<RunId> {
        let system = self.system.rules()?.system.clone();
        let merges = run.steps.iter().filter(|step| step.task.kind().moves == Moves::Merge && may_have_moved(step));
        let restores = merges.filter_map(|step| {
            Some(Restore {
                repository: step.task.moves()?.clone(),
                back: Back::Undo { key: run.key(&system, step) },
                pins: Vec::new(),
                makers: Vec::new(),
                names: run.id.clone(),
                by: by.to_owned(),
                reason: reason.to_owned(),
            })
        });
        let restores = restores.collect();
        let id = self.go_back(Subject::TakeBack, &run.stage, run.set.clone(), restores, cause)?;
        self.forget_merges(&run.stage, &id);
        Some(id)
    }

    /// The taking back of a promotion is over.
    pub(in crate::engine) fn take_back_ended(&mut self, run: &Run) {
        if run.state == RunState::Done {
            let is_its = |half_way: &HalfWay| half_way.taken_back_by.as_ref() == Some(&run.id);
            if self.system.versions.half_way.get(&run.stage).is_some_and(is_its) {
                self.half_way_over(&run.stage);
            }
        }
        self.set_moved(run);
        self.release_held(&run.stage);
    }

    /// `tidegate take-back`.
    pub(in crate::engine) fn take_back_command(
        &mut self,
        by: &Principal,
        id: &RunId,
        reason: &str,
    ) -> Result<(), Refused> {
        let run = self.known_run(id)?.clone();
        let half_way = self.system.versions.half_way.get(&run.stage).filter(|half_way| half_way.run == *id);
        let is_promotion = matches!(run.subject, Subject::Promotion { .. });
        let Some(half_way) = half_way.filter(|_| is_promotion && run.state.is_ended()) else {
            return Err(Refused::not_now(
                id,
                "it is no promotion that stands half-way",
                "there is nothing to take back",
            ));
        };
        if let Some(other) = half_way.taken_back_by.as_ref().and_then(|other| self.system.run(other)) {
            let hint = match other.state.is_ended() {
                true => format!("try that again with `tidegate retry {}`", other.id),
                false => "wait for its end".to_owned(),
            };
            return Err(Refused::not_now(id, format!("{} takes it back", other.id), hint));
        }
        let taken_back_by = self.take_back(&run, &by.said(), reason, Decided::by_hand(by, reason).cause);
        if let Some(half_way) = self.system.versions.half_way.get(&run.stage) {
            let half_way = HalfWay { taken_back_by, ..half_way.clone() };
            self.record_stage(&run.stage, StageFact::HalfWay(half_way));
        }
        Ok(())
    }
}
