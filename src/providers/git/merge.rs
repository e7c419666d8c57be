//! The promotion's merge: what `git merge` gives, as a merge commit. Pins are resolved by rule before the files are merged: both
//! sides and their ancestors are given the source's values, so that a pin can never conflict.

use super::ancestors::{self, Pair, Side};
use super::bounds;
use super::conflict::{Clash, Conflict};
use super::fault::object_fault;
use super::history::History;
use super::merge_tree::{self, Combined};
use super::message::CommitMessage;
use super::mirror::Mirror;
use super::paths;
use super::pins::{self, Pin, PinnedValues, pinned_values, with_pins};
use super::process::Git;
use super::publish::{Proposal, Published};
use super::told::Told;
use crate::providers::Fault;
use git2::{Oid, Repository};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// One merge of a verified commit into a branch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MergeChange {
    /// What is merged, 40 hex digits. It must be in the mirror: fetch its branch first.
    pub source_commit: String,
    /// What it is merged into.
    pub branch: String,
    /// The newest commit of the source's branch, when the branch may go back to the source: what the branch holds of
    /// it beyond the source is then taken away.
    pub back_from: Option<String>,
    /// What the source decides.
    pub pins: Vec<Pin>,
    /// Of the pins, those that stay as the branch has them, where it has them.
    pub kept: Vec<Pin>,
    /// What the commit says.
    pub message: CommitMessage,
}

/// What became of a merge; commits are 40 hex digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Merged {
    /// The merge commit is on the branch.
    Committed {
        /// The merge commit.
        commit: String,
    },
    /// A commit with our key was on the branch before.
    AlreadyThere {
        /// That commit.
        commit: String,
    },
    /// The branch contains the source; there is nothing to merge.
    AlreadyContained {
        /// The branch's head.
        head: String,
    },
    /// It cannot be made; nothing was pushed.
    Conflict {
        /// Why, by reason.
        conflicts: Vec<Conflict>,
    },
}

/// What a merge would come to, with nothing pushed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CheckedMerge {
    /// It would succeed.
    Clean {
        /// The head that it would be made on.
        head: String,
        /// The tree that it would have, which is in the mirror.
        tree: String,
    },
    /// The branch contains the source.
    AlreadyContained {
        /// The branch's head.
        head: String,
    },
    /// It cannot be made.
    Conflict {
        /// Why, by reason.
        conflicts: Vec<Conflict>,
    },
}

enum Tried {
    Clean { tree: Oid, parents: Vec<Oid> },
    Contained,
    Conflict(Vec<Conflict>),
}

impl Mirror {
    /// Merges a commit into a branch, exactly once for its key. A lost race merges again with the new head.
    pub async fn merge(&self, change: &MergeChange, deadline: Duration) -> Result<Merged, Fault> {
        let deadline = Instant::now() + deadline;
        change.message.check()?;
        let (place, effect) = (change.message.place(&change.branch), change.message.effect());
        let (change, identity, history) = (change.clone(), Arc::clone(&self.identity), Arc::clone(&self.history));
        let git = Arc::clone(&self.git);
        let propose = move |repository: &Repository, head: Oid| {
            Ok(match merged_tree(&git, repository, &history, head, &change)? {
                Tried::Contained => Proposal::Settled(Merged::AlreadyContained { head: head.to_string() }),
                Tried::Conflict(conflicts) => Proposal::Settled(Merged::Conflict { conflicts }),
                Tried::Clean { tree, parents } => {
                    let message = match &change.back_from {
                        Some(newest) if parents.len() == 1 => {
                            change.message.clone().going_back(&change.source_commit, newest)
                        }
                        _ => change.message.clone(),
                    };
                    let who = (&*identity, history.proofs());
                    Proposal::Push(message.commit(repository, who, &change.branch, tree, &parents)?)
                }
            })
        };
        Ok(match self.publish(&place, &effect, deadline, propose).await? {
            Published::Committed { commit, .. } => Merged::Committed { commit: commit.to_string() },
            Published::AlreadyThere { commit } => Merged::AlreadyThere { commit: commit.to_string() },
            Published::Settled(answer) => answer,
        })
    }

