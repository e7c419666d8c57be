//! Git LFS: what pointers stand for is fetched from the repository's LFS server, or copied from a repository on this machine,
//! into the mirror's folder, each object once. Whatever comes is checked against its pointer.

mod client;
mod endpoint;
mod store;

use super::fault::disk_fault;
use super::mirror::Mirror;
use crate::providers::Fault;
use git2::Repository;
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::Path;
use tokio::time::Instant;

pub(super) use store::{LONGEST_POINTER, Pointer, Store};

/// The largest object that is fetched, in bytes.
const LARGEST_OBJECT: u64 = 16 << 30;
/// How many bytes the objects of one tree may have in all.
const MOST_BYTES: u64 = 64 << 30;

/// Fetches the objects that the mirror does not have yet. `config` is the tree's `.lfsconfig`, as `git config --list -z`
/// prints it. Where it is not `allowed` to fetch, that objects are missing is a failure.
pub(super) async fn fetch(
    mirror: &Mirror,
    pointers: Vec<Pointer>,
    config: &[u8],
    (allowed, deadline): (bool, Instant),
) -> Result<(), Fault> {
    let store = Store::of(mirror);
    let mut missing: BTreeMap<String, Pointer> = BTreeMap::new();
    for pointer in pointers.into_iter().filter(|pointer| !store.has(pointer)) {
        if pointer.extended {
            return Err(Fault::fail(
                format!("the LFS object {} was changed by an extension, which is not run", pointer.oid),
                "store the file without LFS extensions, or write `lfs: pointers`",
            ));
        }
        missing.insert(pointer.oid.clone(), pointer);
    }
    let missing: Vec<Pointer> = missing.into_values().collect();
    let all = missing.iter().fold(0_u64, |all, pointer| all.saturating_add(pointer.size_bytes));
    if all > MOST_BYTES || missing.iter().any(|pointer| pointer.size_bytes > LARGEST_OBJECT) {
        return Err(Fault::fail(
            format!("the LFS objects have {all} bytes; one may have {LARGEST_OBJECT}, and all {MOST_BYTES}"),
            "leave some out with `exclude`, or write `lfs: pointers`",
        ));
    }
    if missing.is_empty() {
        return Ok(());
    }
    if !allowed {
        let error = format!("{} LFS objects would be fetched, and nothing is fetched here", missing.len());
        return Err(Fault::fail(error, "they are fetched when the step is really done"));
    }
    match mirror.remote.directory.clone() {
        Some(directory) => {
            let copied = tokio::task::spawn_blocking(move || copy(&directory, &missing, &store));
            copied.await.map_err(|error| Fault::retry(format!("copying LFS objects broke off: {error}")))?
        }
        None => client::fetch(endpoint::Endpoint::of(mirror, config, deadline).await?, missing, store, deadline).await,
    }
}

/// A repository on this machine has its objects in its git folder, where `git lfs push` puts them.
fn copy(directory: &Path, missing: &[Pointer], store: &Store) -> Result<(), Fault> {
    let git = Repository::open(directory).map_or_else(|_| directory.to_owned(), |found| found.commondir().to_owned());
    let objects = git.join("lfs/objects");
    for pointer in missing {
        let path = pointer.path_in(&objects);
        let mut file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(Fault::fail(
                    format!("the LFS object {} is not in {}", pointer.oid, objects.display()),
                    "push it from a clone that has it: `git lfs push --all origin`",
                ));
            }
            Err(error) => return Err(disk_fault("reading", &path, &error)),
        };
        store.take(pointer, &mut file)?;
    }
    Ok(())
}
