//! The promotion's merge: three-way, in memory, always a merge commit. Pins are resolved by rule before the files
//! are merged: base and ours are given the source's values, as typed edits, so that a pin can never conflict, not
//! even with a change on the next line. Everything else is a normal merge.

use super::bounds;
use super::edit;
use super::fault::object_fault;
use super::history::History;
use super::message::CommitMessage;
use super::mirror::Mirror;
use super::paths;
use super::publish::{Proposal, Published};
use super::read::contains;
use crate::providers::Fault;
use git2::build::TreeUpdateBuilder;
use git2::{ErrorCode, FileMode, Index, IndexConflict, IndexEntry, MergeOptions, Oid, Repository, Tree};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// A value that a merge takes from its source, whatever the other side says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    /// The file, from the repository's top.
    pub path: String,
    /// The JSON pointer of the value.
    pub pointer: String,
}

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
    /// Both sides changed the same places; nothing was pushed.
    Conflict {
        /// The files, sorted.
        paths: Vec<String>,
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
    /// Both sides changed the same places.
    Conflict {
        /// The files, sorted.
        paths: Vec<String>,
    },
}

/// What the source says of the pins, by file: pointers and values.
pub(super) type PinnedValues = BTreeMap<String, Vec<(String, Value)>>;

/// How many times crossed histories are followed into their own crossed ancestors.
const DEEPEST_CROSSING: usize = 8;

enum Tried {
    Clean { tree: Oid, parents: Vec<Oid> },
    Contained,
    Conflict(Vec<String>),
}

/// A three-way merge of trees.
pub(super) enum Combined {
    /// The tree.
    Clean(Oid),
    /// The files that both sides changed, sorted.
    Conflict(Vec<String>),
}

