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

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::engine::{
    content::CommitSet,
    fact::StageFact,
    ids::{CommitId, RunId},
    run::Run,
    system::{Promoted, System, Verified},
    turn::Turn,
    version::carried::Carried,
};
use crate::rules::{RepositoryName, StageName};

/// How many versions of a stage are remembered: some weeks of deliveries, and a state that stays small.
pub const MOST_VERSIONS: usize = 20;

/// All that is known of versions.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Versions {
    /// Per stage, what was verified in it, newest last.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub known: BTreeMap<StageName, Vec<Version>>,
    /// What commits of ours carry that something names.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub carried: BTreeMap<CommitId, Carried>,
    /// Per stage, the last time that it was rolled back.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub rolled_back: BTreeMap<StageName, RolledBack>,
    /// Per stage, the sets that were promoted into it and taken away again: they come back only if somebody wants it.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub taken_away: BTreeMap<StageName, Vec<CommitSet>>,
    /// Per stage, what was begun there and neither finished nor taken back.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub half_way: BTreeMap<StageName, HalfWay>,
    /// What never moves again: a commit or the beginning of one, or an artifact's name or address.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub vetoes: BTreeMap<String, Veto>,
    /// The stages that stay at one version.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub pinned: BTreeMap<StageName, Pinned>,
}

/// A set that was verified together in a stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Version {
    /// What was verified, and by which run: the version's name.
    #[serde(flatten)]
    pub verified: Verified,
    /// What had last been promoted into the stage then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promoted: Option<Promoted>,
}

/// A stage was rolled back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RolledBack {
    /// By this run.
    pub run: RunId,
    /// The number of the last run that was made by then: what was begun until then is not verified any more.
    pub number: u64,
    /// To this version.
    pub to: Version,
    /// The commits that it came to.
    pub made: CommitSet,
    /// When: milliseconds since 1970, UTC.
    pub at_ms: i64,
    /// Who decided it.
    pub by: String,
    /// Why.
    pub reason: String,
}

/// Something was begun in a stage's repositories and neither finished nor taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HalfWay {
    /// The promotion or way back.
    pub run: RunId,
    /// The repositories in which it is done.
    pub moved: Vec<RepositoryName>,
    /// Those in which it may be: its end is in doubt.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub doubtful: Vec<RepositoryName>,
    /// Those in which it is not.
    pub open: Vec<RepositoryName>,
    /// The run that takes it back, when one was started.
    pub taken_back_by: Option<RunId>,
    /// Since when: milliseconds since 1970, UTC.
    pub since_ms: i64,
}

/// Something never moves again, until somebody lifts that.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Veto {
    /// Who decided it.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When: milliseconds since 1970, UTC.
    pub at_ms: i64,
}

/// A stage stays at one version, until somebody ends that.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pinned {
    /// The version.
    pub version: Version,
    /// Who decided it.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When: milliseconds since 1970, UTC.
    pub at_ms: i64,
}

impl Versions {
    /// Whether nothing is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// All versions that something here names.
    pub(in crate::engine) fn all(&self) -> impl Iterator<Item = &Version> {
        let pinned = self.pinned.values().map(|pinned| &pinned.version);
        let back_to = self.rolled_back.values().map(|back| &back.to);
        self.known.values().flatten().chain(pinned).chain(back_to)
    }

    /// The sets that something here names.
    pub(in crate::engine) fn sets(&self) -> impl Iterator<Item = &CommitSet> {
        let of_versions = self.all().flat_map(|version| {
            let promoted = version.promoted.as_ref().map(|promoted| &promoted.set);
            std::iter::once(&version.verified.set).chain(promoted)
        });
        let made = self.rolled_back.values().map(|back| &back.made);
        of_versions.chain(made).chain(self.taken_away.values().flatten())
    }
}

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
