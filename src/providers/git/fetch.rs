//! Fetching. The network part holds no lock: git writes what it brings to refs that no other fetch knows
//! (`refs/tidegate/fetch/PROCESS-NUMBER/BRANCH`), and a short step under the mirror's lock then moves the branches. The first
//! fetch of a mirror brings branch after branch: git keeps nothing of a pack that breaks off, but all that came before it.

use super::aside::{self, ASIDE, Aside, absent, head_at, set_branch};
use super::fault::object_fault;
use super::mirror::{Mirror, Writing};
use super::paths::check_branches;
use super::refusal;
use crate::providers::Fault;
use git2::Oid;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// How long the mirror's lock is waited for when all has come: who holds it does so for milliseconds.
const LOCK_PATIENCE: Duration = Duration::from_secs(30);

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
                let busy =
                    |_| Fault::retry(format!("the clone of {} goes on, and the deadline has passed", self.url()));
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

    /// The arguments of a fetch that brings this, as `+FROM:TO`, and nothing in passing.
    pub(super) fn fetching(&self, wanted: impl IntoIterator<Item = String>) -> Vec<String> {
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
        let options = OPTIONS.map(str::to_owned).into_iter().chain([self.remote.url.clone()]);
        options.chain(wanted).collect()
    }

    async fn fetch_together(
        &self,
        branches: &[String],
        doing: &str,
        deadline: Instant,
    ) -> Result<BTreeMap<String, Oid>, Fault> {
        if self.fetches.is_none() {
            aside::tidy(&self.directory.join("objects/pack"), self.git.silence);
        }
        let aside = Aside::begin(&self.fetches);
        let prefix = &aside.prefix;
        let wanted = branches.iter().map(|branch| format!("+refs/heads/{branch}:{prefix}{branch}"));
        let arguments = self.fetching(wanted);
        let doing = format!("{doing} {}", branches.join(", "));
        let mut fetched = self.git(&arguments, deadline, &doing).await?;
        // What looks broken once may have been broken on its way.
        for is_sure in [false, true] {
            if fetched.success || !self.mend_after(&fetched.stderr, is_sure).await? {
                break;
            }
            fetched = self.git(&arguments, deadline, &doing).await?;
        }
        if !fetched.success || refusal::is_shallow(&fetched.stderr) {
            return Err(self.explain(&fetched, &doing));
        }
        self.warn_if_moved(&fetched.stderr);
        let writing = self.writing(Instant::now() + LOCK_PATIENCE).await?;
        self.take_in(&writing, aside, branches).await
    }

    /// Mends what git complained of in the mirror itself, when it `is_sure`; says whether trying again is worth it.
    pub(super) async fn mend_after(&self, complaint: &str, is_sure: bool) -> Result<bool, Fault> {
        let writing = self.writing(Instant::now() + LOCK_PATIENCE).await?;
        self.mend(&writing, complaint, is_sure)
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
                Ok((heads, aside::dead_refs(repository, &fetches, &prefix)?))
            })
            .await?;
        let moved = heads.clone();
        let folder = self.directory.join(ASIDE);
        self.change_refs(writing, move |repository| {
            for (branch, head) in &moved {
                set_branch(repository, &format!("refs/heads/{branch}"), *head)?;
            }
            for name in &dead {
                // With the lock files of a process that was killed.
                let of = name.strip_prefix(ASIDE).and_then(|name| name.trim_start_matches('/').split('/').next());
                drop(of.map(|of| std::fs::remove_dir_all(folder.join(of))));
                repository.find_reference(name).and_then(|mut dead| dead.delete()).or_else(absent)?;
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
