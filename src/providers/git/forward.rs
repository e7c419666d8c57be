//! The forward commit: typed edits of files at the head of a branch.

use super::bounds;
use super::edit::{self, EditError};
use super::fault::object_fault;
use super::message::CommitMessage;
use super::mirror::Mirror;
use super::paths;
use super::publish::{Proposal, Published};
use crate::providers::Fault;
use git2::build::TreeUpdateBuilder;
use git2::{FileMode, Oid, Repository};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Values to set in one file.
#[derive(Debug, Clone, PartialEq)]
pub struct FileEdit {
    /// From the repository's top; the file must exist. Its ending says how it is written (JSON, YAML, TOML).
    pub path: String,
    /// JSON pointers and what they are to say.
    pub set: Vec<(String, Value)>,
}

/// One commit that says new values.
#[derive(Debug, Clone, PartialEq)]
pub struct ForwardChange {
    /// Where it goes.
    pub branch: String,
    /// What it says.
    pub edits: Vec<FileEdit>,
    /// How it says so.
    pub message: CommitMessage,
}

/// What became of a forward change; commits are 40 hex digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Forwarded {
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
    /// The files say all of it already.
    NothingToChange {
        /// The head that was looked at.
        head: String,
    },
}

impl Mirror {
    /// Commits typed edits on top of a branch, exactly once for their key. On a warm mirror this costs one push when
    /// the branch is where it was last seen, and one fetch more when it is not. `Fail` when the branch or a file is
    /// missing, or a file cannot take the values; `Retry` when the remote did not answer in time, also when the
    /// push may have arrived: trying again finds it by its key.
    pub async fn forward(&self, change: &ForwardChange, deadline: Duration) -> Result<Forwarded, Fault> {
        let deadline = Instant::now() + deadline;
        change.message.check()?;
        let (place, effect) = (change.message.place(&change.branch), change.message.effect());
        let (change, identity, proofs) = (change.clone(), Arc::clone(&self.identity), self.history.proofs().clone());
        let propose = move |repository: &Repository, head: Oid| {
            let before = repository.find_commit(head).and_then(|commit| commit.tree()).map_err(|e| object_fault(&e))?;
            let place = format!("{} at {}", change.branch, &head.to_string()[..12]);
            match edited_tree(repository, &before, &change.edits, &place)? {
                None => Ok(Proposal::Settled(head)),
                Some(tree) => Ok(Proposal::Push(change.message.commit(
                    repository,
                    (&identity, &proofs),
                    &change.branch,
                    tree,
                    &[head],
                )?)),
            }
        };
        Ok(match self.publish(&place, &effect, deadline, propose).await? {
            Published::Committed { commit, parent } => {
                Forwarded::Committed { commit: commit.to_string(), parent: parent.to_string() }
            }
            Published::AlreadyThere { commit } => Forwarded::AlreadyThere { commit: commit.to_string() },
            Published::Settled(head) => Forwarded::NothingToChange { head: head.to_string() },
        })
    }

    /// Which of several edits the files at the fresh head of a branch say already; nothing is pushed. `Fail` and `Retry`
    /// as in [`Mirror::forward`].
    pub async fn says(&self, branch: &str, edits: &[FileEdit], deadline: Duration) -> Result<Vec<bool>, Fault> {
        let deadline = Instant::now() + deadline;
        paths::check_branches(&[branch.to_owned()])?;
        let head = self.fresh_head(branch, deadline).await?;
        let (branch, edits) = (branch.to_owned(), edits.to_vec());
        self.with_repository(move |repository| {
            let tree = repository.find_commit(head).and_then(|commit| commit.tree()).map_err(|e| object_fault(&e))?;
            let place = format!("{branch} at {}", &head.to_string()[..12]);
            let mut each = edits.iter().map(std::slice::from_ref);
            each.try_fold(Vec::new(), |mut says, edit| {
                says.push(edited_tree(repository, &tree, edit, &place)?.is_none());
                Ok(says)
            })
        })
        .await
    }
}

/// The tree with all edits made, or `None` when that changes nothing. Reads and writes only what lies on the paths.
fn edited_tree(
    repository: &Repository,
    tree: &git2::Tree<'_>,
    edits: &[FileEdit],
    place: &str,
) -> Result<Option<Oid>, Fault> {
    let mut changed: BTreeMap<&str, (Vec<u8>, i32)> = BTreeMap::new();
    for FileEdit { path, set } in edits {
        let (bytes, mode) = match changed.get(path.as_str()) {
            Some(earlier) => earlier.clone(),
            None => {
                let file = paths::file_at(repository, tree, path).map_err(|fault| fault.while_trying(place))?;
                let file = file.ok_or_else(|| {
                    Fault::fail(
                        format!("there is no file '{path}' on {place}"),
                        format!(
                            "add '{path}' to the branch (for JSON, {{}} is enough), or correct the path in the rules"
                        ),
                    )
                })?;
                (bounds::document(repository, file.blob)?, file.mode)
            }
        };
        if let Some(edited) = edit::set(path, &bytes, set).map_err(|error| edit_fault(path, place, error))? {
            changed.insert(path, (edited, mode));
        }
    }
    let mut update = TreeUpdateBuilder::new();
    for (path, (bytes, mode)) in &changed {
        let blob = repository.blob(bytes).map_err(|error| object_fault(&error))?;
        update.upsert(*path, blob, if *mode == 0o100_755 { FileMode::BlobExecutable } else { FileMode::Blob });
    }
    let after = update.create_updated(repository, tree).map_err(|error| object_fault(&error))?;
    Ok((after != tree.id()).then_some(after))
}

fn edit_fault(path: &str, place: &str, error: EditError) -> Fault {
    let EditError { place: position, problem, hint } = error;
    let position = position.map_or_else(String::new, |(line, column)| format!(":{line}:{column}"));
    Fault::fail(format!("{path}{position} on {place}: {problem}"), hint)
}
