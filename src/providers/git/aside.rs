//! The refs that fetches write to, and what is left of those that were killed: refs, lock files, halves of packs.

use super::fault::{disk_fault, object_fault};
use crate::providers::{Fault, process_table};
use git2::{ErrorCode, Oid, Repository};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Where fetches write what they bring.
pub(super) const ASIDE: &str = "refs/tidegate/fetch";

/// The fetches of a mirror that go on in this process.
#[derive(Default)]
pub(super) struct Fetches {
    going_on: Mutex<BTreeSet<u64>>,
}

/// One of them, until this is dropped.
pub(super) struct Aside {
    fetches: Arc<Fetches>,
    number: u64,
    /// `refs/tidegate/fetch/PROCESS-NUMBER/`.
    pub(super) prefix: String,
}

impl Aside {
    pub(super) fn begin(fetches: &Arc<Fetches>) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        fetches.going_on().insert(number);
        let prefix = format!("{ASIDE}/{}-{number}/", std::process::id());
        Self { fetches: Arc::clone(fetches), number, prefix }
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        self.fetches.going_on().remove(&self.number);
    }
}

impl Fetches {
    fn going_on(&self) -> MutexGuard<'_, BTreeSet<u64>> {
        // What it guards is whole after every statement.
        self.going_on.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_none(&self) -> bool {
        self.going_on().is_empty()
    }

    /// Whether the fetch of a folder's name (`PROCESS-NUMBER`) goes on, here or in another process.
    fn goes_on(&self, name: &str) -> bool {
        let Some((process, number)) = name.split_once('-') else { return false };
        match (process.parse::<u32>(), number.parse()) {
            (Ok(process), Ok(number)) if process == std::process::id() => self.going_on().contains(&number),
            (Ok(process), _) => process_table::lives(process),
            _ => false,
        }
    }
}

/// Where a ref is, if there is one.
pub(super) fn head_at(repository: &Repository, name: &str) -> Result<Option<Oid>, Fault> {
    match repository.refname_to_id(name) {
        Ok(id) => Ok(Some(id)),
        Err(error) if error.code() == ErrorCode::NotFound => Ok(None),
        Err(error) => Err(object_fault(&error)),
    }
}

/// Sets a branch. One that is gone from the remote may be in its way, as `team` is in that of `team/dev`.
pub(super) fn set_branch(repository: &Repository, name: &str, head: Oid) -> Result<(), git2::Error> {
    match repository.reference(name, head, true, "fetched") {
        Err(error) if error.code() != ErrorCode::Locked => {
            let mut above: Vec<String> = name.match_indices('/').skip(2).map(|(at, _)| name[..at].to_owned()).collect();
            above.extend(
                repository
                    .references_glob(&format!("{name}/*"))?
                    .names()
                    .filter_map(|name| Some(name.ok()?.to_owned())),
            );
            for name in above {
                repository.find_reference(&name).and_then(|mut gone| gone.delete()).or_else(absent)?;
            }
            repository.reference(name, head, true, "fetched").map(drop)
        }
        set => set.map(drop),
    }
}

pub(super) fn absent(error: git2::Error) -> Result<(), git2::Error> {
    if error.code() == ErrorCode::NotFound { Ok(()) } else { Err(error) }
}

/// The refs of this fetch, and of those that go on nowhere any more.
pub(super) fn dead_refs(repository: &Repository, fetches: &Fetches, own: &str) -> Result<Vec<String>, Fault> {
    let read = || -> Result<Vec<String>, git2::Error> {
        let mut refs = repository.references_glob(&format!("{ASIDE}/*"))?;
        refs.names().map(|name| name.map(str::to_owned)).collect()
    };
    let mut names = read().map_err(|error| object_fault(&error))?;
    let of = |name: &str| name.strip_prefix(ASIDE)?.trim_start_matches('/').split('/').next().map(str::to_owned);
    names.retain(|name| name.starts_with(own) || of(name).is_none_or(|of| !fetches.goes_on(&of)));
    Ok(names)
}

/// Removes what fetches that were killed left of packs: nobody can read it, and no fetch of this process goes on. What another
/// process is at has grown since it may be silent.
pub(super) fn tidy(packs: &Path, silence: Duration) {
    for file in std::fs::read_dir(packs).into_iter().flatten().flatten() {
        let age = file.metadata().and_then(|found| found.modified()).ok().and_then(|written| written.elapsed().ok());
        let is_left = file.file_name().to_string_lossy().starts_with("tmp_") && age.is_some_and(|age| age > silence);
        if is_left && let Err(error) = std::fs::remove_file(file.path()) {
            let fault = disk_fault("removing", &file.path(), &error);
            tracing::debug!(error = %fault, "what a fetch left stays");
        }
    }
}
