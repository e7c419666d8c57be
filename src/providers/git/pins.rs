//! The values that a merge does not merge: one side decides them. They are set in the trees before these are merged, as typed
//! edits, so that a pin can never conflict, not even with a change on the next line.

use super::bounds;
use super::edit;
use super::paths;
use git2::build::TreeUpdateBuilder;
use git2::{FileMode, Oid, Repository, Tree};
use serde_json::Value;
use std::collections::BTreeMap;

/// A value that a merge takes from its source, whatever the other side says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    /// The file, from the repository's top.
    pub path: String,
    /// The JSON pointer of the value.
    pub pointer: String,
}

/// What one side says of the pins, by file: pointers and values.
pub(super) type PinnedValues = BTreeMap<String, Vec<(String, Value)>>;

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

/// The first file of a merged tree that does not say what was decided, though all sides said it.
pub(super) fn unsaid(repository: &Repository, merged: Oid, pins: &PinnedValues) -> Result<Option<String>, git2::Error> {
    let tree = repository.find_tree(merged)?;
    let says = |path: &String, values: &Vec<(String, Value)>| {
        let Ok(Some(file)) = paths::file_at(repository, &tree, path) else { return true };
        let Ok(bytes) = bounds::document(repository, file.blob) else { return true };
        values
            .iter()
            .all(|(pointer, value)| matches!(edit::get(path, &bytes, pointer), Ok(Some(said)) if said == *value))
    };
    Ok(pins.iter().find(|(path, values)| !says(path, values)).map(|(path, _)| path.clone()))
}
