//! A stage's repositories move as one set: while they do, nothing else writes to them, and what they bring is newer than
//! what runs in flight would still pin.

use std::collections::BTreeSet;

use crate::engine::{
    content::StepPlace,
    fact::Fact,
    ids::{CommitId, PinAt, Place, StepKey, TargetKey},
    leads,
    run::Subject,
    state::Pin,
    step_run::StepState,
    turn::Turn,
};
use crate::rules::{RepositoryName, StageName, StepId};

impl Turn<'_> {
    /// Whether the stage's repositories are moved as one set right now, or will be before anything else happens there.
    pub(in crate::engine) fn promotion_moves(&self, stage: &StageName) -> bool {
        let lane = self.system.targets.get(&TargetKey::Promotions(stage.clone()));
        lane.is_some_and(|lane| {
            let next = lane.queue.front().and_then(|number| self.system.runs.get(number));
            lane.holder.is_some()
                || next.is_some_and(|next| matches!(next.subject, Subject::Rollback | Subject::TakeBack))
        })
    }

    /// A promotion or a way back brought a place to a new commit.
    pub(in crate::engine) fn pins_moved(&mut self, number: u64, id: &StepId, place: &Place) {
        let step = self.step_of(number, id);
        let Some(commit) = step.made.moved().map(|moved| moved.commit.clone()) else { return };
        self.pins_move(number, id, place, &commit);
    }

    /// A watch shows a commit of ours under its key, perhaps before its step is known to be done: what is pushed on top
    /// of it is newer than the pins that come with it.
    pub(in crate::engine) fn move_shown(&mut self, key: &StepKey, place: &Place, head: &CommitId) {
        let Some((run, step)) = self.system.step_of_key(key) else { return };
        if step.task.moves().is_none() || step.state == StepState::Done {
            return;
        }
        let (number, id) = (run.number, step.id.clone());
        self.pins_move(number, &id, place, head);
    }

    /// What rules pin from a place into the other repositories of a moved set comes with the set: a run on a commit that
    /// is older than the move has nothing to pin any more (I3).
    fn pins_move(&mut self, number: u64, id: &StepId, place: &Place, commit: &CommitId) {
        let Some(rules) = self.system.rules().cloned() else { return };
        let moved: BTreeSet<RepositoryName> =
            self.run(number).steps.iter().filter_map(|step| step.task.moves().cloned()).collect();
        let pin = Pin {
            by: StepPlace { run: self.run(number).id.clone(), step: id.clone() },
            source: commit.clone(),
            order: self.seq,
            run_number: number,
        };
        let floor = self.system.moved.get(&place.stage).and_then(|moved| moved.get(&place.repository));
        let order = floor.filter(|floor| floor.commit == *commit).map_or(self.seq, |floor| floor.order);
        let made = self.step_of(number, id).made.clone();
        self.raise_floor(place, commit, order, Some(&made));
        for rule in rules.rules.values().filter(|rule| rule.repository() == Some(&place.repository)) {
            for (_, commit) in leads::commits(rule, &place.stage).filter(|(_, to)| moved.contains(&to.repository)) {
                for pointer in commit.set.keys() {
                    let at = PinAt::of(commit, &place.stage, pointer);
                    let shown = self.system.pins.get(&at).filter(|shown| shown.by == pin.by);
                    let order = shown.map_or(pin.order, |shown| shown.order);
                    self.record(Fact::PinSet { at, pin: Pin { order, ..pin.clone() } });
                }
            }
        }
    }
}
