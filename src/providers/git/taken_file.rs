//! One file of a commit, also where the tree only says what it is: in a submodule, or in Git LFS.

use super::bounds;
use super::fault::object_fault;
use super::gather::{Folder, config_in};
use super::lfs::{self, Pointer, Store};
use super::mirror::{Mirror, Mirrors};
use super::paths;
use super::plumbing::Bench;
use super::submodules;
use super::taking::{Lfs, Submodules, Taking};
use crate::providers::Fault;
use git2::{Oid, Repository};
use std::io::Read as _;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How deep submodules may be nested.
const DEEPEST: usize = 8;
const SUBMODULE_MODE: i32 = 0o160_000;

/// A submodule on the way to a file.
struct OnTheWay {
    path: String,
    rest: String,
    commit: String,
    gitmodules: Option<Oid>,
}

impl Mirrors {
    /// The content of the file at `path` of a commit that is in the mirror, or `None` when there is nothing at that path.
    /// Line ends and encoding are as committed.
    ///
    /// # Errors
    /// `Fail` for what is refused, for what cannot be fetched and for what is no file; `Retry` for what may pass.
    pub async fn read_file(
        &self,
        mirror: &Arc<Mirror>,
        commit: &str,
        path: &str,
        taking: Taking,
        deadline: Duration,
    ) -> Result<Option<Vec<u8>>, Fault> {
        let deadline = Instant::now() + deadline;
        let (mut mirror, mut commit, mut rest) = (Arc::clone(mirror), commit.to_owned(), path.to_owned());
        for depth in 0.. {
            let (id, of) = (commit.clone(), rest.clone());
            let Some(found) = mirror.with_repository(move |repository| on_the_way(repository, &id, &of)).await? else {
                break;
            };
            if taking.submodules != Submodules::Fetch || depth == DEEPEST {
                return Err(Fault::fail(
                    format!("'{path}' is in the submodule '{}', whose files the tree does not hold", found.path),
                    "write `submodules: fetch` in this step to take its commit from its repository, or let it be a plain file",
                ));
            }
            let config = config_of(&mirror, found.gitmodules, deadline).await?;
            let url = submodules::url_of(&mirror, &config, found.path.as_bytes())?;
            let below = self.mirror(&url)?;
            submodules::bring(&below, &found.commit, (self.fetches_contents, deadline)).await?;
            (mirror, commit, rest) = (below, found.commit, found.rest);
        }
        let Some(content) = mirror.read_file(&commit, &rest).await? else { return Ok(None) };
        let Some(pointer) = Pointer::parse(&content).filter(|_| taking.lfs != Lfs::Pointers) else {
            return Ok(Some(content));
        };
        if taking.lfs == Lfs::Refuse {
            return Err(Fault::fail(
                format!("'{path}' is a Git LFS pointer and not the file itself"),
                "write `lfs: fetch` in this step to take the file from the LFS server, or commit the file itself",
            ));
        }
        bounds::check_document(pointer.size_bytes).map_err(|fault| fault.while_trying(path))?;
        let id = commit.clone();
        let lfsconfig = move |repository: &Repository| plain(repository, &id, ".lfsconfig");
        let config = config_of(&mirror, mirror.with_repository(lfsconfig).await?, deadline).await?;
        lfs::fetch(&mirror, vec![pointer.clone()], &config, (self.fetches_contents, deadline)).await?;
        let mut content = Vec::new();
        let read = Store::of(&mirror).open(&pointer)?.read_to_end(&mut content);
        read.map_err(|error| Fault::retry(format!("{path}: {error}")))?;
        Ok(Some(content))
    }
}

async fn config_of(mirror: &Mirror, blob: Option<Oid>, deadline: Instant) -> Result<Vec<u8>, Fault> {
    let Some(blob) = blob else { return Ok(Vec::new()) };
    let folder = Folder::beside(&mirror.directory)?;
    let bench = Bench::make(&mirror.git, folder.path().join("bench.git"), &mirror.directory, b"")?;
    config_in(&bench, blob, deadline).await
}

/// The submodule that a path leads into.
fn on_the_way(repository: &Repository, commit: &str, path: &str) -> Result<Option<OnTheWay>, Fault> {
    paths::check(path)?;
    let mut folder = paths::tree_of(repository, commit)?;
    for (at, _) in path.match_indices('/') {
        let name = path[..at].rsplit('/').next().unwrap_or_default();
        let found = folder.get_name(name).map(|entry| (entry.id(), entry.filemode()));
        match found {
            Some((id, SUBMODULE_MODE)) => {
                let gitmodules = plain(repository, commit, ".gitmodules")?;
                let (path, rest) = (path[..at].to_owned(), path[at + 1..].to_owned());
                return Ok(Some(OnTheWay { path, rest, commit: id.to_string(), gitmodules }));
            }
            Some((id, 0o040_000)) => folder = repository.find_tree(id).map_err(|error| object_fault(&error))?,
            _ => return Ok(None),
        }
    }
    Ok(None)
}

/// The plain file of this name at the top.
fn plain(repository: &Repository, commit: &str, name: &str) -> Result<Option<Oid>, Fault> {
    let tree = paths::tree_of(repository, commit)?;
    let entry = tree.get_name(name).filter(|entry| matches!(entry.filemode(), 0o100_644 | 0o100_755 | 0o100_664));
    Ok(entry.map(|entry| entry.id()))
}
