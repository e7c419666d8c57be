//! What is pinned in commits, and what the commits of ours that pinned it say that it was made from.

use super::bounds;
use super::fault::object_fault;
use super::mirror::Mirror;
use super::paths;
use super::proof::CommitPlace;
use super::read::changed_between;
use super::trailers::{self, MADE_FROM_TRAILER};
use crate::providers::{Fault, document};
use git2::{Oid, Repository};
use serde_json::Value;
use std::collections::BTreeMap;

/// Pointer → value; null where there is none.
pub type Values = BTreeMap<String, Value>;

impl Mirror {
    /// The values at these JSON pointers of a file. A file that cannot be read pins nothing; whoever needs it will say what
    /// is wrong with it.
    pub async fn values(&self, commit: &str, file: &str, pointers: &[String]) -> Result<Values, Fault> {
        let (commit, file, pointers) = (commit.to_owned(), file.to_owned(), pointers.to_vec());
        self.with_repository(move |repository| {
            let commit = paths::find_commit(repository, &commit)?.id();
            values_in(repository, commit, &file, pointers.iter())
        })
        .await
    }

    /// What the newest commit of ours says that its pins were made from, as `repository@commit`, that wrote these values to
    /// the file in the name of a rule's step and is at or below `head`. Empty when there is none.
    pub async fn made_from(
        &self,
        places: &[CommitPlace],
        head: &str,
        (rule, step): (&str, &str),
        (file, values): (&str, &Values),
    ) -> Result<Vec<String>, Fault> {
        let (places, head, file, values) = (places.to_vec(), head.to_owned(), file.to_owned(), values.clone());
        let (rule, step, history) = (rule.to_owned(), step.to_owned(), self.history.clone());
        self.with_repository(move |repository| {
            let head = paths::find_commit(repository, &head)?.id();
            let wrote = |id: Oid, key: &str| {
                is_by(key, &rule, &step)
                    && values_in(repository, id, &file, values.keys()).is_ok_and(|found| found == values)
            };
            let Some(wrote) = history.find_writer(repository, head, &places, wrote)? else { return Ok(Vec::new()) };
            let commit = repository.find_commit(wrote).map_err(|error| object_fault(&error))?;
            let trailers = trailers::read(&String::from_utf8_lossy(commit.message_bytes()));
            let made_from = trailers.into_iter().filter(|(name, _)| name == MADE_FROM_TRAILER);
            Ok(made_from.map(|(_, of)| of.trim().to_owned()).collect())
        })
        .await
    }

    /// The paths that differ between two commits or trees, sorted.
    pub async fn differing_paths(&self, one: &str, other: &str) -> Result<Vec<String>, Fault> {
        let (one, other) = (one.to_owned(), other.to_owned());
        self.with_repository(move |repository| {
            let tree = |id: &str| Oid::from_str(id).and_then(|id| repository.find_object(id, None)?.peel_to_tree());
            let one = tree(&one).map_err(|error| object_fault(&error))?;
            let other = tree(&other).map_err(|error| object_fault(&error))?;
            changed_between(repository, Some(&one), &other)
        })
        .await
    }
}

/// Whether a key is of a rule's step: `system/rule-7/step`, perhaps with a round.
fn is_by(key: &str, rule: &str, step: &str) -> bool {
    let mut parts = key.split('/').skip(1);
    let run = parts.next().and_then(|run| run.rsplit_once('-'));
    run.is_some_and(|(name, _)| name == rule) && parts.next() == Some(step)
}

fn values_in<'pointer>(
    repository: &Repository,
    commit: Oid,
    file: &str,
    pointers: impl Iterator<Item = &'pointer String>,
) -> Result<Values, Fault> {
    let tree = repository.find_commit(commit).and_then(|commit| commit.tree()).map_err(|error| object_fault(&error))?;
    bounds::check_tree(repository, &tree)?;
    let found = paths::file_at(repository, &tree, file);
    let bytes = match found.and_then(|found| found.map(|found| bounds::document(repository, found.blob)).transpose()) {
        Ok(bytes) => bytes,
        // A link, a folder, a file too large: it pins nothing.
        Err(Fault::Fail { .. }) => None,
        Err(fault) => return Err(fault),
    };
    let document = bytes.and_then(|bytes| document::parse(file, &bytes).ok()).unwrap_or_default();
    Ok(pointers.map(|pointer| (pointer.clone(), document.pointer(pointer).cloned().unwrap_or_default())).collect())
}
