//! Where a commit is: which others have it, and with which of them it came to each branch. As git says it by parents; only a
//! rollback of ours has no more what it took away, and has what it restores.

use super::fault::object_fault;
use super::history::History;
use super::proof::{CommitPlace, Proofs};
use crate::providers::Fault;
use git2::{Odb, Oid, Repository};
use std::collections::{BTreeMap, BinaryHeap, HashMap, HashSet};
use std::path::Path;

/// How many commits above it are read for one answer, which takes about a second.
const MOST_READ: usize = 200_000;
/// How many commits are read on that are older than it, where clocks that went wrong may have made a newer one look so.
const SLOP: usize = 512;
/// Of how many commits before it the times are looked at: its own clock may have gone wrong as well.
const FOREBEARS: usize = 32;

/// A question for where a commit is; commits are 40 hex digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sought {
    /// The commit.
    pub commit: String,
    /// Where commits of ours are made.
    pub places: Vec<CommitPlace>,
    /// The commits that may have it.
    pub among: Vec<String>,
    /// The head of each branch.
    pub heads: BTreeMap<String, String>,
}

/// Where a commit is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// Those that have it.
    pub having: Vec<String>,
    /// Those that had it until a commit of ours took it away: that commit.
    pub taken_away: BTreeMap<String, Landed>,
    /// Per branch that has it or had it, the commit with which it came there.
    pub came: BTreeMap<String, Landed>,
}

/// A commit that brought something to a branch, or took it away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Landed {
    /// The commit.
    pub commit: String,
    /// When it was committed, in milliseconds since 1970.
    pub at_ms: i64,
    /// Its key, where it proves to be ours.
    pub key: Option<String>,
}

/// Whether a commit has another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Has {
    It,
    /// No more: this one took it away.
    NoMore(Oid),
    Not,
}

struct Search<'search> {
    repository: &'search Repository,
    history: History,
    sought: &'search Sought,
    commit: Oid,
    /// What was read, and what each commit has its content from.
    below: HashMap<Oid, Below>,
    has: HashMap<Oid, Has>,
}

/// What a commit has its content from.
struct Below {
    parents: Vec<Oid>,
    /// Of a rollback, what it restores and what it takes away.
    back: Option<(Oid, Oid)>,
}

impl Below {
    fn all(&self) -> impl Iterator<Item = Oid> {
        self.parents.iter().copied().chain(self.back.into_iter().flat_map(|(restores, away)| [restores, away]))
    }
}

/// Where a commit is, in the bare repository at `directory`. Commits that are not there have nothing. Blocks, and changes
/// nothing.
pub fn ancestry(directory: &Path, proofs: &Proofs, sought: &Sought) -> Result<Found, Fault> {
    let repository = objects_of(directory).map_err(|error| object_fault(&error))?;
    let Some(commit) = there(&repository, &sought.commit) else { return Ok(Found::default()) };
    let history = History::new(proofs.clone());
    let (below, has) = (HashMap::new(), HashMap::from([(commit, Has::It)]));
    let mut search = Search { repository: &repository, history, sought, commit, below, has };
    let among: Vec<(&String, Oid)> =
        sought.among.iter().filter_map(|name| Some((name, there(&repository, name)?))).collect();
    let heads: Vec<(&String, Oid)> =
        sought.heads.iter().filter_map(|(branch, head)| Some((branch, there(&repository, head)?))).collect();
    search.read(among.iter().chain(&heads).map(|(_, id)| *id))?;
    let mut found = Found::default();
    for (name, id) in among {
        match search.decide(id) {
            Has::It => found.having.push(name.clone()),
            Has::NoMore(by) => drop(found.taken_away.insert(name.clone(), search.landed(by)?)),
            Has::Not => {}
        }
    }
    for (branch, head) in heads {
        if let Some(came) = search.came(head) {
            found.came.insert(branch.clone(), search.landed(came)?);
        }
    }
    Ok(found)
}

/// The one commit in a bare repository that begins with `prefix`. Blocks, and changes nothing.
#[must_use]
pub fn commit_with_prefix(directory: &Path, prefix: &str) -> Option<String> {
    let repository = objects_of(directory).ok()?;
    Some(repository.find_commit_by_prefix(prefix).ok()?.id().to_string())
}

/// The objects of a bare repository, without its settings and those of whoever looks, which may not even be readable.
fn objects_of(directory: &Path) -> Result<Repository, git2::Error> {
    let objects = directory.join("objects");
    let path = objects.to_str().filter(|_| objects.is_dir());
    let odb = Odb::new()?;
    odb.add_disk_alternate(path.ok_or_else(|| git2::Error::from_str("there is no such folder"))?)?;
    Repository::from_odb(odb)
}

fn there(repository: &Repository, commit: &str) -> Option<Oid> {
    Oid::from_str(commit).and_then(|id| repository.find_commit(id)).ok().map(|commit| commit.id())
}

