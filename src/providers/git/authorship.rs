//! What is new on a branch: who wrote it, and which of its commits are ours.

use super::contents;
use super::fault::object_fault;
use super::history::History;
use super::identity::{self, Identity};
use super::mirror::Mirror;
use super::paths;
use super::proof::CommitPlace;
use super::read;
use super::signed_names::{Asked, SignedNames};
use super::trailers::{self, KEY_TRAILER};
use crate::providers::Fault;
use git2::{Commit, ErrorCode, Oid, Repository, Signature, Sort};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

/// How many new commits are read. More than anybody pushes between two looks; reading them takes about a second.
const MOST_COMMITS: usize = 10_000;
/// How many people's names are kept of one push: more than work on any system, and a log that nobody can fill by a push.
const MOST_AUTHORS: usize = 500;
/// The trailer that names another author, as git and the forges write it; its case does not matter.
const CO_AUTHOR_TRAILER: &str = "co-authored-by";
/// The trailer of a commit of ours that names what it was made from.
const SOURCE_TRAILER: &str = "Tidegate-Source";
/// What is new on a branch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewCommits {
    /// Who wrote the commits that are not ours, as in `Ada <ada@example.com>`: authors, co-authors, and committers.
    pub authors: BTreeSet<String>,
    /// Whether these are all: not when there are too many commits to read.
    pub complete: bool,
    /// The keys of the commits that are ours, oldest first.
    pub keys: Vec<String>,
}

/// What is asked about, and what it is compared with; commits are 40 hex digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compared {
    /// Where commits of ours are made.
    pub places: Vec<CommitPlace>,
    /// What is asked about. All of them must be in the mirror.
    pub heads: Vec<String>,
    /// What was there before.
    pub known: Vec<String>,
    /// Whether it is asked who signed it.
    pub signatures: bool,
}

/// What is new in some commits.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Brought {
    /// Who wrote the commits that are not ours, as in `Ada <ada@example.com>`: authors, co-authors, and committers.
    pub authors: BTreeSet<String>,
    /// What the commits that are ours were made from, as in `software@` and a commit.
    pub carried: BTreeSet<String>,
    /// Why there may be others; nothing when these are all.
    pub incomplete: BTreeSet<String>,
    /// Who signed the commits that are not ours, where that was asked.
    pub signed: Vec<SignedNames>,
    /// The commits, with whether they are ours.
    pub commits: BTreeMap<String, bool>,
}

impl Mirror {
    /// What is in the commits that are asked about and not in what was there before. What a way back of ours took away is
    /// in neither, however it comes back.
    pub async fn brought(&self, compared: &Compared) -> Result<Brought, Fault> {
        let Compared { places, heads, known, signatures } = compared.clone();
        let (history, others) = (self.history.clone(), self.others());
        let read = self.with_repository(move |repository| {
            let (heads, known) = (contents::ids(repository, &heads)?, contents::ids(repository, &known)?);
            let contents::New { commits, doubts } = contents::new(repository, &history, &places, (&heads, &known))?;
            let mut new = NewCommits { complete: true, ..NewCommits::default() };
            let (mut carried, mut asked, mut all) = (BTreeSet::new(), Vec::new(), BTreeMap::new());
            for id in commits {
                let commit = repository.find_commit(id).map_err(|error| object_fault(&error))?;
                let key = key_of(&commit);
                let is_ours = key.is_some() && history.is_ours(repository, &places, id)?;
                all.insert(id.to_string(), is_ours);
                match key {
                    Some(_) if is_ours => carried.extend(source_of(&commit)),
                    key => {
                        let elsewhere = history.made_elsewhere(repository, &places, &commit)?;
                        if signatures && elsewhere.is_none() {
                            asked.push(Asked::of(repository, &commit, others.people(&commit))?);
                        }
                        new.take_in(&commit, (key.is_some(), elsewhere), &others);
                    }
                }
            }
            let mut incomplete = doubts;
            if !new.complete {
                incomplete.insert(format!("more than {MOST_AUTHORS} people wrote it"));
            }
            let signed = Vec::new();
            Ok((Brought { authors: new.authors, carried, incomplete, signed, commits: all }, asked))
        });
        let (mut brought, asked) = read.await?;
        brought.signed = self.signed_names(asked).await?;
        Ok(brought)
    }