impl Mirror {
    /// Merges a commit into a branch, exactly once for its key. A lost race merges again with the new head.
    pub async fn merge(&self, change: &MergeChange, deadline: Duration) -> Result<Merged, Fault> {
        let deadline = Instant::now() + deadline;
        change.message.check()?;
        let (place, effect) = (change.message.place(&change.branch), change.message.effect());
        let (change, identity, history) = (change.clone(), Arc::clone(&self.identity), Arc::clone(&self.history));
        let propose = move |repository: &Repository, head: Oid| {
            Ok(match merged_tree(repository, &history, head, &change)? {
                Tried::Contained => Proposal::Settled(Merged::AlreadyContained { head: head.to_string() }),
                Tried::Conflict(paths) => Proposal::Settled(Merged::Conflict { paths }),
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
        let (change, history) = (change.clone(), Arc::clone(&self.history));
        self.with_repository(move |repository| {
            Ok(match merged_tree(repository, &history, head, &change)? {
                Tried::Clean { tree, .. } => CheckedMerge::Clean { head: head.to_string(), tree: tree.to_string() },
                Tried::Contained => CheckedMerge::AlreadyContained { head: head.to_string() },
                Tried::Conflict(paths) => CheckedMerge::Conflict { paths },
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

fn merged_tree(repository: &Repository, history: &History, head: Oid, change: &MergeChange) -> Result<Tried, Fault> {
    let commit = |id: &str| paths::find_commit(repository, id).map(|commit| commit.id());
    let source = commit(&change.source_commit)?;
    for side in [source, head] {
        paths::tree_of(repository, &side.to_string())?;
    }
    let told = history.told_by(repository, &change.message.place(&change.branch), head)?;
    let holds_it = contains(repository, told, source)?;
    let (other, parents) = match &change.back_from {
        Some(newest) if holds_it => (commit(newest)?, vec![head]),
        _ if holds_it => return Ok(Tried::Contained),
        _ => (source, vec![head, source]),
    };
    let merge = || -> Result<Tried, git2::Error> {
        let theirs = repository.find_commit(source)?.tree()?;
        let ours = repository.find_commit(head)?.tree()?;
        let kept = pinned_values(repository, &ours, &change.kept);
        let stays = |pin: &&Pin| {
            kept.get(&pin.path).is_some_and(|values| values.iter().any(|(pointer, _)| *pointer == pin.pointer))
        };
        let decided: Vec<Pin> = change.pins.iter().filter(|pin| !stays(pin)).cloned().collect();
        let pins = pinned_values(repository, &theirs, &decided);
        let theirs = with_pins(repository, theirs, &kept)?;
        let mut settled = pins.clone();
        kept.into_iter().for_each(|(path, values)| settled.entry(path).or_default().extend(values));
        let base = base_tree(repository, told, other, &settled, 0)?;
        let before = ours.id();
        Ok(match combined(repository, &base, ours, &theirs, &pins)? {
            Combined::Conflict(paths) => Tried::Conflict(paths),
            Combined::Clean(tree) if holds_it && tree == before => Tried::Contained,
            Combined::Clean(tree) => Tried::Clean { tree, parents },
        })
    };
    merge().map_err(|error| object_fault(&error))
}

/// Merges trees: what `theirs` has beyond `base` (or lacks of it) comes to `ours`, and `theirs` decides the pins.
pub(super) fn combined(
    repository: &Repository,
    base: &Tree<'_>,
    ours: Tree<'_>,
    theirs: &Tree<'_>,
    pins: &PinnedValues,
) -> Result<Combined, git2::Error> {
    let ours = with_pins(repository, ours, pins)?;
    let mut options = MergeOptions::new();
    options.find_renames(true);
    let mut index = repository.merge_trees(base, &ours, theirs, Some(&options))?;
    if index.has_conflicts() {
        return Ok(Combined::Conflict(conflicting_paths(&index)?));
    }
    Ok(Combined::Clean(index.write_tree_to(repository)?))
}

/// The source's values for the pins, by file. A pin that the source does not have, or cannot be read there, is no
/// pin: the file is merged like any other.
pub(super) fn pinned_values(repository: &Repository, source: &Tree<'_>, pins: &[Pin]) -> PinnedValues {
    let mut values: PinnedValues = BTreeMap::new();
    for Pin { path, pointer } in pins {
        let Ok(Some(file)) = paths::file_at(repository, source, path) else { continue };
        let Ok(bytes) = bounds::document(repository, file.blob) else { continue };
        if let Ok(Some(value)) = edit::get(path, &bytes, pointer) {
            values.entry(path.clone()).or_default().push((pointer.clone(), value));
        }
    }
    values
}

/// The tree with the pins set in the files that are there and can take them.
pub(super) fn with_pins<'repository>(
    repository: &'repository Repository,
    tree: Tree<'repository>,
    pins: &PinnedValues,
) -> Result<Tree<'repository>, git2::Error> {
    let mut update = TreeUpdateBuilder::new();
    for (path, values) in pins {
        let Ok(Some(file)) = paths::file_at(repository, &tree, path) else { continue };
        let Ok(bytes) = bounds::document(repository, file.blob) else { continue };
        if let Ok(Some(edited)) = edit::set(path, &bytes, values) {
            let mode = if file.mode == 0o100_755 { FileMode::BlobExecutable } else { FileMode::Blob };
            update.upsert(path.as_str(), repository.blob(&edited)?, mode);
        }
    }
    repository.find_tree(update.create_updated(repository, &tree)?)
}

/// The tree of the common ancestor, pins set. Where histories crossed there are several: they are merged into a
/// virtual one, in which what conflicts stays in conflict (with markers), as in git's own recursive merge.
fn base_tree<'repository>(
    repository: &'repository Repository,
    one: Oid,
    other: Oid,
    pins: &PinnedValues,
    depth: usize,
) -> Result<Tree<'repository>, git2::Error> {
    let bases = match repository.merge_bases(one, other) {
        Ok(bases) => bases,
        Err(error) if error.code() == ErrorCode::NotFound => {
            return repository.find_tree(repository.treebuilder(None)?.write()?);
        }
        Err(error) => return Err(error),
    };
    let with_tree = |base: &Oid| -> Result<_, git2::Error> {
        let tree = repository.find_commit(*base)?.tree()?;
        bounds::check_tree(repository, &tree).map_err(|fault| git2::Error::from_str(&fault.to_string()))?;
        Ok((*base, with_pins(repository, tree, pins)?))
    };
    let mut trees = bases.iter().map(with_tree);
    let (first, mut virtual_base) = trees.next().expect("an absence is the error above")?;
    if depth == DEEPEST_CROSSING {
        return Ok(virtual_base);
    }
    for next in trees {
        let (base, tree) = next?;
        let ancestor = base_tree(repository, first, base, pins, depth + 1)?;
        let mut index = repository.merge_trees(&ancestor, &virtual_base, &tree, None)?;
        settle_conflicts(repository, &mut index)?;
        virtual_base = repository.find_tree(index.write_tree_to(repository)?)?;
    }
    Ok(virtual_base)
}

/// Gives every file in conflict one content: both versions with markers, or else what was there before them.
fn settle_conflicts(repository: &Repository, index: &mut Index) -> Result<(), git2::Error> {
    let conflicts: Vec<IndexConflict> = index.conflicts()?.collect::<Result<_, _>>()?;
    for path in conflicting_paths(index)? {
        index.conflict_remove(Path::new(&path))?;
    }
    for IndexConflict { ancestor, our, their } in conflicts {
        let settled = match (ancestor, our, their) {
            (Some(ancestor), Some(our), Some(their)) => {
                let merged = repository.merge_file_from_index(&ancestor, &our, &their, None)?;
                Some(IndexEntry { id: repository.blob(merged.content())?, ..our })
            }
            (ancestor, ..) => ancestor,
        };
        if let Some(entry) = settled {
            index.add(&IndexEntry { flags: 0, flags_extended: 0, ..entry })?;
        }
    }
    Ok(())
}

fn conflicting_paths(index: &Index) -> Result<Vec<String>, git2::Error> {
    let mut paths = BTreeSet::new();
    for conflict in index.conflicts()? {
        let IndexConflict { ancestor, our, their } = conflict?;
        let sides = [ancestor, our, their].into_iter().flatten();
        paths.extend(sides.map(|entry| String::from_utf8_lossy(&entry.path).into_owned()));
    }
    Ok(paths.into_iter().collect())
}
