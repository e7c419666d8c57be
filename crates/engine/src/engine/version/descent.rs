//! Descent: what the engine remembers of a commit beside its name, for as long as anything names it. It tells which
//! version a commit carries, whatever it is called in each stage, and what a branch truly holds after it was taken back.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::engine::{
    event::{Artifact, CommitSet},
    fact::CommitFact,
    ids::{CommitId, Place},
    system::{Head, System, Watched},
    turn::Turn,
};
use crate::rules::StageName;

/// How many commits are followed from one to the one that it carries. Each stage adds one, each way back one more.
const LONGEST_CHAIN: usize = 64;
/// Every how many runs it is looked what is named no more: to look costs as much as all that is remembered, and what a
/// few runs leave is little.
const FORGET_EVERY: u64 = 16;

/// What is remembered of a commit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Descent {
    /// The commit whose version it carries: of a merge the source, of a way back the commit that it went back to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<CommitId>,
    /// That its content is that commit's, to the byte.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub exact: bool,
    /// The commit whose history says what this one's content holds, where its own says too much: it was taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instead: Option<CommitId>,
    /// Pins in it, `file pointer` → the names of the artifacts that they are of.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub pins: BTreeMap<String, BTreeSet<String>>,
}

impl Descent {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl System {
    /// The commits that this one carries the version of, itself first.
    pub fn carried<'system>(&'system self, commit: &'system CommitId) -> impl Iterator<Item = &'system CommitId> {
        let of = |commit: &&'system CommitId| self.versions.descent.get(*commit)?.of.as_ref();
        std::iter::successors(Some(commit), of).take(LONGEST_CHAIN)
    }

    /// The first commit with this very content: a way back is what it went back to.
    #[must_use]
    pub fn original<'system>(&'system self, commit: &'system CommitId) -> &'system CommitId {
        let of = |commit: &&'system CommitId| {
            self.versions.descent.get(*commit).filter(|descent| descent.exact)?.of.as_ref()
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

    /// The commit whose history says what a place holds, where it is not its head's own.
    #[must_use]
    pub fn instead(&self, place: &Place) -> Option<&CommitId> {
        let head = self.head(&place.repository, &place.stage)?;
        self.versions.descent.get(&head.commit)?.instead.as_ref()
    }

    /// The names of the artifacts that are pinned in a set's commits.
    pub fn artifacts_of<'system>(&'system self, set: &'system CommitSet) -> impl Iterator<Item = &'system str> {
        let descents = set.values().filter_map(|commit| self.versions.descent.get(commit));
        descents.flat_map(|descent| descent.pins.values().flatten()).map(String::as_str)
    }
}

impl Turn<'_> {
    /// A commit of ours set pins on top of another.
    pub(in crate::engine) fn remember_pins(
        &mut self,
        made: &CommitId,
        parent: &CommitId,
        pins: impl Iterator<Item = String>,
        artifacts: &[Artifact],
    ) {
        let mut descent = self.inherited(parent);
        // What is written on top is another content; found as it would have been written, it is the same.
        descent.exact &= made == parent;
        let names: BTreeSet<String> = artifacts.iter().map(|artifact| artifact.name.clone()).collect();
        descent.pins.extend(pins.map(|pin| (pin, names.clone())));
        self.remember(made, descent);
    }

    /// Pins of a commit, `file pointer`, are of these artifacts.
    pub(in crate::engine) fn pins_name(
        &mut self,
        commit: &CommitId,
        pins: impl IntoIterator<Item = (String, BTreeSet<String>)>,
    ) {
        let mut descent = self.inherited(commit);
        descent.pins.extend(pins);
        self.set_descent(commit, descent);
    }

    /// A merge of ours brought a version, or, going back, left one.
    pub(in crate::engine) fn remember_merge(
        &mut self,
        made: &CommitId,
        parent: &CommitId,
        source: &CommitId,
        back: bool,
    ) {
        let mut pins = self.inherited(parent).pins;
        pins.extend(self.inherited(source).pins);
        let instead = back.then(|| source.clone());
        self.remember(made, Descent { of: Some(source.clone()), exact: false, instead, pins });
    }

    /// A branch was taken back: `now` has the content of `to`; `exact` when nobody had pushed meanwhile.
    pub(in crate::engine) fn remember_way_back(&mut self, now: &CommitId, to: &CommitId, exact: bool) {
        if now == to || self.system.original(now) == self.system.original(to) {
            return;
        }
        let Descent { instead, pins, .. } = self.inherited(to);
        let instead = Some(instead.unwrap_or_else(|| to.clone()));
        self.remember(now, Descent { of: Some(to.clone()), exact, instead, pins });
    }

    /// A head that a watch saw: a commit of ours is known already; what others push stands on what was there before.
    pub(in crate::engine) fn remember_push(&mut self, commit: &CommitId, before: Option<&CommitId>) {
        if self.system.versions.descent.contains_key(commit) {
            return;
        }
        if let Some(before) = before {
            let descent = Descent { of: None, exact: false, ..self.inherited(before) };
            self.remember(commit, descent);
        }
    }

    pub(in crate::engine) fn inherited(&self, commit: &CommitId) -> Descent {
        self.system.versions.descent.get(commit).cloned().unwrap_or_default()
    }

    fn remember(&mut self, commit: &CommitId, descent: Descent) {
        if !descent.is_empty() {
            self.set_descent(commit, descent);
        } else if self.system.versions.descent.contains_key(commit) {
            self.record_commit(commit, CommitFact::DescentForgotten);
        }
    }

    pub(in crate::engine) fn set_descent(&mut self, commit: &CommitId, descent: Descent) {
        self.record_commit(commit, CommitFact::DescentSet(descent));
    }

    /// Forgets, now and then, the commits that nothing names any more.
    pub(in crate::engine) fn forget_descent(&mut self, ended: u64) {
        if !ended.is_multiple_of(FORGET_EVERY) {
            return;
        }
        let system = &*self.system;
        let heads = system.repositories.values().flat_map(|watched| watched.heads.values());
        let gone = system.repositories.values().flat_map(|watched| watched.gone.values());
        let in_heads = heads.flat_map(|Head { commit, set, .. }| set.values().chain([commit]));
        let sets = system.runs.values().map(|run| &run.set).chain(system.versions.sets());
        let sets = sets.chain(system.promoted.values().map(|promoted| &promoted.set));
        let mut named: BTreeSet<CommitId> = BTreeSet::new();
        let made = system.runs.values().flat_map(|run| &run.steps).filter_map(|step| step.made.head());
        let mut open: Vec<&CommitId> =
            gone.chain(in_heads).chain(sets.flat_map(|set| set.values())).chain(made).collect();
        while let Some(commit) = open.pop() {
            let Some(descent) = system.versions.descent.get(commit).filter(|_| !named.contains(commit)) else {
                continue;
            };
            named.insert(commit.clone());
            open.extend(descent.of.iter().chain(&descent.instead));
        }
        let gone = system.versions.descent.keys().filter(|commit| !named.contains(*commit));
        for commit in gone.cloned().collect::<Vec<_>>() {
            self.record_commit(&commit, CommitFact::DescentForgotten);
        }
    }
}
