//! Names in a repository: which paths and branches are allowed, and what stands at a path in a tree.

use super::bounds;
use super::fault::object_fault;
use crate::providers::Fault;
use git2::{ErrorCode, ObjectType, Oid, Repository, Tree};

const SYMLINK_MODE: i32 = 0o120_000;
const SUBMODULE_MODE: i32 = 0o160_000;

/// A file in a tree.
pub(super) struct FileAt {
    pub(super) blob: Oid,
    pub(super) mode: i32,
}

/// Refuses a path that is not that of a file below the repository's top.
pub(super) fn check(path: &str) -> Result<(), Fault> {
    let wrong = |part: &str| matches!(part, "" | "." | "..") || part.eq_ignore_ascii_case(".git");
    if path.split('/').any(wrong) || path.contains(|each: char| each.is_control() || each == '\\') {
        return Err(Fault::fail(
            format!("'{}' is not the path of a file in a repository", path.escape_debug()),
            "name it from the repository's top, with slashes, without '..' and outside of .git",
        ));
    }
    Ok(())
}

/// Refuses the name of a file or folder that would lead elsewhere. All other bytes are names.
pub(super) fn check_name(name: &[u8], path: &[u8]) -> Result<(), Fault> {
    if matches!(name, b"" | b"." | b"..") || name.contains(&b'/') || name.eq_ignore_ascii_case(b".git") {
        return Err(Fault::fail(
            format!("the tree has an entry '{}', which is not the name of a file", path.escape_ascii()),
            "push a commit without it",
        ));
    }
    Ok(())
}

/// Refuses what git does not take for the name of a branch.
pub(super) fn check_branches(branches: &[String]) -> Result<(), Fault> {
    match branches.iter().find(|branch| !git2::Reference::is_valid_name(&format!("refs/heads/{branch}"))) {
        Some(wrong) => Err(Fault::fail(format!("'{wrong}' is not a branch name"), "see git-check-ref-format(1)")),
        None => Ok(()),
    }
}

/// The file at `path`, or `None` when there is nothing. A directory, a submodule, a symbolic link, there or on the
/// way, is an error: what is read and written has to be in this repository, at this path.
pub(super) fn file_at(repository: &Repository, tree: &Tree<'_>, path: &str) -> Result<Option<FileAt>, Fault> {
    check(path)?;
    let mut folder = tree.clone();
    let mut walked = String::new();
    let mut parts = path.split('/').peekable();
    while let Some(part) = parts.next() {
        walked.push_str(if walked.is_empty() { "" } else { "/" });
        walked.push_str(part);
        let Some((blob, mode, kind)) = folder.get_name(part).map(|entry| (entry.id(), entry.filemode(), entry.kind()))
        else {
            return Ok(None);
        };
        let is_last = parts.peek().is_none();
        match kind {
            _ if mode == SYMLINK_MODE => return Err(misplaced(&walked, "a symbolic link", path)),
            _ if mode == SUBMODULE_MODE => return Err(misplaced(&walked, "a submodule", path)),
            Some(ObjectType::Blob) if is_last => return Ok(Some(FileAt { blob, mode })),
            Some(ObjectType::Tree) if !is_last => {
                folder = repository.find_tree(blob).map_err(|error| object_fault(&error))?;
            }
            Some(ObjectType::Tree) => return Err(misplaced(&walked, "a directory", path)),
            _ => return Err(misplaced(&walked, "a file, not a directory", path)),
        }
    }
    Ok(None)
}

fn misplaced(walked: &str, what: &str, path: &str) -> Fault {
    Fault::fail(
        format!("'{walked}' is {what}"),
        format!("let '{path}' be a plain file of this repository, or name another file in the rules"),
    )
}

/// The tree of a commit that must be in the mirror.
pub(super) fn tree_of<'a>(repository: &'a Repository, commit: &str) -> Result<Tree<'a>, Fault> {
    let tree = find_commit(repository, commit)?.tree().map_err(|error| object_fault(&error))?;
    bounds::check_tree(repository, &tree)?;
    Ok(tree)
}

/// A commit that must be in the mirror, by its full id.
pub(super) fn find_commit<'a>(repository: &'a Repository, commit: &str) -> Result<git2::Commit<'a>, Fault> {
    let id = Oid::from_str(commit).ok().filter(|_| commit.len() == 40);
    let id = id.ok_or_else(|| Fault::fail(format!("'{commit}' is not a commit id"), "give all 40 hex digits"))?;
    bounds::check_record(repository, id, "commit")?;
    repository.find_commit(id).map_err(|error| match error.code() {
        ErrorCode::NotFound => Fault::fail(
            format!("there is no commit {commit} in the mirror"),
            "fetch the branch that holds it; if the branch was force-pushed, the commit may be gone",
        ),
        _ => object_fault(&error),
    })
}
