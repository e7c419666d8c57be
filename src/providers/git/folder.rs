//! The files of one folder of a commit, within bounds: what others commit is read no further than it may be.

use super::bounds;
use super::fault::object_fault;
use super::mirror::Mirror;
use super::paths;
use crate::providers::Fault;
use git2::{ObjectType, Repository, Tree, TreeEntry};

const SYMLINK_MODE: i32 = 0o120_000;

/// Which files of a folder are read, and how far.
#[derive(Debug, Clone, Copy)]
pub struct FolderLimits {
    /// Only files whose names end so, each with its dot.
    pub endings: &'static [&'static str],
    /// How many files there may be.
    pub most_files: usize,
    /// How many bytes each may have.
    pub most_bytes: usize,
}

/// A folder of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder {
    /// The id of its tree: the same content has the same id.
    pub tree: String,
    /// The files, sorted by their paths.
    pub files: Vec<FolderFile>,
}

/// A file of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FolderFile {
    /// Its path from the repository's top.
    pub path: String,
    /// Its content, or why it is not read.
    pub content: Result<Vec<u8>, String>,
}

impl Mirror {
    /// The files directly in a folder of a commit that is in the mirror; the top for an empty path. The inner error says what
    /// is wrong with what was committed.
    pub async fn folder(
        &self,
        commit: &str,
        path: &str,
        limits: FolderLimits,
    ) -> Result<Result<Folder, String>, Fault> {
        let (commit, path) = (commit.to_owned(), path.to_owned());
        self.with_repository(move |repository| {
            let top = paths::tree_of(repository, &commit)?;
            match folder_at(repository, top, &path)? {
                Ok(folder) => read(repository, &folder, &path, limits),
                Err(wrong) => Ok(Err(wrong)),
            }
        })
        .await
    }
}

fn folder_at<'repository>(
    repository: &'repository Repository,
    top: Tree<'repository>,
    path: &str,
) -> Result<Result<Tree<'repository>, String>, Fault> {
    let mut folder = top;
    if path.is_empty() {
        return Ok(Ok(folder));
    }
    paths::check(path)?;
    for part in path.split('/') {
        let Some((id, kind)) = folder.get_name(part).map(|entry| (entry.id(), entry.kind())) else {
            return Ok(Err(format!("there is no folder {path}/")));
        };
        if kind != Some(ObjectType::Tree) {
            return Ok(Err(format!("{path}/ is not a folder: '{part}' is a file, a link or a submodule")));
        }
        bounds::check_record(repository, id, "folder")?;
        folder = repository.find_tree(id).map_err(|error| object_fault(&error))?;
    }
    Ok(Ok(folder))
}

fn read(
    repository: &Repository,
    folder: &Tree<'_>,
    path: &str,
    limits: FolderLimits,
) -> Result<Result<Folder, String>, Fault> {
    let mut files = Vec::new();
    for entry in folder {
        let name = String::from_utf8_lossy(entry.name_bytes()).into_owned();
        if entry.kind() == Some(ObjectType::Tree) || !limits.endings.iter().any(|ending| name.ends_with(ending)) {
            continue;
        }
        if files.len() == limits.most_files {
            return Ok(Err(format!("there are more than {} files in {path}/", limits.most_files)));
        }
        let path = if path.is_empty() { name } else { format!("{path}/{name}") };
        files.push(FolderFile { path, content: content(repository, &entry, limits.most_bytes)? });
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(Ok(Folder { tree: folder.id().to_string(), files }))
}

fn content(
    repository: &Repository,
    entry: &TreeEntry<'_>,
    most_bytes: usize,
) -> Result<Result<Vec<u8>, String>, Fault> {
    if entry.filemode() == SYMLINK_MODE {
        return Ok(Err("it is a symbolic link".to_owned()));
    }
    if entry.kind() != Some(ObjectType::Blob) {
        return Ok(Err("it is a submodule".to_owned()));
    }
    let database = repository.odb().map_err(|error| object_fault(&error))?;
    let (bytes, _) = database.read_header(entry.id()).map_err(|error| object_fault(&error))?;
    if bytes > most_bytes {
        return Ok(Err(format!("it has {bytes} bytes, more than {most_bytes}")));
    }
    bounds::document(repository, entry.id()).map(Ok)
}
