//! Failures of libgit2 and of the disk, as the faults that callers act on.

use crate::providers::Fault;
use std::io;
use std::path::Path;

/// What libgit2 failed with.
pub(super) fn object_fault(error: &git2::Error) -> Fault {
    Fault::retry(format!("libgit2: {} ({:?})", error.message(), error.code()))
}

/// What the disk failed with, while `doing` something at a path.
pub(super) fn disk_fault(doing: &str, path: &Path, error: &io::Error) -> Fault {
    let message = format!("{doing} {}: {error}", path.display());
    match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::NotADirectory => {
            Fault::fail(message, "give the engine's user a directory that it may write to")
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            Fault::Retry { error: format!("{message}; make room on this disk"), after: None }
        }
        _ => Fault::retry(message),
    }
}

/// The beginning of a long text, for a message.
pub(super) fn shorten(text: &str) -> String {
    const MOST_CHARACTERS: usize = 600;
    match text.char_indices().nth(MOST_CHARACTERS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
