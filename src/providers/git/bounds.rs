//! How much of what others pushed is taken in. A tree or a file beyond these bounds is refused before it is read, with its
//! place: a pack of a few kilobytes can hold a tree of a billion files.

use super::fault::object_fault;
use crate::providers::Fault;
use git2::{ObjectType, Oid, Repository, Tree};
use std::collections::{BTreeMap, HashSet};
use std::sync::{Mutex, PoisonError};

/// How many files and folders a commit may have.
const MOST_ENTRIES: u64 = 1_000_000;
/// How deep folders may be nested. Deeper ones have paths that no disk takes.
const DEEPEST: usize = 200;
/// The largest object of a commit or a folder itself, in bytes.
const LARGEST_RECORD: usize = 32 << 20;
/// The largest file that is read to be understood or changed, in bytes.
const LARGEST_DOCUMENT: usize = 16 << 20;
/// The largest file of a tree that is packed or checked out, in bytes: git has it in memory meanwhile.
const LARGEST_FILE: usize = 1 << 30;
/// How many bytes the files of a tree that is packed or checked out may have in all.
pub(super) const MOST_BYTES: u64 = 64 << 30;
/// How many sound trees are remembered.
const MOST_KNOWN: usize = 10_000;

/// The content of a file that is to be understood or changed.
pub(super) fn document(repository: &Repository, blob: Oid) -> Result<Vec<u8>, Fault> {
    check_size(repository, blob, LARGEST_DOCUMENT, "file")?;
    Ok(repository.find_blob(blob).map_err(|error| object_fault(&error))?.content().to_vec())
}

/// Refuses a file that is elsewhere and too large to be understood.
pub(super) fn check_document(bytes: u64) -> Result<(), Fault> {
    if bytes <= LARGEST_DOCUMENT as u64 {
        return Ok(());
    }
    Err(Fault::fail(
        format!("the file has {bytes} bytes; {LARGEST_DOCUMENT} at most are read"),
        "name a smaller file in the rules",
    ))
}

/// Refuses a file that is too large to be handed on.
pub(super) fn check_content(bytes: usize) -> Result<(), Fault> {
    if bytes <= LARGEST_FILE {
        return Ok(());
    }
    Err(Fault::fail(
        format!("the file has {bytes} bytes; {LARGEST_FILE} at most are packed or checked out"),
        "keep large files out of git: with Git LFS, or in an object store",
    ))
}

/// Refuses files that are too much together.
pub(super) fn check_total(bytes: u64) -> Result<(), Fault> {
    if bytes <= MOST_BYTES {
        return Ok(());
    }
    Err(Fault::fail(
        format!("the files have more than {MOST_BYTES} bytes in all"),
        "keep large files out of git: with Git LFS, or in an object store",
    ))
}

/// Refuses an object that is too large to be read.
pub(super) fn check_record(repository: &Repository, id: Oid, what: &str) -> Result<(), Fault> {
    check_size(repository, id, LARGEST_RECORD, what)
}

fn check_size(repository: &Repository, id: Oid, most: usize, what: &str) -> Result<(), Fault> {
    let header = repository.odb().and_then(|objects| objects.read_header(id));
    // What is not there is said better by who reads it.
    let size = header.map_or(0, |(size, _)| size);
    if size <= most {
        return Ok(());
    }
    Err(Fault::fail(
        format!("the {what} {id} has {size} bytes; {most} at most are read"),
        "keep large files out of git: with Git LFS, or in an object store",
    ))
}

/// Refuses a tree that has too many entries, or is nested too deep. Folders that occur many times are counted each time,
/// and read once.
pub(super) fn check_tree(repository: &Repository, tree: &Tree<'_>) -> Result<(), Fault> {
    static SOUND: Mutex<Option<HashSet<Oid>>> = Mutex::new(None);
    let known = |id: Oid| SOUND.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_default().contains(&id);
    if known(tree.id()) {
        return Ok(());
    }
    let size = measure(repository, tree)?;
    let refuse =
        |what: String| Err(Fault::fail(format!("the tree {} {what}", tree.id()), "push a commit without these files"));
    if size.entries > MOST_ENTRIES {
        return refuse(format!("has more than {MOST_ENTRIES} files and folders"));
    }
    if size.depth > DEEPEST {
        return refuse(format!("is nested more than {DEEPEST} folders deep"));
    }
    let mut sound = SOUND.lock().unwrap_or_else(PoisonError::into_inner);
    let sound = sound.get_or_insert_default();
    if sound.len() >= MOST_KNOWN {
        sound.clear();
    }
    sound.insert(tree.id());
    Ok(())
}

/// How large a tree is, with all below it.
#[derive(Debug, Clone, Copy, Default)]
struct Size {
    entries: u64,
    depth: usize,
}

/// Measures a tree from its leaves up, with a stack of its own.
fn measure(repository: &Repository, tree: &Tree<'_>) -> Result<Size, Fault> {
    let mut measured: BTreeMap<Oid, Size> = BTreeMap::new();
    let mut open = vec![tree.id()];
    while let Some(&id) = open.last() {
        check_record(repository, id, "folder")?;
        let folder = repository.find_tree(id).map_err(|error| object_fault(&error))?;
        let folders = || folder.iter().filter(|entry| entry.kind() == Some(ObjectType::Tree)).map(|entry| entry.id());
        let unknown: Vec<Oid> = folders().filter(|id| !measured.contains_key(id)).collect();
        if unknown.is_empty() || measured.contains_key(&id) {
            let mut size = Size { entries: folder.len() as u64, depth: 0 };
            for below in folders().filter_map(|id| measured.get(&id)) {
                size.entries = size.entries.saturating_add(below.entries);
                size.depth = size.depth.max(below.depth + 1);
            }
            measured.insert(id, size);
            open.pop();
        } else {
            open.extend(unknown);
        }
        if measured.len() as u64 > MOST_ENTRIES {
            return Ok(Size { entries: u64::MAX, depth: 0 });
        }
    }
    Ok(measured.get(&tree.id()).copied().unwrap_or_default())
}