impl Search<'_> {
    /// Reads down from these, newest first, until nothing that is left can be above the commit.
    fn read(&mut self, from: impl Iterator<Item = Oid>) -> Result<(), Fault> {
        let (oldest, mut slop) = (self.oldest()?, SLOP);
        let mut met: HashSet<Oid> = HashSet::from([self.commit]);
        let mut pending = BinaryHeap::new();
        for id in from.filter(|id| met.insert(*id)) {
            pending.push((self.history.seen(self.repository, id)?.time, id));
        }
        while let Some((time, id)) = pending.pop() {
            slop = if time >= oldest { SLOP } else { slop - 1 };
            if slop == 0 {
                break;
            }
            if self.below.len() == MOST_READ {
                let error = format!("more than {MOST_READ} commits lie above {:.10}", self.commit);
                return Err(Fault::fail(error, "ask about a newer one: `git log` knows the way of this one"));
            }
            let below = self.below_of(id)?;
            for id in below.all().filter(|id| met.insert(*id)) {
                pending.push((self.history.seen(self.repository, id)?.time, id));
            }
            self.below.insert(id, below);
        }
        Ok(())
    }

    /// The time of the commit, or of the oldest of those just before it.
    fn oldest(&self) -> Result<i64, Fault> {
        let mut seen = self.history.seen(self.repository, self.commit)?;
        let mut oldest = seen.time;
        for _ in 0..FOREBEARS {
            let Some(parent) = seen.parents.first() else { break };
            seen = self.history.seen(self.repository, *parent)?;
            oldest = oldest.min(seen.time);
        }
        Ok(oldest)
    }

    fn below_of(&self, id: Oid) -> Result<Below, Fault> {
        let seen = self.history.seen(self.repository, id)?;
        let back = seen.back.as_ref().map(|back| (back.restores, back.takes_away));
        let is_there = |id: Oid| self.repository.find_commit(id).is_ok();
        let back = back.filter(|(restores, away)| is_there(*restores) && is_there(*away));
        let is_ours = back.is_some() && self.history.is_ours(self.repository, &self.sought.places, id)?;
        Ok(Below { parents: seen.parents.clone(), back: back.filter(|_| is_ours) })
    }

    /// Whether a commit that was read has it. What was not read is older, and has not.
    fn decide(&mut self, id: Oid) -> Has {
        let mut open = vec![id];
        while let Some(id) = open.last().copied() {
            let Some(below) = self.below.get(&id).filter(|_| !self.has.contains_key(&id)) else {
                self.has.entry(id).or_insert(Has::Not);
                open.pop();
                continue;
            };
            let unknown = open.len();
            open.extend(below.all().filter(|id| !self.has.contains_key(id)));
            if open.len() == unknown {
                let decided = self.decided(id, below);
                self.has.insert(id, decided);
                open.pop();
            }
        }
        self.known(&id)
    }

    fn known(&self, id: &Oid) -> Has {
        self.has.get(id).copied().unwrap_or(Has::Not)
    }

    /// All below it is decided.
    fn decided(&self, id: Oid, below: &Below) -> Has {
        let parents = || below.parents.iter().map(|parent| (*parent, self.known(parent)));
        let gone = parents().find_map(|(_, has)| matches!(has, Has::NoMore(_)).then_some(has));
        let Some((restores, away)) = below.back else {
            let has = parents().any(|(_, has)| has == Has::It);
            return if has { Has::It } else { gone.unwrap_or(Has::Not) };
        };
        // A rollback has what it restores, and of what was there what is not in what it takes away.
        let stays = self.known(&away) != Has::It && parents().any(|(parent, has)| parent != away && has == Has::It);
        if self.known(&restores) == Has::It || stays {
            return Has::It;
        }
        let had = parents().any(|(_, has)| has == Has::It);
        if had { Has::NoMore(id) } else { gone.unwrap_or(Has::Not) }
    }

    /// The commit of a branch's own line with which it came there the last time.
    fn came(&mut self, head: Oid) -> Option<Oid> {
        let is_there = self.decide(head);
        let mut came = Some(head).filter(|_| is_there != Has::Not)?;
        while let Some(before) = self.below.get(&came).and_then(|below| below.parents.first().copied()) {
            match (is_there, self.decide(before)) {
                (_, Has::Not) | (Has::It, Has::NoMore(_)) => break,
                _ => came = before,
            }
        }
        Some(came)
    }

    fn landed(&self, id: Oid) -> Result<Landed, Fault> {
        let seen = self.history.seen(self.repository, id)?;
        let is_ours = seen.key().is_some() && self.history.is_ours(self.repository, &self.sought.places, id)?;
        let key = seen.key().filter(|_| is_ours).map(str::to_owned);
        Ok(Landed { commit: id.to_string(), at_ms: seen.time.saturating_mul(1_000), key })
    }
}
