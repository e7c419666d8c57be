//! What a commit changes, as people read it.

use super::fault::object_fault;
use super::mirror::Mirror;
use super::paths;
use crate::providers::Fault;
use git2::{Diff, DiffOptions};

/// Files beyond this many are counted, not shown.
const MOST_FILES: usize = 50;
/// How many unchanged lines are shown around a change.
const CONTEXT_LINES: u32 = 1;

/// What differs between two commits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Patch {
    /// The files, by path.
    pub files: Vec<ChangedFile>,
    /// How many more files differ.
    pub left_out: usize,
}

/// What differs in one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangedFile {
    /// The file, from the root of the repository.
    pub path: String,
    /// How many lines came.
    pub added: usize,
    /// How many lines went.
    pub removed: usize,
    /// The hunks of the unified diff; empty for a file that is not text, and when it would be too long.
    pub hunks: String,
    /// Whether there is more to see than `hunks` shows.
    pub cut: bool,
}

impl Mirror {
    /// What differs between two commits, with at most `most_bytes` of hunks.
    pub async fn patch(&self, from: &str, to: &str, most_bytes: usize) -> Result<Patch, Fault> {
        let (from, to) = (from.to_owned(), to.to_owned());
        self.with_repository(move |repository| {
            let (old, new) = (paths::tree_of(repository, &from)?, paths::tree_of(repository, &to)?);
            let mut options = DiffOptions::new();
            options.context_lines(CONTEXT_LINES);
            let diff = repository.diff_tree_to_tree(Some(&old), Some(&new), Some(&mut options));
            diff.and_then(|diff| read(&diff, most_bytes)).map_err(|error| object_fault(&error))
        })
        .await
    }
}

fn read(diff: &Diff<'_>, most_bytes: usize) -> Result<Patch, git2::Error> {
    let count = diff.deltas().len();
    let (mut files, mut left_bytes) = (Vec::new(), most_bytes);
    for index in 0..count.min(MOST_FILES) {
        let Some(mut patch) = git2::Patch::from_diff(diff, index)? else {
            files.extend(diff.get_delta(index).map(|delta| opaque(&delta)));
            continue;
        };
        let (_, added, removed) = patch.line_stats()?;
        let text = patch.to_buf()?;
        let text = String::from_utf8_lossy(&text);
        let hunks = text.find("\n@@").map_or("", |at| &text[at + 1..]);
        let cut = hunks.len() > left_bytes || hunks.is_empty();
        let hunks = if cut { String::new() } else { hunks.to_owned() };
        left_bytes -= hunks.len();
        files.push(ChangedFile { path: path(&patch.delta()), added, removed, hunks, cut });
    }
    Ok(Patch { files, left_out: count.saturating_sub(MOST_FILES) })
}

/// A file that is not text.
fn opaque(delta: &git2::DiffDelta<'_>) -> ChangedFile {
    ChangedFile { path: path(delta), added: 0, removed: 0, hunks: String::new(), cut: true }
}

fn path(delta: &git2::DiffDelta<'_>) -> String {
    let path = delta.new_file().path_bytes().or(delta.old_file().path_bytes());
    String::from_utf8_lossy(path.unwrap_or_default()).into_owned()
}
