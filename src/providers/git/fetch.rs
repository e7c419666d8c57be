//! Fetching. The network part holds no lock: git writes what it brings to refs that no other fetch knows
//! (`refs/tidegate/fetch/PROCESS-NUMBER/BRANCH`), and a short step under the mirror's lock then moves the branches. The first
//! fetch of a mirror brings branch after branch: git keeps nothing of a pack that breaks off, but all that came before it.

use super::fault::{disk_fault, object_fault};
use super::mirror::{Mirror, Writing};
use super::paths::check_branches;
use crate::providers::Fault;
use git2::{ErrorCode, Oid, Repository};
use rustix::process::{Pid, test_kill_process};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// Where fetches write what they bring.
pub(super) const ASIDE: &str = "refs/tidegate/fetch";
/// How long the mirror's lock is waited for when all has come: who holds it does so for milliseconds.
const LOCK_PATIENCE: Duration = Duration::from_secs(30);

/// The fetches of a mirror that go on in this process.
#[derive(Default)]
pub(super) struct Fetches {
    going_on: Mutex<BTreeSet<u64>>,
}

/// One of them, until this is dropped.
struct Aside {
    fetches: Arc<Fetches>,
    number: u64,
    /// `refs/tidegate/fetch/PROCESS-NUMBER/`.
    prefix: String,
}

impl Aside {
    fn begin(fetches: &Arc<Fetches>) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        fetches.going_on.lock().unwrap_or_else(PoisonError::into_inner).insert(number);
        let prefix = format!("{ASIDE}/{}-{number}/", std::process::id());
        Self { fetches: Arc::clone(fetches), number, prefix }
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        self.fetches.going_on.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.number);
    }
}

impl Fetches {
    fn is_none(&self) -> bool {
        self.going_on.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Whether the fetch of a folder's name (`PROCESS-NUMBER`) goes on, here or in another process.
    fn goes_on(&self, name: &str) -> bool {
        let Some((process, number)) = name.split_once('-') else { return false };
        match (process.parse::<u32>(), number.parse()) {
            (Ok(process), Ok(number)) if process == std::process::id() => {
                self.going_on.lock().unwrap_or_else(PoisonError::into_inner).contains(&number)
            }
            (Ok(process), _) => i32::try_from(process).ok().and_then(Pid::from_raw).is_some_and(lives),
            _ => false,
        }
    }
}

/// Whether there is such a process; one that may not be signalled is one.
fn lives(process: Pid) -> bool {
    !matches!(test_kill_process(process), Err(rustix::io::Errno::SRCH))
}

impl Mirror {
    /// Brings `branches`, which must exist, into the mirror. While bytes arrive it may take until `deadline`.
    pub async fn fetch(&self, branches: &[String], deadline: Duration) -> Result<(), Fault> {
        let deadline = Instant::now() + deadline;
        check_branches(branches)?;
        self.fetch_branches(branches, deadline).await.map(drop)
    }

    /// Brings branches into the mirror; says where they are. While the mirror is empty, one fetches and the others wait for
    /// it: they would fetch the same.
    pub(super) async fn fetch_branches(
        &self,
        branches: &[String],
        deadline: Instant,
    ) -> Result<BTreeMap<String, Oid>, Fault> {
        if !self.is_empty().await? {
            return self.fetch_together(branches, "fetching", deadline).await;
        }
        let _first = match self.first.try_lock() {
            Ok(first) => first,
            Err(_) => {
                let _waits = self.waits("waiting for the clone that goes on");
                let busy = |_| Fault::retry(format!("the clone of {} goes on, and the deadline has passed", self.url()));
                timeout_at(deadline, self.first.lock()).await.map_err(busy)?
            }
        };
        if !self.is_empty().await? {
            return self.fetch_together(branches, "fetching", deadline).await;
        }
        let mut heads = BTreeMap::new();
        for branch in branches {
            heads.extend(self.fetch_together(std::slice::from_ref(branch), "cloning", deadline).await?);
        }
        Ok(heads)
    }

    async fn fetch_together(
        &self,
        branches: &[String],
        doing: &str,
        deadline: Instant,
    ) -> Result<BTreeMap<String, Oid>, Fault> {
        const OPTIONS: [&str; 8] = [
            "fetch",
            "--progress",
            "--force",
            "--no-tags",
            "--no-write-fetch-head",
            "--no-auto-maintenance",
            "--no-recurse-submodules",
            "--",
        ];
        if self.fetches.is_none() {
            tidy(&self.directory.join("objects/pack"), self.git.silence);
        }
        let aside = Aside::begin(&self.fetches);
        let mut arguments: Vec<String> = OPTIONS.map(str::to_owned).into();
        arguments.push(self.remote.url.clone());
        let prefix = &aside.prefix;
        arguments.extend(branches.iter().map(|branch| format!("+refs/heads/{branch}:{prefix}{branch}")));
        let doing = format!("{doing} {}", branches.join(", "));
        let mut fetched = self.git(&arguments, deadline, &doing).await?;
        if !fetched.success && self.mend_after(&fetched.stderr).await? {
            fetched = self.git(&arguments, deadline, &doing).await?;
        }
        if !fetched.success {
            return Err(self.explain(&fetched, &doing));
        }
        self.warn_if_moved(&fetched.stderr);
        let writing = self.writing(Instant::now() + LOCK_PATIENCE).await?;
        self.take_in(&writing, aside, branches).await
    }