    /// Computes a merge with the fresh head of its branch and pushes nothing.
    pub async fn check_merge(&self, change: &MergeChange, deadline: Duration) -> Result<CheckedMerge, Fault> {
        let deadline = Instant::now() + deadline;
        let head = self.fresh_head(&change.branch, deadline).await?;
        let (change, history, git) = (change.clone(), Arc::clone(&self.history), Arc::clone(&self.git));
        self.with_repository(move |repository| {
            Ok(match merged_tree(&git, repository, &history, head, &change)? {
                Tried::Clean { tree, .. } => CheckedMerge::Clean { head: head.to_string(), tree: tree.to_string() },
                Tried::Contained => CheckedMerge::AlreadyContained { head: head.to_string() },
                Tried::Conflict(conflicts) => CheckedMerge::Conflict { conflicts },
            })
        })
        .await
    }

    /// The content of the plain file at `path` of a tree in the mirror, say that of a [`CheckedMerge::Clean`].
    pub async fn read_file_of_tree(&self, tree: &str, path: &str) -> Result<Option<Vec<u8>>, Fault> {
        let (tree, path) = (tree.to_owned(), path.to_owned());
        self.with_repository(move |repository| {
            let tree = Oid::from_str(&tree).and_then(|id| repository.find_tree(id)).map_err(|e| object_fault(&e))?;
            let file = paths::file_at(repository, &tree, &path)?;
            file.map(|file| bounds::document(repository, file.blob)).transpose()
        })
        .await
    }
}

fn merged_tree(
    git: &Git,
    repository: &Repository,
    history: &History,
    head: Oid,
    change: &MergeChange,
) -> Result<Tried, Fault> {
    let commit = |id: &str| paths::find_commit(repository, id).map(|commit| commit.id());
    let source = commit(&change.source_commit)?;
    let theirs = paths::tree_of(repository, &source.to_string())?;
    let ours = paths::tree_of(repository, &head.to_string())?;
    let place = change.message.place(&change.branch);
    let told = Told::of(repository, history, &place, head)?;
    let holds_it = told.contains(head, source)?;
    let (other, parents) = match &change.back_from {
        Some(newest) if holds_it => (commit(newest)?, vec![head]),
        _ if holds_it => return Ok(Tried::Contained),
        _ => (source, vec![head, source]),
    };
    let before = ours.id();
    let sides = || -> Result<_, git2::Error> {
        let kept = pinned_values(repository, &ours, &change.kept);
        let stays = |pin: &&Pin| {
            kept.get(&pin.path).is_some_and(|values| values.iter().any(|(pointer, _)| *pointer == pin.pointer))
        };
        let decided: Vec<Pin> = change.pins.iter().filter(|pin| !stays(pin)).cloned().collect();
        let mut settled = pinned_values(repository, &theirs, &decided);
        let ours = Side { tree: with_pins(repository, ours, &settled)?, told: head };
        let theirs = Side { tree: with_pins(repository, theirs, &kept)?, told: other };
        kept.into_iter().for_each(|(path, values)| settled.entry(path).or_default().extend(values));
        Ok((ours, theirs, settled))
    };
    let (ours, theirs, settled) = sides().map_err(|error| object_fault(&error))?;
    let Some(pair) = ancestors::pair(repository, &told, &ours, &theirs, &settled)? else {
        return Ok(Tried::Conflict(vec![Conflict { clash: Clash::NoCommonCommit, paths: Vec::new() }]));
    };
    Ok(match combined(git, repository, &pair, &settled)? {
        Combined::Conflict(conflicts) => Tried::Conflict(conflicts),
        Combined::Clean(tree) if holds_it && tree == before => Tried::Contained,
        Combined::Clean(tree) => Tried::Clean { tree, parents },
    })
}

/// Merges a pair whose sides say the same of some pins; what comes of it says that, too.
pub(super) fn combined(
    git: &Git,
    repository: &Repository,
    pair: &Pair,
    settled: &PinnedValues,
) -> Result<Combined, Fault> {
    let combined = merge_tree::merge(git, repository, pair)?;
    let Combined::Clean(tree) = combined else { return Ok(combined) };
    let lost = pins::unsaid(repository, tree, settled).map_err(|error| object_fault(&error))?;
    Ok(match lost {
        Some(path) => Combined::Conflict(vec![Conflict { clash: Clash::PinLost, paths: vec![path] }]),
        None => combined,
    })
}
