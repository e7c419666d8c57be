//! Promotions: what was verified together in one stage is merged, as one set, into the next.

use std::collections::BTreeMap;

use super::{
    content::CommitSet,
    fact::StageFact,
    ids::TargetKey,
    plan,
    run::{Cause, Run, RunState, Source, Subject},
    shared::Shared,
    state::{Policy, Promoted, System, Verified},
    step_run::StepState,
    task::Task,
    turn::Turn,
};
use crate::rules::{PromotionStart, StageName};

impl System {
    /// The run on another target of the same stage and commit without whose success that commit is not verified there: the
    /// newest of its rule, and it goes on or has ended otherwise.
    #[must_use]
    pub fn unverified_beside(&self, run: &Run) -> Option<&Run> {
        let beside = |other: &&Run| {
            other.stage == run.stage
                && !other.holds_from_start
                && other.target != run.target
                && matches!(other.subject, Subject::Rule(_))
        };
        let mut newest: BTreeMap<&Subject, &Run> = BTreeMap::new();
        newest.extend(self.all_runs().filter(beside).map(|other| (&other.subject, other)));
        let is_of = |source: &Source| {
            let source_of = run.source.as_ref();
            source_of.is_some_and(|own| (&own.repository, &own.commit) == (&source.repository, &source.commit))
        };
        let mut of_it = newest.into_values().filter(|other| other.source.as_ref().is_some_and(is_of));
        of_it.find(|other| other.state != RunState::Done)
    }
}

impl Turn<'_> {
    /// A run with a target succeeded: what it deployed was verified, and may be promoted.
    pub(super) fn set_verified(&mut self, run: &Run) {
        let verified = Verified {
            set: run.set.clone(),
            run: run.id.clone(),
            at_ms: self.at_ms,
            authors: run.authors.clone(),
            artifacts: self.system.artifacts_of(&run.set).into(),
            made_here: self.system.made_here(run),
            hotfix: run.hotfix.clone(),
        };
        self.remember_version(&run.stage, &verified);
        self.record_stage(&run.stage, StageFact::Verified(verified.clone()));
        let Some(rules) = self.system.rules().cloned() else { return };
        for promotion in rules.promotions.iter().filter(|promotion| promotion.from == run.stage) {
            let (pair, set) = ((&promotion.from, &promotion.to), &verified.set);
            if promotion.start == PromotionStart::Automatic && self.goes_on_by_itself(set, pair) {
                let terms = plan::Terms { verified_ms: verified.at_ms, ..plan::Terms::default() };
                self.promote(pair, Cause::Verified { run: run.id.clone() }, &verified, &terms);
            }
        }
    }

    /// Whether a set that was just verified is promoted without anybody's asking: not what was vetoed, not what the stage
    /// was taken back to, and not what was taken away from the stage that it would go to.
    fn goes_on_by_itself(&self, set: &CommitSet, (from, to): (&StageName, &StageName)) -> bool {
        let versions = &self.system.versions;
        let back = versions.rolled_back.get(from);
        let is_old = back.is_some_and(|back| self.system.same_content(&back.to.verified.set, set));
        let was_there = versions.taken_away.get(to).is_some_and(|sets| sets.contains(set));
        !is_old && !was_there && self.system.vetoed_set(set).is_none()
    }

    /// Makes the promotion of a version, unless that very set is there already or on its way.
    pub(super) fn promote(
        &mut self,
        (from, to): (&StageName, &StageName),
        cause: Cause,
        verified: &Verified,
        terms: &plan::Terms,
    ) {
        let Some(in_force) = &self.system.rules else { return };
        let (rules, digest) = (in_force.rules.clone(), in_force.digest.clone());
        let Some(promotion) = rules.promotions.iter().find(|promotion| promotion.from == *from && promotion.to == *to)
        else {
            return;
        };
        if self.set_is_promoted(&verified.set, to) || self.promotion_of(&verified.set, from, to).is_some() {
            return;
        }
        let run = Run {
            id: super::RunId::new(""),
            number: 0,
            subject: Subject::Promotion { from: from.clone() },
            stage: to.clone(),
            cause,
            source: None,
            set: verified.set.clone(),
            authors: verified.authors.clone(),
            others_wrote: false,
            origin: Shared::default(),
            hotfix: verified.hotfix.clone(),
            rules: digest,
            state: RunState::Queued,
            target: Some(TargetKey::Promotions(to.clone())),
            holds_from_start: false,
            steps: plan::of_promotion(&rules, promotion, &verified.set, terms).into(),
            created_ms: self.at_ms,
            ended_ms: None,
            ends_as: None,
            reason: None,
        };
        self.begin_run(run, Policy::Supersede);
    }

    /// Whether this very set was the last that was promoted into the stage.
    pub(super) fn set_is_promoted(&self, set: &CommitSet, to: &StageName) -> bool {
        self.system.promoted.get(to).is_some_and(|promoted| promoted.set == *set)
    }

    /// The live promotion of this very set, unless another takes its place.
    pub(super) fn promotion_of(&self, set: &CommitSet, from: &StageName, to: &StageName) -> Option<&Run> {
        let subject = Subject::Promotion { from: from.clone() };
        let mut live = self.system.live_runs().filter(|run| run.ends_as != Some(RunState::Superseded));
        live.find(|run| run.subject == subject && run.stage == *to && run.set == *set)
    }

    /// A promotion is over: its merges belong together, and what they trigger may start.
    pub(super) fn promotion_ended(&mut self, run: &Run, from: &StageName) {
        let merges = run.steps.iter().filter(|step| step.state == StepState::Done);
        let merged: CommitSet = merges
            .filter_map(|step| match &*step.task {
                Task::Merge(merge) => Some((merge.repository.clone(), step.made.head()?.clone())),
                _ => None,
            })
            .collect();
        if run.state == RunState::Done {
            self.join_heads(&run.stage, &merged);
            let promoted = Promoted { set: run.set.clone(), run: run.id.clone(), at_ms: self.at_ms };
            if run.steps.iter().any(|step| matches!(&*step.task, Task::Merge(merge) if merge.back_from.is_some())) {
                self.took_away(&run.stage, Some(&promoted));
            } else {
                if self.system.versions.taken_away.contains_key(&run.stage) {
                    self.record_stage(&run.stage, StageFact::TakenAwaySet { sets: Vec::new() });
                }
                self.record_stage(&run.stage, StageFact::Promoted(promoted));
            }
            self.half_way_over(&run.stage);
        } else {
            self.promotion_broke(run, from);
        }
        self.set_moved(run);
        self.release_held(&run.stage);
    }
}
