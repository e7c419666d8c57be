//! What is read from commits that are in the mirror.

use super::bounds;
use super::fault::object_fault;
pub(super) use super::fault::shorten;
use super::mirror::Mirror;
use super::paths;
use super::trailers;
use crate::providers::Fault;
use git2::{DiffOptions, Oid, Repository, Tree};

/// More changed paths than this are not listed: they match every filter.
const MOST_CHANGED_PATHS: usize = 2_000;

/// What a commit says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitInfo {
    /// 40 hex digits.
    pub id: String,
    /// Its tree's id: the same content has the same tree.
    pub tree: String,
    /// Its parents' ids, first parent first.
    pub parents: Vec<String>,
    /// Who wrote it.
    pub author_name: String,
    /// Their e-mail address.
    pub author_email: String,
    /// When it was committed, in milliseconds since 1970.
    pub committed_at_ms: i64,
    /// The first line of its message.
    pub subject: String,
    /// The message below the first line, trailers included.
    pub body: String,
    /// Names and values of its trailers, in order.
    pub trailers: Vec<(String, String)>,
}

impl Mirror {
    /// What a commit says of itself.
    pub async fn commit_info(&self, commit: &str) -> Result<CommitInfo, Fault> {
        let commit = commit.to_owned();
        self.with_repository(move |repository| {
            let found = paths::find_commit(repository, &commit)?;
            let message = String::from_utf8_lossy(found.message_bytes()).into_owned();
            let (subject, body) = message.split_once('\n').unwrap_or((&message, ""));
            Ok(CommitInfo {
                id: commit,
                tree: found.tree_id().to_string(),
                parents: found.parent_ids().map(|id| id.to_string()).collect(),
                author_name: shorten(&String::from_utf8_lossy(found.author().name_bytes())),
                author_email: shorten(&String::from_utf8_lossy(found.author().email_bytes())),
                committed_at_ms: found.time().seconds() * 1000,
                subject: shorten(subject.trim()),
                body: body.trim().to_owned(),
                trailers: trailers::read(&message),
            })
        })
        .await
    }

    /// The paths that differ between two commits, as [`Mirror::changed_paths`] gives them, unless they are too many to list.
    pub async fn few_changed_paths(&self, from: &str, to: &str) -> Result<Option<Vec<String>>, Fault> {
        let changed = self.changed_paths(Some(from), to).await?;
        Ok(Some(changed).filter(|changed| changed.len() <= MOST_CHANGED_PATHS))
    }

    /// The paths that differ between two commits, sorted; without `from`, all paths of `to`. A rename is two paths.
    pub async fn changed_paths(&self, from: Option<&str>, to: &str) -> Result<Vec<String>, Fault> {
        let (from, to) = (from.map(str::to_owned), to.to_owned());
        self.with_repository(move |repository| {
            let old = from.map(|commit| paths::tree_of(repository, &commit)).transpose()?;
            let new = paths::tree_of(repository, &to)?;
            changed_between(repository, old.as_ref(), &new)
        })
        .await
    }

    /// Whether `newer` contains `older`; a commit contains itself.
    pub async fn is_ancestor(&self, older: &str, newer: &str) -> Result<bool, Fault> {
        let (older, newer) = (older.to_owned(), newer.to_owned());
        self.with_repository(move |repository| {
            let older = paths::find_commit(repository, &older)?.id();
            let newer = paths::find_commit(repository, &newer)?.id();
            contains(repository, newer, older)
        })
        .await
    }

    /// The content of the plain file at `path`, or `None` when there is nothing at that path.
    pub async fn read_file(&self, commit: &str, path: &str) -> Result<Option<Vec<u8>>, Fault> {
        let (commit, path) = (commit.to_owned(), path.to_owned());
        self.with_repository(move |repository| {
            let tree = paths::tree_of(repository, &commit)?;
            let file = paths::file_at(repository, &tree, &path)?;
            file.map(|file| bounds::document(repository, file.blob)).transpose()
        })
        .await
    }
}

/// Whether `newer` is or descends from `older`.
pub(super) fn contains(repository: &Repository, newer: Oid, older: Oid) -> Result<bool, Fault> {
    Ok(newer == older || repository.graph_descendant_of(newer, older).map_err(|error| object_fault(&error))?)
}

pub(super) fn changed_between(
    repository: &Repository,
    old: Option<&Tree<'_>>,
    new: &Tree<'_>,
) -> Result<Vec<String>, Fault> {
    let mut options = DiffOptions::new();
    options.include_typechange(true).skip_binary_check(true);
    let diff =
        repository.diff_tree_to_tree(old, Some(new), Some(&mut options)).map_err(|error| object_fault(&error))?;
    let paths = diff.deltas().filter_map(|delta| delta.new_file().path_bytes().or(delta.old_file().path_bytes()));
    let mut paths: Vec<_> = paths.map(|path| String::from_utf8_lossy(path).into_owned()).collect();
    paths.sort_unstable();
    paths.dedup();
    Ok(paths)
}
