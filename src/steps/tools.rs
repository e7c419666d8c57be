//! What steps work with: the providers, and where things are kept on this machine.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use super::{Channels, Providers, Releases, Secrets, StepLog, given::time_left};
use crate::{
    engine::{CommitId, Hotfix, StepWork},
    providers::{
        Fault,
        caches::Caches,
        commit_status::CommitStatuses,
        forge::Forge,
        git::{CommitMessage, CommitPlace, Mirror, Mirrors, REPOSITORY_TRAILER, SYSTEM_TRAILER},
        objects::Objects,
        quarantine::Quarantine,
        sandbox::Sandbox,
    },
    rules::RepositoryName,
};

/// The providers that steps use, as `tidegate.toml` chose them, and the folders that they may write to.
pub struct Tools {
    /// Warm mirrors of the repositories.
    pub mirrors: Mirrors,
    /// How far other systems' promotions are.
    pub releases: Arc<dyn Releases>,
    /// Where artifacts, templates and reports are.
    pub objects: Arc<dyn Objects>,
    /// What commands of steps can be given.
    pub secrets: Secrets,
    /// The folders that outlive steps.
    pub caches: Caches,
    /// What people and programs are told through.
    pub channels: Channels,
    /// Whom to ask for the statuses of commits.
    pub statuses: Arc<dyn CommitStatuses>,
    /// Where repositories live and tell who pushed, where that is set up.
    pub forge: Option<Arc<dyn Forge>>,
    /// Who does what, by stage.
    pub providers: Providers,
    /// The file that says who waits for a place to work.
    pub places: PathBuf,
    /// What is begun, and what ended the program.
    pub quarantine: Quarantine,
    /// The box that commands of rules and repositories run in.
    pub sandbox: Sandbox,
    /// The folder for what lives no longer than a step.
    pub scratch: PathBuf,
    /// The folder for what steps print, `system/run.made/step.log`, until it is in the object store.
    pub logs: PathBuf,
}

impl Tools {
    /// The log of a step.
    #[must_use]
    pub fn log(&self, work: &StepWork) -> StepLog {
        StepLog::new(&self.logs, Arc::clone(&self.objects), &work.system, work.key.run_name(), &work.step)
    }

    /// The mirror of a repository of the step's system.
    pub(super) fn mirror(&self, work: &StepWork, repository: &RepositoryName) -> Result<Arc<Mirror>, Fault> {
        let url = work.urls.get(repository).ok_or_else(|| {
            Fault::fail(format!("the rules have no repository `{repository}`"), "add it, or take this step out")
        })?;
        self.mirrors.mirror(url)
    }

    /// The mirror of the run's repository, with the run's commit in it.
    pub(super) async fn source(&self, work: &StepWork) -> Result<(Arc<Mirror>, CommitId), Fault> {
        let source = work.source.as_ref().ok_or_else(|| {
            Fault::fail("the run works on no commit", "give its rule's `on` a `push` or `repository`")
        })?;
        let mirror = self.mirror(work, &source.repository)?;
        self.bring(&mirror, work, &source.commit).await?;
        Ok((mirror, source.commit.clone()))
    }

    /// Makes sure that the commit is in the mirror.
    pub(super) async fn bring(&self, mirror: &Mirror, work: &StepWork, commit: &CommitId) -> Result<(), Fault> {
        if mirror.commit_info(commit.as_str()).await.is_ok() {
            return Ok(());
        }
        mirror.fetch(std::slice::from_ref(&work.branch), time_left(work)).await?;
        let gone = "the branch was force-pushed: the push that did it starts a run of its own";
        mirror
            .commit_info(commit.as_str())
            .await
            .map(drop)
            .map_err(|_| not_on(&work.branch, commit, (mirror, work), gone))
    }

    /// A fresh folder for this step; what an earlier try left in it is removed.
    pub(super) fn scratch(&self, work: &StepWork) -> Result<Scratch, Fault> {
        let path = self.scratch.join(format!("{}-{}-{}", work.system, work.run, work.step));
        let fault = |error: std::io::Error| Fault::retry(format!("making {}: {error}", path.display()));
        if path.exists() {
            std::fs::remove_dir_all(&path).map_err(fault)?;
        }
        std::fs::create_dir_all(&path).map_err(fault)?;
        Ok(Scratch(path))
    }
}

/// That a commit, which was on a branch, is not found there. What was read may be older, until that has stayed so for a while.
pub(super) fn not_on(branch: &str, commit: &CommitId, (mirror, work): (&Mirror, &StepWork), gone: &str) -> Fault {
    let error = format!("commit {} is not on {branch} of {} any more", commit.short(), mirror.url());
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let begun_ms = u128::try_from(work.started_ms).unwrap_or_default();
    let since = Duration::from_millis(u64::try_from(now_ms.saturating_sub(begun_ms)).unwrap_or(u64::MAX));
    if mirror.may_lag(since) {
        return Fault::retry(format!("{error}, or what answers lags behind"));
    }
    Fault::fail(error, gone)
}

/// A folder that is removed when it is no longer used.
pub(super) struct Scratch(PathBuf);

impl Scratch {
    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::warn!(folder = %self.0.display(), %error, "a scratch folder was left behind");
        }
    }
}

/// Where a step commits in a repository.
pub(super) fn commit_place(work: &StepWork, repository: &RepositoryName) -> CommitPlace {
    let (system, branch) = (work.system.to_string(), work.branch.clone());
    CommitPlace { system, repository: repository.to_string(), branch }
}

/// What a commit of ours says: where it comes from, so that it can be traced, and its key, so that it is made once.
pub(super) fn message(work: &StepWork, repository: &RepositoryName, subject: String, source: &str) -> CommitMessage {
    let mut trailers = vec![
        (SYSTEM_TRAILER.to_owned(), work.system.to_string()),
        (REPOSITORY_TRAILER.to_owned(), repository.to_string()),
        ("Tidegate-Run".to_owned(), work.run.to_string()),
        ("Tidegate-Source".to_owned(), source.to_owned()),
    ];
    if let Some(Hotfix { by, reason, .. }) = &work.hotfix {
        // One line: a trailer ends where the line does.
        let reason = reason.split_whitespace().collect::<Vec<_>>().join(" ");
        trailers.push(("Tidegate-Hotfix".to_owned(), format!("{by}: {reason}")));
    }
    CommitMessage {
        system: work.system.to_string(),
        repository: repository.to_string(),
        subject,
        body: String::new(),
        trailers,
        key: work.key.to_string(),
        committed_at_ms: work.started_ms,
    }
}
