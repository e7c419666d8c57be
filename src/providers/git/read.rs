//! What is read from commits that are in the mirror.

use super::bounds;
use super::fault::{disk_fault, object_fault};
use super::mirror::Mirror;
use super::paths;
use super::trailers;
use crate::providers::Fault;
use git2::{DiffOptions, ObjectType, Oid, Repository, Tree};
use std::fs;
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::path::{Component, Path, PathBuf};

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

    /// Writes the files of a commit below `directory`, which is created and must be empty. Submodules become empty
    /// directories. A symbolic link that leads out of the tree is refused.
    pub async fn checkout_into(&self, commit: &str, directory: &Path) -> Result<(), Fault> {
        let (commit, directory) = (commit.to_owned(), directory.to_owned());
        self.long_with_repository(move |repository| {
            fs::create_dir_all(&directory).map_err(|error| disk_fault("creating", &directory, &error))?;
            let tree = paths::tree_of(repository, &commit)?;
            write_tree(repository, &tree, &directory, Path::new(""))
        })
        .await
    }
}

/// Whether `newer` is or descends from `older`.
pub(super) fn contains(repository: &Repository, newer: Oid, older: Oid) -> Result<bool, Fault> {
    Ok(newer == older || repository.graph_descendant_of(newer, older).map_err(|error| object_fault(&error))?)
}

/// The beginning of a long text, for a message.
pub(super) fn shorten(text: &str) -> String {
    const MOST_CHARACTERS: usize = 600;
    match text.char_indices().nth(MOST_CHARACTERS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
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

fn write_tree(repository: &Repository, tree: &Tree<'_>, root: &Path, below: &Path) -> Result<(), Fault> {
    for entry in tree {
        let name = String::from_utf8_lossy(entry.name_bytes()).into_owned();
        paths::check(&name)?;
        let inside = below.join(&name);
        let target = root.join(&inside);
        let written = match (entry.kind(), entry.filemode()) {
            (Some(ObjectType::Tree), _) => {
                fs::create_dir(&target).map_err(|error| disk_fault("creating", &target, &error))?;
                let folder = repository.find_tree(entry.id()).map_err(|error| object_fault(&error))?;
                write_tree(repository, &folder, root, &inside)?;
                Ok(())
            }
            (Some(ObjectType::Blob), 0o120_000) => {
                let link =
                    PathBuf::from(String::from_utf8_lossy(&bounds::content(repository, entry.id())?).into_owned());
                if leaves(below, &link) {
                    return Err(Fault::fail(
                        format!(
                            "the symbolic link '{}' leads to '{}', outside of the repository",
                            inside.display(),
                            link.display()
                        ),
                        "let it lead to a file of the repository, or remove it",
                    ));
                }
                symlink(&link, &target)
            }
            (Some(ObjectType::Blob), mode) => write_file(&target, &bounds::content(repository, entry.id())?, mode),
            _ => fs::create_dir(&target),
        };
        written.map_err(|error| disk_fault("writing", &target, &error))?;
    }
    Ok(())
}

fn write_file(target: &Path, content: &[u8], mode: i32) -> std::io::Result<()> {
    let permissions = if mode == 0o100_755 { 0o755 } else { 0o644 };
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(permissions).open(target)?;
    std::io::Write::write_all(&mut file, content)
}

/// Whether a link in the folder `below` could lead out of the tree. `..` counts only at its beginning, where the
/// folders are known to be real; after a name it could be that of another link's target, and is refused.
fn leaves(below: &Path, link: &Path) -> bool {
    let mut depth = below.components().count();
    let mut named = false;
    for component in link.components() {
        match component {
            Component::Normal(_) => named = true,
            Component::CurDir => {}
            Component::ParentDir if depth > 0 && !named => depth -= 1,
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return true,
        }
    }
    false
}
