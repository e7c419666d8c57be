//! Looking down from a head for a commit of ours by its key, and knowing ours from those that only say so.

use super::fault::object_fault;
use super::proof::{CommitPlace, Proofs};
use super::trailers::{self, KEY_TRAILER, REPOSITORY_TRAILER, RESTORES_TRAILER, SYSTEM_TRAILER, TAKES_AWAY_TRAILER};
use crate::providers::Fault;
use git2::{Commit, Oid, Repository};
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::sync::{Arc, Mutex, PoisonError};

/// How many commits below the head are looked at, newest first. A key is asked for again only by the run that
/// made it, within hours; nobody pushes more to one branch in that time.
const DEEPEST_SEARCH: usize = 512;
/// How many commits are remembered; past that, the memory is emptied (a search refills what it needs).
const MOST_REMEMBERED: usize = 16 * DEEPEST_SEARCH;

/// The trailers that tell effects of one key apart.
const MADE_FROM: [&str; 2] = ["Tidegate-Source", "Tidegate-Restores"];

/// What was read of commits, which never change.
pub(super) struct History {
    proofs: Proofs,
    commits: Mutex<BTreeMap<Oid, Arc<Seen>>>,
    /// The commits of which it has been said that they are not ours.
    doubted: Mutex<BTreeSet<Oid>>,
}

pub(super) struct Seen {
    pub(super) time: i64,
    pub(super) parents: Vec<Oid>,
    /// The effect that it says, proved or not.
    effect: Option<Effect>,
    /// Where it says that it goes back to, proved or not.
    pub(super) back: Option<Back>,
}

impl Seen {
    /// The key that it says, proved or not.
    pub(super) fn key(&self) -> Option<&str> {
        self.effect.as_ref().map(|effect| effect.key.as_str())
    }
}

/// A way back.
pub(super) struct Back {
    pub(super) restores: Oid,
    pub(super) takes_away: Oid,
}

impl Back {
    fn said(trailers: &[(String, String)]) -> Option<Self> {
        let commit = |name: &str| Oid::from_str(&trailers.iter().find(|(said, _)| said == name)?.1).ok();
        Some(Self { restores: commit(RESTORES_TRAILER)?, takes_away: commit(TAKES_AWAY_TRAILER)? })
    }
}

/// Which effect a commit of ours is.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Effect {
    pub(super) key: String,
    /// What it says of what it is made from. A key says when its run was made; those of before did not, and after a backup
    /// was restored another effect could have the same one.
    pub(super) made_from: Vec<(String, String)>,
}

impl Effect {
    pub(super) fn new(key: &str, trailers: &[(String, String)]) -> Self {
        let made_from = trailers.iter().filter(|(name, _)| MADE_FROM.contains(&name.as_str()));
        let made_from = made_from.map(|(name, value)| (name.clone(), value.trim().to_owned())).collect();
        Self { key: key.to_owned(), made_from }
    }
}

impl History {
    pub(super) fn new(proofs: Proofs) -> Self {
        Self { proofs, commits: Mutex::default(), doubted: Mutex::default() }
    }

    /// What proves commits to be ours.
    pub(super) const fn proofs(&self) -> &Proofs {
        &self.proofs
    }

    /// The commit of this effect that we made at `place`, at or below `head` within the bound, all parents followed.
    pub(super) fn find(
        &self,
        repository: &Repository,
        head: Oid,
        place: &CommitPlace,
        effect: &Effect,
    ) -> Result<Option<Oid>, Fault> {
        self.find_where(repository, head, std::slice::from_ref(place), |_, found| found == effect)
    }

    /// The newest commit that we made at `place` under `key`, whatever it is made from.
    pub(super) fn find_key(
        &self,
        repository: &Repository,
        head: Oid,
        place: &CommitPlace,
        key: &str,
    ) -> Result<Option<Oid>, Fault> {
        self.find_where(repository, head, std::slice::from_ref(place), |_, found| found.key == key)
    }

    /// The newest commit that we made at any of these places and of which `is_it` says so, given the commit and its key.
    pub(super) fn find_writer(
        &self,
        repository: &Repository,
        head: Oid,
        places: &[CommitPlace],
        is_it: impl Fn(Oid, &str) -> bool,
    ) -> Result<Option<Oid>, Fault> {
        self.find_where(repository, head, places, |id, found| is_it(id, &found.key))
    }

