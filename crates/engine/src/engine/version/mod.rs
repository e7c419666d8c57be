//! Versions: the sets that were verified together in a stage, by the run that verified them; what a stage can be taken back
//! to, pinned at, or promoted from.

pub(super) mod carried;
mod command;
mod half_way;
mod moves;
mod pin;
pub mod release;
pub(super) mod rollback;
mod take_back;
mod veto;

use crate::engine::{
    fact::StageFact,
    ids::{CommitId, RunId},
    run::Run,
    state::{System, Verified},
    turn::Turn,
};
use crate::rules::{RepositoryName, StageName};

pub use crate::engine::state::{HalfWay, Pinned, RolledBack, Version, Versions, Veto};

/// How many versions of a stage are remembered: some weeks of deliveries, and a state that stays small.
pub const MOST_VERSIONS: usize = 20;

impl System {
    /// The versions of a stage that are remembered, oldest first.
    #[must_use]
    pub fn versions_of(&self, stage: &StageName) -> &[Version] {
        self.versions.known.get(stage).map_or(&[], Vec::as_slice)
    }

    /// The version of a stage that a run verified.
    #[must_use]
    pub fn version(&self, stage: &StageName, run: &RunId) -> Option<&Version> {
        let known = self.versions_of(stage);
        known.iter().rev().find(|version| version.verified.run == *run).or_else(|| {
            let set = &self.run(run).filter(|run| run.stage == *stage)?.set;
            known.iter().rev().find(|version| version.verified.set == *set)
        })
    }

    /// The version that a stage's repositories are at, if it is one: the first that had this content.
    #[must_use]
    pub fn version_here(&self, stage: &StageName) -> Option<&Version> {
        let heads = self.heads_of(stage);
        let is_here = |version: &&Version| self.same_content(&version.verified.set, &heads);
        let known = self.versions_of(stage);
        let newest = known.iter().rev().find(is_here)?;
        known.iter().find(|version| self.same_content(&newest.verified.set, &version.verified.set))
    }

    /// The version to go back to when nobody says which: the newest before the one that the stage is at, or the newest of
    /// all when what is there was never verified. Nothing that was vetoed.
    #[must_use]
    pub fn version_before(&self, stage: &StageName) -> Option<&Version> {
        let known = self.versions_of(stage);
        let allowed = |version: &&Version| self.vetoed_set(&version.verified.set).is_none();
        let Some(here) = self.version_here(stage) else {
            let newest = known.iter().rev().find(allowed);
            let back = self.versions.rolled_back.get(stage).filter(|back| allowed(&&back.to));
            // Rolled back, and nothing was verified since: what was gone away from then is not what to go back to.
            let since = |at_ms: i64| newest.is_none_or(|newest| newest.verified.at_ms < at_ms);
            return back.filter(|back| since(back.at_ms)).map(|back| &back.to).or(newest);
        };
        let end = known.iter().position(|version| version == here).unwrap_or(known.len());
        known[..end]
            .iter()
            .rev()
            .find(|version| allowed(version) && !self.same_content(&version.verified.set, &here.verified.set))
    }

    /// Whether what a run works on is of that version: its own commit, and whatever else of its set the version has.
    #[must_use]
    pub fn is_of_version(&self, run: &Run, version: &Version) -> bool {
        let set = &version.verified.set;
        let same = |(repository, commit): (&RepositoryName, &CommitId)| {
            set.get(repository).is_none_or(|other| self.original(other) == self.original(commit))
        };
        run.source.as_ref().is_some_and(|source| set.contains_key(&source.repository)) && run.set.iter().all(same)
    }
}

impl Turn<'_> {
    /// Remembers what a run verified as a version of its stage. The same set again is the same version.
    pub(in crate::engine) fn remember_version(&mut self, stage: &StageName, verified: &Verified) {
        let promoted = self.system.promoted.get(stage).cloned();
        let known = self.system.versions_of(stage);
        if known.last().is_some_and(|last| last.verified.set == verified.set) {
            return;
        }
        let is_full = known.len() >= MOST_VERSIONS;
        let version = Version { verified: verified.clone(), promoted };
        self.record_stage(stage, StageFact::VersionKnown(Box::new(version)));
        if is_full {
            self.record_stage(stage, StageFact::VersionForgotten);
        }
    }
}
