//! What a commit of ours carries: a merge the version of its source, a rollback the one that it went back to. So a version is
//! the same whatever its commit is called in each stage. What somebody pushes on top is another.

use std::collections::BTreeSet;

use crate::engine::{
    content::CommitSet,
    fact::CommitFact,
    ids::CommitId,
    state::{Carried, System, Watched},
    turn::Turn,
};
use crate::rules::StageName;

/// How many commits are followed from one to the one that it carries. Each stage adds one, each rollback one more.
const LONGEST_CHAIN: usize = 64;
/// Every how many runs it is looked what is named no more: to look costs as much as all that is remembered, and what a
/// few runs leave is little.
const FORGET_EVERY: u64 = 64;

impl System {
    /// The commits that this one carries the version of, itself first.
    pub fn carried<'system>(&'system self, commit: &'system CommitId) -> impl Iterator<Item = &'system CommitId> {
        let of = |commit: &&'system CommitId| Some(&self.versions.carried.get(*commit)?.of);
        std::iter::successors(Some(commit), of).take(LONGEST_CHAIN)
    }

    /// The first commit with this very content: a rollback is what it went back to.
    #[must_use]
    pub fn original<'system>(&'system self, commit: &'system CommitId) -> &'system CommitId {
        let of = |commit: &&'system CommitId| {
            self.versions.carried.get(*commit).filter(|carried| carried.exact).map(|carried| &carried.of)
        };
        std::iter::successors(Some(commit), of).take(LONGEST_CHAIN).last().unwrap_or(commit)
    }

    /// Whether two sets have the same content in every repository of the first.
    #[must_use]
    pub fn same_content(&self, set: &CommitSet, other: &CommitSet) -> bool {
        !set.is_empty()
            && set.iter().all(|(repository, commit)| {
                other.get(repository).is_some_and(|other| self.original(other) == self.original(commit))
            })
    }

    /// The heads of a stage's repositories.
    #[must_use]
    pub fn heads_of(&self, stage: &StageName) -> CommitSet {
        let head = |watched: &Watched| watched.heads.get(stage).map(|head| head.commit.clone());
        self.repositories.iter().filter_map(|(name, watched)| Some((name.clone(), head(watched)?))).collect()
    }
}

impl Turn<'_> {
    /// A commit of ours on top of another carries what that one carries, with another content.
    pub(in crate::engine) fn carries_on(&mut self, made: &CommitId, parent: &CommitId) {
        if made == parent {
            return; // Found as it would have been written: nothing is on top.
        }
        let before = self.system.versions.carried.get(parent);
        if let Some(of) = before.map(|carried| carried.of.clone()) {
            self.carries(made, of, false);
        }
    }

    pub(in crate::engine) fn carries(&mut self, commit: &CommitId, of: CommitId, exact: bool) {
        self.record_commit(commit, CommitFact::Carries(Carried { of, exact }));
    }

    /// A branch was taken back: `now` has the content of `to`; `exact` when nobody had pushed meanwhile.
    pub(in crate::engine) fn carries_back(&mut self, now: &CommitId, to: &CommitId, exact: bool) {
        if now != to && self.system.original(now) != self.system.original(to) {
            self.carries(now, to.clone(), exact);
        }
    }

    /// Forgets, now and then, what commits carry that nothing names any more.
    pub(in crate::engine) fn forget_carried(&mut self, ended: u64) {
        if !ended.is_multiple_of(FORGET_EVERY) {
            return;
        }
        let system = &*self.system;
        let carried = &system.versions.carried;
        let heads = system.repositories.values().flat_map(|watched| watched.heads.values());
        let in_heads = heads.flat_map(|head| head.set.values().chain([&head.commit]));
        let sets = system.all_runs().map(|run| &run.set).chain(system.versions.sets());
        let sets = sets.chain(system.promoted.values().map(|promoted| &promoted.set));
        let steps = system.all_runs().flat_map(|run| &run.steps);
        let made = steps.filter_map(|step| step.made.moved()).map(|moved| &moved.commit);
        let named = in_heads.chain(sets.flat_map(|set| set.values())).chain(made);
        let named = named.filter(|commit| carried.contains_key(*commit));
        let named: BTreeSet<&CommitId> = named.flat_map(|commit| system.carried(commit)).collect();
        let gone = carried.keys().filter(|commit| !named.contains(*commit));
        for commit in gone.cloned().collect::<Vec<_>>() {
            self.record_commit(&commit, CommitFact::CarriedForgotten);
        }
    }
}
