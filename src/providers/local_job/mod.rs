//! Jobs on this machine: a command that runs to its end in a process of its own, which outlives us.
//!
//! ```text
//! jobs/system/target@stage/
//!   <key>/   job.json  what it is            work/  the tree that it runs in
//!            log.txt   what it printed       home/  its home
//!            exit      how it ended          out/   what it gives to later steps
//!            bundle    what somebody brought for it
//! ```
//!
//! All state is in these files: whoever comes after us finds the job by its key, running or ended.

mod job;

use std::path::PathBuf;

use async_trait::async_trait;
use serde_json::Map;

pub use job::JobRequest;

use self::job::Job;
use crate::providers::act::{Act, ActState, Found, FoundBy, forgotten};
use crate::providers::sandbox::Sandbox;
use crate::providers::targets::{Sight, Stands, TargetPlace, Targets};
use crate::providers::{Fault, files};

/// How many jobs that have ended a target keeps, for people to look at.
const KEPT: usize = 20;
/// What is in the folder of a target beside its jobs.
const LOCK: &str = "jobs.lock";

/// The jobs of this machine.
#[derive(Debug, Clone)]
pub struct LocalJobs {
    /// The folder of all jobs: `system/target@stage` below it.
    pub jobs: PathBuf,
    /// The box that they run in.
    pub sandbox: Sandbox,
}

impl LocalJobs {
    /// Runs a command to its end.
    #[must_use]
    pub fn run(&self, place: &TargetPlace, request: JobRequest) -> Box<dyn Act> {
        let folder = place.folder(&self.jobs);
        Box::new(Run { folder, sandbox: self.sandbox.clone(), request })
    }

    /// Where the tree of a job lies until it begins.
    #[must_use]
    pub fn tree(&self, place: &TargetPlace, key: &str) -> PathBuf {
        place.folder(&self.jobs).join(format!(".{}.tree", files::directory_name(key)))
    }

    /// Where what somebody brought for a job lies until it begins.
    #[must_use]
    pub fn bundle(&self, place: &TargetPlace, key: &str) -> PathBuf {
        place.folder(&self.jobs).join(format!(".{}.bundle", files::directory_name(key)))
    }

    /// Ends the jobs that are not of these keys.
    #[must_use]
    pub fn cancel_others(&self, place: &TargetPlace, ours: Vec<String>) -> Box<dyn Act> {
        Box::new(CancelOthers { folder: place.folder(&self.jobs), ours })
    }
}

#[async_trait]
impl Targets for LocalJobs {
    async fn look(&self, place: &TargetPlace, ours: &[String]) -> Result<Sight, Fault> {
        let others = others(&place.folder(&self.jobs), ours).await?;
        let stands = match others.first() {
            None => Stands::Stable,
            Some(job) if job.is_being_cancelled() => Stands::Undoing(format!("the job {}", job.name())),
            Some(job) => Stands::Moving(format!("the job {} runs", job.name()), None),
        };
        Ok(Sight::of(stands))
    }
}

/// The jobs that run and are not of these keys.
async fn others(folder: &std::path::Path, ours: &[String]) -> Result<Vec<Job>, Fault> {
    let ours: Vec<String> = ours.iter().map(|key| files::directory_name(key)).collect();
    let mut running = Vec::new();
    for job in job::all(folder)? {
        if !ours.contains(&job.name()) && job.runs().await? {
            running.push(job);
        }
    }
    Ok(running)
}

/// A job, found by the folder that is named by its key.
struct Run {
    folder: PathBuf,
    sandbox: Sandbox,
    request: JobRequest,
}

impl Run {
    fn job(&self, handle: &str) -> Job {
        Job { directory: self.folder.join(handle) }
    }
}

#[async_trait]
impl Act for Run {
    fn found_by(&self) -> FoundBy {
        FoundBy::Name
    }

    async fn find(&self) -> Result<Found, Fault> {
        let handle = files::directory_name(&self.request.key);
        let begun = self.job(&handle).has_begun();
        Ok(if begun { Found::Here(handle) } else { Found::Nothing })
    }

    async fn start(&self) -> Result<String, Fault> {
        let handle = files::directory_name(&self.request.key);
        files::create_directory(&self.folder)?;
        let _lock = files::lock(&self.folder.join(LOCK), job::LOCK_WAIT).await?;
        let job = self.job(&handle);
        job.start(&self.request, &self.sandbox).await?;
        job::forget_old(&self.folder, KEPT, &handle).await?;
        Ok(handle)
    }

    async fn poll(&self, handle: &str) -> Result<ActState, Fault> {
        let job = self.job(handle);
        if !job.has_begun() {
            return Err(forgotten(handle, &self.folder.display().to_string()));
        }
        job.state().await
    }

    async fn cancel(&self, handle: &str) -> Result<(), Fault> {
        let job = self.job(handle);
        if job.has_begun() { job.cancel().await } else { Ok(()) }
    }
}

/// Ends what somebody else runs.
struct CancelOthers {
    folder: PathBuf,
    ours: Vec<String>,
}

#[async_trait]
impl Act for CancelOthers {
    fn found_by(&self) -> FoundBy {
        FoundBy::Look
    }

    async fn find(&self) -> Result<Found, Fault> {
        Ok(Found::Nothing)
    }

    async fn start(&self) -> Result<String, Fault> {
        for job in others(&self.folder, &self.ours).await? {
            job.cancel().await?;
        }
        Ok("at-once".to_owned())
    }

    async fn poll(&self, _: &str) -> Result<ActState, Fault> {
        Ok(ActState::Done(Map::new(), Vec::new()))
    }

    async fn cancel(&self, _: &str) -> Result<(), Fault> {
        Ok(())
    }
}
