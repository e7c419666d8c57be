//! The way back: one ordinary commit on top of a branch that takes an earlier content up again. Nothing is rewound. What
//! is to go away is the merge's ancestor and what is to come back is its other side, so that whatever others pushed
//! meanwhile stays.

use super::ancestors::{self, Side};
use super::conflict::Conflict;
use super::fault::object_fault;
use super::merge::{CheckedMerge, combined};
use super::merge_tree::Combined;
use super::message::CommitMessage;
use super::mirror::Mirror;
use super::paths;
use super::pins::{Pin, pinned_values, with_pins};
use super::process::Git;
use super::proof::CommitPlace;
use super::publish::{Proposal, Published};
use crate::providers::Fault;
use git2::{Oid, Repository};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// A branch's way back to an earlier content. Both commits must be in the mirror: fetch the branch first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestoreChange {
    /// The commit whose content is to come back, 40 hex digits.
    pub to: String,
    /// The commit whose content is to go away: the head as it was known when this was decided.
    pub from: String,
    /// The branch.
    pub branch: String,
    /// Values that `to` decides, whatever was pushed meanwhile.
    pub pins: Vec<Pin>,
    /// What the commit says.
    pub message: CommitMessage,
}

/// What became of it; commits are 40 hex digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Restored {
    /// Our commit is on the branch, with this parent.
    Committed {
        /// Our commit.
        commit: String,
        /// The head that it was made on.
        parent: String,
    },
    /// A commit with our key was on the branch before.
    AlreadyThere {
        /// That commit.
        commit: String,
    },
    /// The branch has that content already.
    NothingToChange {
        /// The head that was looked at.
        head: String,
    },
    /// Somebody changed meanwhile what is to go away; nothing was pushed.
    Conflict {
        /// What, by reason.
        conflicts: Vec<Conflict>,
    },
}

impl Mirror {
    /// Takes a branch back, exactly once for the key. A lost race does it again on the new head.
    pub async fn restore(&self, change: &RestoreChange, deadline: Duration) -> Result<Restored, Fault> {
        let deadline = Instant::now() + deadline;
        change.message.check()?;
        let (place, effect) = (change.message.place(&change.branch), change.message.effect());
        let (identity, proofs) = (Arc::clone(&self.identity), self.history.proofs().clone());
        let git = Arc::clone(&self.git);
        let message = change.message.clone().going_back(&change.to, &change.from);
        let change = RestoreChange { message, ..change.clone() };
        let propose = move |repository: &Repository, head: Oid| {
            Ok(match restored_tree(&git, repository, head, &change)? {
                None => Proposal::Settled(Restored::NothingToChange { head: head.to_string() }),
                Some(Combined::Conflict(conflicts)) => Proposal::Settled(Restored::Conflict { conflicts }),
                Some(Combined::Clean(tree)) => Proposal::Push(change.message.commit(
                    repository,
                    (&identity, &proofs),
                    &change.branch,
                    tree,
                    &[head],
                )?),
            })
        };
        Ok(match self.publish(&place, &effect, deadline, propose).await? {
            Published::Committed { commit, parent } => {
                Restored::Committed { commit: commit.to_string(), parent: parent.to_string() }
            }
            Published::AlreadyThere { commit } => Restored::AlreadyThere { commit: commit.to_string() },
            Published::Settled(answer) => answer,
        })
    }

    /// Computes a way back with the fresh head of its branch and pushes nothing.
    pub async fn check_restore(&self, change: &RestoreChange, deadline: Duration) -> Result<CheckedMerge, Fault> {
        let deadline = Instant::now() + deadline;
        let head = self.fresh_head(&change.branch, deadline).await?;
        let (change, git) = (change.clone(), Arc::clone(&self.git));
        self.with_repository(move |repository| {
            Ok(match restored_tree(&git, repository, head, &change)? {
                None => CheckedMerge::AlreadyContained { head: head.to_string() },
                Some(Combined::Conflict(conflicts)) => CheckedMerge::Conflict { conflicts },
                Some(Combined::Clean(tree)) => CheckedMerge::Clean { head: head.to_string(), tree: tree.to_string() },
            })
        })
        .await
    }

    /// The commit of ours with this key at a place, freshly looked at.
    pub async fn commit_of_key(
        &self,
        place: &CommitPlace,
        key: &str,
        deadline: Duration,
    ) -> Result<Option<String>, Fault> {
        let deadline = Instant::now() + deadline;
        let head = self.fresh_head(&place.branch, deadline).await?;
        let (history, place, key) = (Arc::clone(&self.history), place.clone(), key.to_owned());
        let found = self.with_repository(move |repository| history.find_key(repository, head, &place, &key)).await?;
        Ok(found.map(|commit| commit.to_string()))
    }
}

/// What the branch comes to; `None` when that is what it has.
fn restored_tree(
    git: &Git,
    repository: &Repository,
    head: Oid,
    change: &RestoreChange,
) -> Result<Option<Combined>, Fault> {
    let (from, to) = (paths::tree_of(repository, &change.from)?, paths::tree_of(repository, &change.to)?);
    let ours = paths::tree_of(repository, &head.to_string())?;
    let before = ours.id();
    let told = paths::find_commit(repository, &change.to)?.id();
    let pins = pinned_values(repository, &to, &change.pins);
    let sides = || -> Result<_, git2::Error> {
        let ours = Side { tree: with_pins(repository, ours, &pins)?, told: head };
        Ok((with_pins(repository, from, &pins)?, ours, Side { tree: to, told }))
    };
    let (base, ours, theirs) = sides().map_err(|error| object_fault(&error))?;
    let pair = ancestors::pair_above(repository, &base, &ours, &theirs)?;
    let combined = combined(git, repository, &pair, &pins)?;
    Ok(Some(combined).filter(|combined| !matches!(combined, Combined::Clean(tree) if *tree == before)))
}
