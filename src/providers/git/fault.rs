//! Failures of libgit2 and of the disk, as the faults that callers act on.

use crate::providers::Fault;
use std::io;
use std::path::Path;

/// What libgit2 failed with.
pub(super) fn object_fault(error: &git2::Error) -> Fault {
    Fault::retry(format!("libgit2: {} ({:?})", error.message(), error.code()))
}

/// What starting the `git` program in a folder failed with. A folder that is gone fails as a missing program does.
pub(super) fn start_fault(program: &Path, folder: &Path, error: &io::Error) -> Fault {
    if !folder.is_dir() {
        let gone = folder.display();
        return Fault::retry(format!("{gone} is gone; a mirror is made anew when its repository is looked at"));
    }
    let program = program.display();
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied => Fault::fail(
            format!("the git program '{program}' cannot be run: {error}"),
            "install git, or name the program in the configuration",
        ),
        _ => Fault::retry(format!("the git program '{program}' could not be started: {error}")),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_is_gone_is_not_taken_for_a_missing_program() {
        let missing = io::Error::from(io::ErrorKind::NotFound);
        let gone = start_fault(Path::new("git"), Path::new("/nowhere/mirror.git"), &missing);
        assert!(
            matches!(&gone, Fault::Retry { error, .. } if error.contains("/nowhere/mirror.git is gone")),
            "{gone:?}"
        );
        let none = start_fault(Path::new("git"), Path::new("/"), &missing);
        assert!(matches!(&none, Fault::Fail { hint, .. } if hint.contains("install git")), "{none:?}");
    }
}
