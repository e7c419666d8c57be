//! Commits that stay in a mirror whatever becomes of their branches: each has a ref of ours, which git's housekeeping
//! respects. Several systems may share a mirror; each keeps its own.

use super::fault::object_fault;
use super::mirror::Mirror;
use crate::providers::Fault;
use git2::{ErrorCode, Oid, Repository};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::time::Instant;

/// Where these refs are: `refs/tidegate/keep/SYSTEM/COMMIT`.
const KEEP: &str = "refs/tidegate/keep";

impl Mirror {
    /// Keeps the commits that are in the mirror; those that are not are left out.
    pub async fn keep<'commit>(
        &self,
        system: &str,
        commits: impl IntoIterator<Item = &'commit str>,
        deadline: Duration,
    ) -> Result<(), Fault> {
        self.keep_now(system, commits, false, deadline).await
    }

    /// Keeps these commits, and of what the system kept before, nothing else.
    pub async fn keep_only<'commit>(
        &self,
        system: &str,
        commits: impl IntoIterator<Item = &'commit str>,
        deadline: Duration,
    ) -> Result<(), Fault> {
        self.keep_now(system, commits, true, deadline).await
    }

    async fn keep_now<'commit>(
        &self,
        system: &str,
        commits: impl IntoIterator<Item = &'commit str>,
        only: bool,
        deadline: Duration,
    ) -> Result<(), Fault> {
        let prefix = format!("{KEEP}/{system}/");
        let commits: BTreeSet<String> = commits.into_iter().map(str::to_owned).collect();
        let looked = prefix.clone();
        let (more, fewer) = self
            .with_repository(move |repository| {
                let kept = kept(repository, &looked)?;
                let more = commits.difference(&kept).map(|commit| Ok((is_there(repository, commit)?, commit.clone())));
                let more: Vec<(bool, String)> = more.collect::<Result<_, Fault>>()?;
                let more = more.into_iter().filter_map(|(is_there, commit)| is_there.then_some(commit));
                let fewer = kept.difference(&commits).filter(|_| only).cloned();
                Ok((more.collect::<Vec<_>>(), fewer.collect::<Vec<_>>()))
            })
            .await?;
        if more.is_empty() && fewer.is_empty() {
            return Ok(());
        }
        let writing = self.writing(Instant::now() + deadline).await?;
        self.change_refs(&writing, move |repository| {
            for commit in &more {
                repository.reference(&format!("{prefix}{commit}"), Oid::from_str(commit)?, true, "named")?;
            }
            for commit in &fewer {
                match repository.find_reference(&format!("{prefix}{commit}")) {
                    Ok(mut kept) => kept.delete()?,
                    Err(error) if error.code() == ErrorCode::NotFound => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(())
        })
        .await
    }

    /// The commits that are in the mirror, and those that are not.
    pub async fn parted<'commit>(
        &self,
        commits: impl IntoIterator<Item = &'commit String>,
    ) -> Result<(Vec<String>, Vec<String>), Fault> {
        let commits: Vec<String> = commits.into_iter().cloned().collect();
        self.with_repository(move |repository| {
            let (mut there, mut gone) = (Vec::new(), Vec::new());
            for commit in commits {
                let is_there = is_there(repository, &commit)?;
                if is_there { &mut there } else { &mut gone }.push(commit);
            }
            Ok((there, gone))
        })
        .await
    }
}

/// The commits that have a ref.
fn kept(repository: &Repository, prefix: &str) -> Result<BTreeSet<String>, Fault> {
    let read = || -> Result<BTreeSet<String>, git2::Error> {
        let mut refs = repository.references_glob(&format!("{prefix}*"))?;
        let names =
            refs.names().filter_map(|name| name.map(|name| name.strip_prefix(prefix).map(str::to_owned)).transpose());
        names.collect()
    };
    read().map_err(|error| object_fault(&error))
}

fn is_there(repository: &Repository, commit: &str) -> Result<bool, Fault> {
    let Ok(id) = Oid::from_str(commit) else { return Ok(false) };
    match repository.find_commit(id) {
        Ok(_) => Ok(true),
        Err(error) if error.code() == ErrorCode::NotFound => Ok(false),
        Err(error) => Err(object_fault(&error)),
    }
}
