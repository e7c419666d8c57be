//! The readers of this folder, for the fuzz targets.

use serde_json::Value;

use super::{attribute_line, authorship, conflict, edit, glob, lfs, paths, progress::Said, refusal, remote, trailers};

/// What `git check-attr` and `ls-tree` print, and paths of trees.
pub(crate) fn attributes(bytes: &[u8]) {
    let values = attribute_line::values(bytes);
    assert!(values.len() <= bytes.len());
    let _ = paths::check_name(bytes, bytes);
    assert!(!conflict::shown(bytes).contains(['\n', '\u{1b}']));
    let _ = lfs::Pointer::parse(bytes);
}

/// Messages of commits.
pub(crate) fn commits(bytes: &[u8]) {
    let message = String::from_utf8_lossy(bytes);
    let _ = (trailers::read(&message), authorship::co_authors(&message));
}

/// Edits by pointer: the first byte says of which format, the first line which pointer.
pub(crate) fn edits(bytes: &[u8]) {
    let Some((format, rest)) = bytes.split_first() else { return };
    let Some(end) = rest.iter().position(|byte| *byte == b'\n') else { return };
    let Ok(pointer) = std::str::from_utf8(&rest[..end]) else { return };
    let (name, file) = (["a.json", "a.yaml", "a.toml"][usize::from(*format) % 3], &rest[end + 1..]);
    let _ = edit::get(name, file, pointer);
    let value = Value::from("tide");
    if let Ok(Some(edited)) = edit::set(name, file, &[(pointer.to_owned(), value.clone())]) {
        assert_eq!(edit::get(name, &edited, pointer), Ok(Some(value)), "it is there");
    }
}

/// Patterns of paths: one in the first line, the others are paths.
pub(crate) fn globs(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let mut lines = text.split('\n');
    let pattern = lines.next().and_then(glob::path);
    if let Some(Ok(set)) = pattern.map(|pattern| glob::set(&[pattern], "a test")) {
        let _ = lines.filter(|path| set.is_match(path)).count();
    }
}

/// What remotes say, and their URLs.
pub(crate) fn remotes(bytes: &[u8]) {
    let said = String::from_utf8_lossy(bytes);
    let mut read = Said::default();
    read.take(bytes);
    let complaint = read.complaint();
    let _ = (refusal::of_remote("u", "asking", &complaint), refusal::of_push("u", "dev", &said, &complaint));
    let first = said.lines().next().unwrap_or_default();
    let _ = (remote::redact(&said), remote::Remote::parse(first), remote::short_name(first));
}