    /// Who wrote what changed below a folder (`""` is the top) between a commit that was known and `head`. Where that commit is
    /// none of the history of `head`, all of it counts, and there may be others.
    pub async fn wrote_below(
        &self,
        folder: &str,
        known: Option<&str>,
        head: &str,
        signatures: bool,
    ) -> Result<Brought, Fault> {
        let (folder, known, head) = (folder.to_owned(), known.map(str::to_owned), head.to_owned());
        let others = self.others();
        let read = self.with_repository(move |repository| {
            let head = paths::find_commit(repository, &head)?.id();
            let known = known.and_then(|known| Some(paths::find_commit(repository, &known).ok()?.id()));
            let commits = between(repository, known.as_slice(), head).map_err(|error| object_fault(&error))?;
            let mut new = NewCommits { complete: commits.len() <= MOST_COMMITS, ..NewCommits::default() };
            let (mut asked, mut all) = (Vec::new(), BTreeMap::new());
            for id in commits.into_iter().take(MOST_COMMITS) {
                let commit = repository.find_commit(id).map_err(|error| object_fault(&error))?;
                all.insert(id.to_string(), false);
                if changes(&commit, &folder).map_err(|error| object_fault(&error))? {
                    if signatures {
                        asked.push(Asked::of(repository, &commit, others.people(&commit))?);
                    }
                    new.take_in(&commit, (key_of(&commit).is_some(), None), &others);
                }
            }
            let mut incomplete = BTreeSet::new();
            let contains = |known| read::contains(repository, head, known);
            if !known.map(contains).transpose()?.unwrap_or(false) {
                incomplete.insert("what was there before is not in the history of this commit".to_owned());
            }
            if !new.complete {
                incomplete.insert(format!("there are more than {MOST_COMMITS} commits, or {MOST_AUTHORS} people"));
            }
            Ok((Brought { authors: new.authors, incomplete, commits: all, ..Brought::default() }, asked))
        });
        let (mut brought, asked) = read.await?;
        brought.signed = self.signed_names(asked).await?;
        Ok(brought)
    }

    /// What is at or below `head` and neither at nor below one of `known`, of which those count that are in the mirror.
    /// A commit is ours when it was made at one of `places`, and proves it. The first of them is where `head` is: what a
    /// merge of ours brought there is not new, for it was new where it came from.
    pub async fn new_commits(&self, places: &[CommitPlace], known: &[String], head: &str) -> Result<NewCommits, Fault> {
        let (places, known, head) = (places.to_vec(), known.to_vec(), head.to_owned());
        let (history, others) = (self.history.clone(), self.others());
        self.with_repository(move |repository| {
            let head = paths::find_commit(repository, &head)?.id();
            let ids = new_ids(repository, &history, &places, &known, head)?;
            let mut new = NewCommits { complete: ids.len() <= MOST_COMMITS, ..NewCommits::default() };
            for id in ids.into_iter().take(MOST_COMMITS) {
                let commit = repository.find_commit(id).map_err(|error| object_fault(&error))?;
                match key_of(&commit) {
                    Some(key) if history.is_ours(repository, &places, id)? => new.keys.push(key),
                    key => {
                        let elsewhere = history.made_elsewhere(repository, &places, &commit)?;
                        new.take_in(&commit, (key.is_some(), elsewhere), &others);
                    }
                }
            }
            new.keys.reverse();
            Ok(new)
        })
        .await
    }
}

/// Whether a folder is not as it is in any of the commit's parents.
fn changes(commit: &Commit<'_>, folder: &str) -> Result<bool, git2::Error> {
    let of = |commit: &Commit<'_>| {
        let tree = commit.tree()?;
        match folder {
            "" => Ok(Some(tree.id())),
            _ => match tree.get_path(Path::new(folder)) {
                Ok(entry) => Ok(Some(entry.id())),
                Err(error) if error.code() == ErrorCode::NotFound => Ok(None),
                Err(error) => Err(error),
            },
        }
    };
    let own = of(commit)?;
    for parent in commit.parents() {
        if of(&parent)? == own {
            return Ok(false);
        }
    }
    Ok(commit.parent_count() > 0 || own.is_some())
}

/// The key that a commit says, proved or not.
fn key_of(commit: &Commit<'_>) -> Option<String> {
    let said = trailers::read(&String::from_utf8_lossy(commit.message_bytes()));
    said.into_iter().find(|(name, _)| name == KEY_TRAILER).map(|(_, key)| key)
}

/// What a commit of ours was made from.
fn source_of(commit: &Commit<'_>) -> Option<String> {
    let said = trailers::read(&String::from_utf8_lossy(commit.message_bytes()));
    said.into_iter().find(|(name, _)| name == SOURCE_TRAILER).map(|(_, source)| source)
}

/// By what the commits of others are told from those of forges and from ours.
struct Others {
    history: Arc<History>,
    identity: Arc<Identity>,
    forges: Arc<BTreeSet<String>>,
}

impl Mirror {
    fn others(&self) -> Others {
        let (identity, forges) = (Arc::clone(&self.identity), Arc::clone(&self.forges));
        Others { history: Arc::clone(&self.history), identity, forges }
    }
}

impl Others {
    /// Whom a commit names: its author, its committer unless that is a forge, and those in its message.
    fn people(&self, commit: &Commit<'_>) -> Vec<String> {
        let (author, committer) = (commit.author(), commit.committer());
        let mut people = vec![named(&author)];
        if committer.email_bytes() != author.email_bytes() && !identity::is_forge(&committer, &self.forges) {
            people.push(named(&committer));
        }
        people.extend(co_authors(&String::from_utf8_lossy(commit.message_bytes())));
        people
    }
}

