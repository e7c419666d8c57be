//! What is in a commit, and is not in others: all below it, as git says. Only a way back of ours says too much: its history
//! has what it took away. What is in one is what is in the commit that it restores, and what people pushed that is not in
//! what it takes away.

use super::fault::object_fault;
use super::history::History;
use super::proof::CommitPlace;
use crate::providers::Fault;
use git2::{Oid, Repository};
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

/// How many new commits are told apart. More than anybody brings in one go; reading them takes about a second.
const MOST_NEW: usize = 10_000;
/// How many commits are read for one answer: what lies on both sides may be old, and far apart.
const MOST_READ: usize = 200_000;
/// How many commits are read on that are in both when nothing seems to be new any more: clocks that went wrong make a
/// commit look older than those below it.
const SLOP: usize = 512;
/// How many ways back are followed into one another.
const DEEPEST: usize = 8;

/// In one of the commits that are asked about.
const ASKED: u8 = 1;
/// In one of those that were there before.
const KNOWN: u8 = 2;

/// The commits that are new, newest first, and why they may not be all, or some may not be new.
#[derive(Debug, Default)]
pub(super) struct New {
    pub(super) commits: Vec<Oid>,
    pub(super) doubts: BTreeSet<String>,
}

/// Reads down from both sides at once, newest first, and tells for each commit in which of them it is.
struct Walk<'walk> {
    repository: &'walk Repository,
    history: &'walk History,
    places: &'walk [CommitPlace],
    depth: usize,
    /// What is below these, too.
    sides: BTreeMap<Oid, u8>,
    /// What a way back kept: in it, and what is below may not be.
    kept: BTreeMap<Oid, u8>,
    times: BTreeMap<Oid, i64>,
    pending: BinaryHeap<(i64, Oid)>,
    /// The pending commits that seem to be new.
    open: BTreeSet<Oid>,
    doubts: BTreeSet<String>,
}

/// The commits that are in one of `heads` and in none of `known`. Ways back are ours when they prove it at one of `places`.
pub(super) fn new(
    repository: &Repository,
    history: &History,
    places: &[CommitPlace],
    (heads, known): (&[Oid], &[Oid]),
) -> Result<New, Fault> {
    new_within(repository, history, places, (heads, known), 0)
}

fn new_within(
    repository: &Repository,
    history: &History,
    places: &[CommitPlace],
    (heads, known): (&[Oid], &[Oid]),
    depth: usize,
) -> Result<New, Fault> {
    let mut walk = Walk {
        repository,
        history,
        places,
        depth,
        sides: BTreeMap::new(),
        kept: BTreeMap::new(),
        times: BTreeMap::new(),
        pending: BinaryHeap::new(),
        open: BTreeSet::new(),
        doubts: BTreeSet::new(),
    };
    for known in known {
        walk.reach(*known, KNOWN)?;
    }
    for head in heads {
        walk.reach(*head, ASKED)?;
    }
    walk.read()?;
    Ok(walk.ended())
}

impl Walk<'_> {
    /// A commit is in what these sides hold.
    fn reach(&mut self, id: Oid, sides: u8) -> Result<(), Fault> {
        let before = self.sides.get(&id).copied().unwrap_or_default();
        let now = before | sides;
        if now == before {
            return Ok(());
        }
        self.sides.insert(id, now);
        let time = self.history.seen(self.repository, id)?.time;
        self.times.insert(id, time);
        self.pending.push((time, id));
        if now == ASKED {
            self.open.insert(id)
        } else {
            self.open.remove(&id)
        };
        Ok(())
    }

    fn read(&mut self) -> Result<(), Fault> {
        let (mut read, mut new, mut slop, mut oldest) = (0, 0, SLOP, i64::MAX);
        while let Some((time, id)) = self.pending.pop() {
            let sides = self.sides.get(&id).copied().unwrap_or_default();
            if sides == ASKED {
                (new, oldest) = (new + 1, oldest.min(time));
            }
            self.open.remove(&id);
            read += 1;
            if new > MOST_NEW {
                self.doubts.insert(format!("more than {MOST_NEW} commits are new"));
                break;
            }
            if read > MOST_READ {
                self.doubts.insert(format!("more than {MOST_READ} commits lie between it and what was there before"));
                break;
            }
            self.below(id, sides)?;
            if !self.open.is_empty() || self.pending.peek().is_some_and(|(next, _)| *next >= oldest) {
                slop = SLOP;
            } else if slop == 0 {
                break;
            } else {
                slop -= 1;
            }
        }
        Ok(())
    }

    /// What a commit holds beside itself is on its sides as well.
    fn below(&mut self, id: Oid, sides: u8) -> Result<(), Fault> {
        let seen = self.history.seen(self.repository, id)?;
        let Some(back) = &seen.back else {
            return seen.parents.iter().try_for_each(|parent| self.reach(*parent, sides));
        };
        if !self.history.is_ours(self.repository, self.places, id)? {
            return seen.parents.iter().try_for_each(|parent| self.reach(*parent, sides));
        }
        let there = |id: Oid| self.repository.find_commit(id).is_ok();
        if self.depth == DEEPEST || !there(back.restores) || !there(back.takes_away) {
            self.doubts.insert(format!("what {id:.7} took away cannot be told any more"));
            return seen.parents.iter().try_for_each(|parent| self.reach(*parent, sides));
        }
        self.reach(back.restores, sides)?;
        let on_top: Vec<Oid> = seen.parents.iter().copied().filter(|parent| *parent != back.takes_away).collect();
        if !on_top.is_empty() {
            let goes = [back.takes_away];
            let asked = (on_top.as_slice(), goes.as_slice());
            let kept = new_within(self.repository, self.history, self.places, asked, self.depth + 1)?;
            self.doubts.extend(kept.doubts);
            for id in kept.commits {
                self.times.insert(id, self.history.seen(self.repository, id)?.time);
                *self.kept.entry(id).or_default() |= sides;
            }
        }
        Ok(())
    }

    fn ended(self) -> New {
        let both =
            |id: &Oid| self.sides.get(id).copied().unwrap_or_default() | self.kept.get(id).copied().unwrap_or_default();
        let all: BTreeSet<Oid> = self.sides.keys().chain(self.kept.keys()).copied().collect();
        let mut commits: Vec<Oid> = all.into_iter().filter(|id| both(id) == ASKED).collect();
        commits.sort_by_key(|id| (std::cmp::Reverse(self.times.get(id).copied()), *id));
        commits.truncate(MOST_NEW);
        New { commits, doubts: self.doubts }
    }
}

/// The commits that are in the mirror, as they are asked for; the rest is left out.
pub(super) fn ids(repository: &Repository, commits: &[String]) -> Result<Vec<Oid>, Fault> {
    let id = |commit: &String| {
        let id = Oid::from_str(commit).map_err(|error| object_fault(&error))?;
        Ok(repository.find_commit(id).ok().map(|found| found.id()))
    };
    commits.iter().filter_map(|commit| id(commit).transpose()).collect()
}