    /// Mends what git complained of in the mirror itself; says whether trying again is worth it.
    pub(super) async fn mend_after(&self, complaint: &str) -> Result<bool, Fault> {
        let writing = self.writing(Instant::now() + LOCK_PATIENCE).await?;
        self.mend(&writing, complaint)
    }

    /// Moves the branches to what was fetched, but where what is known is newer; says where they are.
    async fn take_in(
        &self,
        writing: &Writing<'_>,
        aside: Aside,
        branches: &[String],
    ) -> Result<BTreeMap<String, Oid>, Fault> {
        let (reads, fetches, url) = (Arc::clone(&self.reads), Arc::clone(&self.fetches), self.url().to_owned());
        let (prefix, branches, is_here) = (aside.prefix.clone(), branches.to_vec(), self.remote.directory.is_some());
        let (heads, dead) = self
            .with_repository(move |repository| {
                let mut heads = BTreeMap::new();
                for branch in branches {
                    let read = head_at(repository, &format!("{prefix}{branch}"))?;
                    let read = read.ok_or_else(|| {
                        Fault::retry(format!("{branch} of {url} vanished from the mirror while it was fetched"))
                    })?;
                    let known = head_at(repository, &format!("refs/heads/{branch}"))?;
                    let newer = match known.filter(|_| !is_here) {
                        Some(known) if reads.is_old(repository, &branch, read, known)? => Some(known),
                        _ => None,
                    };
                    if let Some(known) = known.filter(|_| newer.is_none()) {
                        reads.moves(repository, &branch, known, read)?;
                    }
                    heads.insert(branch, newer.unwrap_or(read));
                }
                Ok((heads, dead_refs(repository, &fetches, &prefix)?))
            })
            .await?;
        let moved = heads.clone();
        let folder = self.directory.join(ASIDE);
        self.change_refs(writing, move |repository| {
            for (branch, head) in &moved {
                set_branch(repository, &format!("refs/heads/{branch}"), *head)?;
            }
            for name in &dead {
                repository.find_reference(name).and_then(|mut dead| dead.delete()).or_else(absent)?;
                // With the lock files of a process that was killed.
                let name = name.strip_prefix(ASIDE).and_then(|name| name.trim_start_matches('/').split('/').next());
                drop(name.map(|name| std::fs::remove_dir_all(folder.join(name))));
            }
            Ok(())
        })
        .await?;
        drop(aside);
        for (branch, head) in &heads {
            self.reads.saw(branch, Some(*head));
        }
        Ok(heads)
    }

    async fn is_empty(&self) -> Result<bool, Fault> {
        self.with_repository(|repository| {
            let mut heads = repository.references_glob("refs/heads/*").map_err(|error| object_fault(&error))?;
            Ok(heads.next().is_none())
        })
        .await
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
fn set_branch(repository: &Repository, name: &str, head: Oid) -> Result<(), git2::Error> {
    match repository.reference(name, head, true, "fetched") {
        Err(error) if error.code() != ErrorCode::Locked => {
            let mut above: Vec<String> = name.match_indices('/').skip(2).map(|(at, _)| name[..at].to_owned()).collect();
            above.extend(repository.references_glob(&format!("{name}/*"))?.names().filter_map(|name| Some(name.ok()?.to_owned())));
            for name in above {
                repository.find_reference(&name).and_then(|mut gone| gone.delete()).or_else(absent)?;
            }
            repository.reference(name, head, true, "fetched").map(drop)
        }
        set => set.map(drop),
    }
}

fn absent(error: git2::Error) -> Result<(), git2::Error> {
    if error.code() == ErrorCode::NotFound { Ok(()) } else { Err(error) }
}

/// The refs of this fetch, and of those that go on nowhere any more.
fn dead_refs(repository: &Repository, fetches: &Fetches, own: &str) -> Result<Vec<String>, Fault> {
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
fn tidy(packs: &Path, silence: Duration) {
    for file in std::fs::read_dir(packs).into_iter().flatten().flatten() {
        let age = file.metadata().and_then(|found| found.modified()).ok().and_then(|written| written.elapsed().ok());
        let is_left = file.file_name().to_string_lossy().starts_with("tmp_") && age.is_some_and(|age| age > silence);
        if is_left && let Err(error) = std::fs::remove_file(file.path()) {
            let fault = disk_fault("removing", &file.path(), &error);
            tracing::debug!(error = %fault, "what a fetch left stays");
        }
    }
}