impl NewCommits {
    /// Takes in who wrote a commit that was not made here, whatever it says. Our name without a proof is one like any other. One
    /// that we made for another system is that system's: who wrote what it was made from is not known here.
    fn take_in(&mut self, commit: &Commit<'_>, (has_key, elsewhere): (bool, Option<String>), others: &Others) {
        let (author, committer) = (commit.author(), commit.committer());
        if let Some(system) = elsewhere {
            let email = String::from_utf8_lossy(author.email_bytes()).trim().to_owned();
            return self.add(format!("Tidegate for {system} <{email}>"));
        }
        if others.identity.is(&author) || others.identity.is(&committer) {
            others.history.doubt_name(commit.id());
        } else if has_key {
            others.history.doubt(commit.id());
        }
        others.people(commit).into_iter().for_each(|person| self.add(person));
    }

    fn add(&mut self, person: String) {
        if self.authors.len() < MOST_AUTHORS || self.authors.contains(&person) {
            self.authors.insert(person);
        } else {
            self.complete = false;
        }
    }
}

/// The commits at or below `head` and neither at nor below one of `known`, newest first, without what merges of ours brought
/// to the first of `places`; at most one more than are read.
pub(super) fn new_ids(
    repository: &Repository,
    history: &History,
    places: &[CommitPlace],
    known: &[String],
    head: Oid,
) -> Result<Vec<Oid>, Fault> {
    let known = known.iter().filter_map(|commit| paths::find_commit(repository, commit).ok());
    let known: Vec<Oid> = known.map(|commit| commit.id()).collect();
    let ids = between(repository, &known, head).map_err(|error| object_fault(&error))?;
    let mut merged = Vec::new();
    for id in &ids {
        let commit = repository.find_commit(*id).map_err(|error| object_fault(&error))?;
        if commit.parent_count() > 1 && key_of(&commit).is_some() && history.is_ours(repository, &places[..1], *id)? {
            merged.extend(commit.parent_ids().skip(1));
        }
    }
    if merged.is_empty() {
        return Ok(ids);
    }
    merged.extend(known);
    between(repository, &merged, head).map_err(|error| object_fault(&error))
}

/// The new commits, newest first, and at most one more than are read.
fn between(repository: &Repository, known: &[Oid], head: Oid) -> Result<Vec<Oid>, git2::Error> {
    let mut walk = repository.revwalk()?;
    // Children before parents, whatever their clocks said. Without a bound below, that would read the whole history first.
    walk.set_sorting(if known.is_empty() { Sort::NONE } else { Sort::TOPOLOGICAL })?;
    walk.push(head)?;
    for known in known {
        walk.hide(*known)?;
    }
    walk.take(MOST_COMMITS + 1).collect()
}

pub(super) fn named(signature: &Signature<'_>) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    format!("{} <{}>", text(signature.name_bytes()), text(signature.email_bytes()))
}

/// Whom a message names as authors beside the commit's own: in every line of it that begins with the trailer's name,
/// whichever paragraph that is in, for nobody is less an author for a line that somebody wrote below.
pub(super) fn co_authors(message: &str) -> Vec<String> {
    let mut named: Vec<String> = Vec::new();
    let mut goes_on = false;
    for line in message.lines() {
        let said = line.trim();
        let value = said.split_once(':').filter(|(name, _)| name.trim_end().eq_ignore_ascii_case(CO_AUTHOR_TRAILER));
        let is_rest = goes_on && line.starts_with([' ', '\t']) && !said.is_empty();
        match (value, named.last_mut()) {
            (Some((_, value)), _) => named.push(one_line(value)),
            (None, Some(last)) if is_rest => *last = one_line(&format!("{last} {said}")),
            _ => {}
        }
        goes_on = value.is_some() || is_rest;
    }
    named.retain(|person| !person.is_empty());
    named
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::co_authors;

    #[test]
    fn co_authors_are_read_wherever_they_stand_in_a_message() {
        let message = "Mend it\n\nWith Ada.\n\nCo-Authored-By: Ada <ada@x.example>\nSigned-off-by: Grace <g@x.example>\n\
                       co-authored-by: Linus\n  <linus@x.example>\n";
        assert_eq!(co_authors(message), ["Ada <ada@x.example>", "Linus <linus@x.example>"]);
        let ada = ["Ada <ada@x.example>"];
        for message in [
            "Co-authored-by: Ada <ada@x.example>",
            "Quote\n\nCo-authored-by: Ada <ada@x.example>\n\nsays the old one",
            "Squash\r\n\r\n    co-authored-by : Ada  <ada@x.example>\r\n\r\nTidegate-Run: 7\r\n",
        ] {
            assert_eq!(co_authors(message), ada, "{message}");
        }
        for message in ["Mend co-authored-by: Ada", "Co-authored-by:", "Co-authored-by Ada <ada@x.example>"] {
            assert!(co_authors(message).is_empty(), "{message}");
        }
    }
}
