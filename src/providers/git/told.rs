//! What a branch holds, as its history tells it: all below its head, by parents. Only a rollback of ours says too much: below
//! it is what it took away. So it has no parent but what it restores; and of what people merge above it by hand, git leaves
//! out what was taken away, so that such a merge tells nothing of what it brought.

use super::fault::object_fault;
use super::history::History;
use super::proof::CommitPlace;
use super::read;
use crate::providers::Fault;
use git2::{ErrorCode, Oid, Repository};
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

/// How far down a branch's own line rollbacks are looked for: the commits of months, and fewer than are remembered.
const LONGEST_LINE: usize = 4_000;

const ONE: u8 = 1;
const OTHER: u8 = 2;
const BOTH: u8 = ONE | OTHER;
/// Below a commit that both have.
const BELOW: u8 = 4;

/// Which commits are in which, for merges into one branch.
pub(super) struct Told<'told> {
    repository: &'told Repository,
    history: &'told History,
    place: &'told CommitPlace,
    /// Whether nothing on the branch's line goes back: then git is right.
    plain: bool,
    /// The merges that tell nothing of what they brought.
    mute: BTreeSet<Oid>,
}

impl<'told> Told<'told> {
    pub(super) fn of(
        repository: &'told Repository,
        history: &'told History,
        place: &'told CommitPlace,
        head: Oid,
    ) -> Result<Self, Fault> {
        let mut told = Self { repository, history, place, plain: true, mute: BTreeSet::new() };
        let line = told.line(head)?;
        told.plain = line.is_empty();
        let mut gone: Vec<Oid> = Vec::new();
        for id in line.into_iter().rev() {
            let parents = history.seen(repository, id)?.parents.clone();
            if let Some((_, away)) = told.back(id)? {
                gone.push(away);
            } else if parents.len() > 1 && !told.is_ours(id)? && told.leaves_out(&parents, &gone)? {
                told.mute.insert(id);
            }
        }
        Ok(told)
    }

    /// Whether git's own history is right.
    pub(super) const fn is_plain(&self) -> bool {
        self.plain
    }

    /// The branch's own line from the head to the lowest rollback; empty when there is none.
    fn line(&self, head: Oid) -> Result<Vec<Oid>, Fault> {
        let (mut line, mut lowest, mut at) = (Vec::new(), 0, head);
        for _ in 0..LONGEST_LINE {
            line.push(at);
            let back = self.back(at)?;
            if back.is_some() {
                lowest = line.len();
            }
            let before = self.history.seen(self.repository, at)?.parents.first().copied();
            match back.map(|(restores, _)| restores).or(before) {
                Some(before) => at = before,
                None => break,
            }
        }
        line.truncate(lowest);
        Ok(line)
    }

    /// What a rollback of ours restores and takes away.
    fn back(&self, id: Oid) -> Result<Option<(Oid, Oid)>, Fault> {
        let seen = self.history.seen(self.repository, id)?;
        let Some(back) = &seen.back else { return Ok(None) };
        let there = |id: Oid| self.repository.find_commit(id).is_ok();
        if !there(back.restores) || !there(back.takes_away) {
            return Ok(None);
        }
        Ok(self.is_ours(id)?.then_some((back.restores, back.takes_away)))
    }

    fn is_ours(&self, id: Oid) -> Result<bool, Fault> {
        let says_so = self.history.seen(self.repository, id)?.key().is_some();
        Ok(says_so && self.history.is_ours(self.repository, std::slice::from_ref(self.place), id)?)
    }

    /// Whether a merge by hand brought a commit that is in what was taken away, and that is not in its first parent: git took
    /// it for known there.
    fn leaves_out(&self, parents: &[Oid], gone: &[Oid]) -> Result<bool, Fault> {
        let Some((first, others)) = parents.split_first() else { return Ok(false) };
        for other in others {
            for away in gone {
                for known in self.common(*other, *away)? {
                    if !self.contains(*first, known)? {
                        return Ok(true);
                    }
                }
            }
        }
        Ok(false)
    }

    fn parents(&self, id: Oid) -> Result<Vec<Oid>, Fault> {
        if let Some((restores, _)) = self.back(id)? {
            return Ok(vec![restores]);
        }
        let mut parents = self.history.seen(self.repository, id)?.parents.clone();
        if self.mute.contains(&id) {
            parents.truncate(1);
        }
        Ok(parents)
    }

    /// Whether `newer` has `older`.
    pub(super) fn contains(&self, newer: Oid, older: Oid) -> Result<bool, Fault> {
        if self.plain {
            return read::contains(self.repository, newer, older);
        }
        Ok(newer == older || self.painted(newer, older)?.get(&older).is_some_and(|sides| sides & ONE != 0))
    }

    /// The best of the commits that two have in common.
    pub(super) fn common(&self, one: Oid, other: Oid) -> Result<Vec<Oid>, Fault> {
        if self.plain {
            return match self.repository.merge_bases(one, other) {
                Ok(bases) => Ok(bases.to_vec()),
                Err(error) if error.code() == ErrorCode::NotFound => Ok(Vec::new()),
                Err(error) => Err(object_fault(&error)),
            };
        }
        if one == other {
            return Ok(vec![one]);
        }
        let painted = self.painted(one, other)?;
        let all: Vec<Oid> = painted.into_iter().filter(|(_, sides)| *sides == BOTH).map(|(id, _)| id).collect();
        let mut best = Vec::new();
        for id in &all {
            let mut is_below = false;
            for above in all.iter().filter(|above| *above != id) {
                is_below = is_below || self.contains(*above, *id)?;
            }
            if !is_below {
                best.push((self.history.seen(self.repository, *id)?.time, *id));
            }
        }
        best.sort_by_key(|(time, id)| (std::cmp::Reverse(*time), *id));
        Ok(best.into_iter().map(|(_, id)| id).collect())
    }

    /// Reads down from both, newest first, until all that is left is below what both have. Says of each commit whose it is.
    fn painted(&self, one: Oid, other: Oid) -> Result<BTreeMap<Oid, u8>, Fault> {
        let time = |id: Oid| Ok::<_, Fault>(self.history.seen(self.repository, id)?.time);
        let mut walk = Walk::default();
        walk.reach(one, time(one)?, ONE);
        walk.reach(other, time(other)?, OTHER);
        while !walk.open.is_empty() {
            let Some((_, id)) = walk.pending.pop() else { break };
            walk.open.remove(&id);
            let on = walk.sides.get(&id).copied().unwrap_or_default();
            let on = if on & BOTH == BOTH { on | BELOW } else { on };
            for parent in self.parents(id)? {
                walk.reach(parent, time(parent)?, on);
            }
        }
        Ok(walk.sides)
    }
}

/// What is read of two histories.
#[derive(Default)]
struct Walk {
    sides: BTreeMap<Oid, u8>,
    pending: BinaryHeap<(i64, Oid)>,
    /// The pending ones that are not below what both have.
    open: BTreeSet<Oid>,
}

impl Walk {
    fn reach(&mut self, id: Oid, time: i64, on: u8) {
        let sides = self.sides.entry(id).or_default();
        if *sides | on == *sides {
            return;
        }
        *sides |= on;
        self.pending.push((time, id));
        if *sides & BELOW == 0 {
            self.open.insert(id);
        } else {
            self.open.remove(&id);
        }
    }
}