    fn find_where(
        &self,
        repository: &Repository,
        head: Oid,
        places: &[CommitPlace],
        is_it: impl Fn(Oid, &Effect) -> bool,
    ) -> Result<Option<Oid>, Fault> {
        let mut met = BTreeSet::from([head]);
        let mut pending = BinaryHeap::from([(i64::MAX, head)]);
        for _ in 0..DEEPEST_SEARCH {
            let Some((_, id)) = pending.pop() else { break };
            let seen = self.seen(repository, id)?;
            if seen.effect.as_ref().is_some_and(|effect| is_it(id, effect)) {
                if self.is_ours(repository, places, id)? {
                    return Ok(Some(id));
                }
                let commit = repository.find_commit(id).map_err(|error| object_fault(&error))?;
                if self.made_elsewhere(repository, places, &commit)?.is_none() {
                    self.doubt(id);
                }
            }
            for parent in &seen.parents {
                if met.insert(*parent) {
                    pending.push((self.seen(repository, *parent)?.time, *parent));
                }
            }
        }
        Ok(None)
    }

    /// Whether we made a commit, which says so, at one of these places.
    pub(super) fn is_ours(&self, repository: &Repository, places: &[CommitPlace], id: Oid) -> Result<bool, Fault> {
        for place in places {
            if self.proofs.is_ours(place, repository, id)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The system of this installation that made a commit on the branch of one of these places, where that is another than
    /// theirs, or calls the repository otherwise. The proof is of what the commit says of that.
    pub(super) fn made_elsewhere(
        &self,
        repository: &Repository,
        places: &[CommitPlace],
        commit: &Commit<'_>,
    ) -> Result<Option<String>, Fault> {
        let said = trailers::read(&String::from_utf8_lossy(commit.message_bytes()));
        let value = |name: &str| said.iter().find(|(said, _)| said == name).map(|(_, value)| value.clone());
        let Some(system) = value(SYSTEM_TRAILER) else { return Ok(None) };
        let called = value(REPOSITORY_TRAILER);
        for place in places {
            let called = called.clone().unwrap_or_else(|| place.repository.clone());
            let elsewhere = CommitPlace { system: system.clone(), repository: called, branch: place.branch.clone() };
            if elsewhere != *place && self.proofs.is_ours(&elsewhere, repository, commit.id())? {
                return Ok(Some(system));
            }
        }
        Ok(None)
    }

    /// Says once of a commit that it says that it is ours, and is not.
    pub(super) fn doubt(&self, id: Oid) {
        self.doubt_because(id, "a commit says that it is ours and cannot prove it; it counts as its author's");
    }

    /// Says once of a commit that it is in our name, and is not ours.
    pub(super) fn doubt_name(&self, id: Oid) {
        self.doubt_because(id, "a commit is in our name and cannot prove that it is ours; it counts as a stranger's");
    }

    fn doubt_because(&self, id: Oid, why: &str) {
        let mut doubted = self.doubted.lock().unwrap_or_else(PoisonError::into_inner);
        if doubted.len() >= MOST_REMEMBERED {
            doubted.clear();
        }
        if doubted.insert(id) {
            tracing::warn!(commit = %id, "{why}");
        }
    }

    pub(super) fn seen(&self, repository: &Repository, id: Oid) -> Result<Arc<Seen>, Fault> {
        let remembered = self.commits.lock().unwrap_or_else(PoisonError::into_inner).get(&id).cloned();
        if let Some(seen) = remembered {
            return Ok(seen);
        }
        let commit = repository.find_commit(id).map_err(|error| object_fault(&error))?;
        let message = String::from_utf8_lossy(commit.message_bytes());
        let trailers = trailers::read(&message);
        let key = trailers.iter().find(|(name, _)| name == KEY_TRAILER);
        let effect = key.map(|(_, key)| Effect::new(key, &trailers));
        let (time, parents, back) = (commit.time().seconds(), commit.parent_ids().collect(), Back::said(&trailers));
        let seen = Arc::new(Seen { time, parents, effect, back });
        let mut commits = self.commits.lock().unwrap_or_else(PoisonError::into_inner);
        if commits.len() >= MOST_REMEMBERED {
            commits.clear();
        }
        commits.insert(id, Arc::clone(&seen));
        Ok(seen)
    }
}
