//! Starts, watches and cancels builds. Each has a job directory named by its token, and a process of its own, which
//! lives on when we die; whoever comes after us finds it by the directory.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::component::Component;
use super::{BuildHandle, BuildRequest, BuildState, BuildStatus, ImageBuilder};
use crate::providers::detached::{self, Detached};
use crate::providers::objects::Address;
use crate::providers::sandbox::Sandbox;
use crate::providers::{Fault, files};

pub(super) const STATUS: &str = "status.json";
pub(super) const LOG: &str = "log.txt";
const JOB: &str = "job.json";
const STARTS: &str = "starts.json";

/// How often the worker of one job is started before its deaths count as a failure of the build.
const MAX_STARTS: u32 = 3;
/// Looking at a job and starting its process takes milliseconds; ending one its grace.
const LOCK_WAIT: Duration = Duration::from_secs(20);
/// Between SIGTERM and SIGKILL for a build that is cancelled. It has nothing to save.
const CANCEL_GRACE: Duration = Duration::from_secs(2);
const LOG_EXCERPT_BYTES: u64 = 4 * 1024;

/// An image builder on this machine.
#[derive(Debug, Clone)]
pub struct LocalImageBuilder {
    /// Where job directories are made.
    pub jobs: PathBuf,
    /// The store that holds the software and gets the images. Each worker opens it for itself.
    pub objects: Address,
    /// The program, with arguments, that calls [`run_worker`](super::run_worker) with the job directory, which is
    /// put after them.
    pub worker: Vec<String>,
    /// The box that the commands of components run in.
    pub sandbox: Sandbox,
}

#[async_trait]
impl ImageBuilder for LocalImageBuilder {
    /// Documents that cannot run here fail at once.
    async fn start(&self, request: &BuildRequest) -> Result<BuildHandle, Fault> {
        check(request)?;
        let objects = self.objects.from_folder(&absolute(Path::new("."))?);
        let job = Job { request: request.clone(), objects, sandbox: self.sandbox.clone() };
        let handle = BuildHandle(files::directory_name(&request.token));
        let directory = self.directory(&handle)?;
        files::create_directory(&directory)?;
        let _lock = files::lock(&directory.join("start.lock"), LOCK_WAIT).await?;
        match Job::read(&directory)? {
            None => files::write_json(&directory.join(JOB), &job)?,
            Some(found) if found.is_same_as(&job) => {}
            Some(_) => {
                return Err(Fault::fail(
                    format!("the token {} was used for another build", request.token),
                    "one token is one build; derive the token from all that goes into the image",
                ));
            }
        }
        self.ensure_worker(&directory).await?;
        Ok(handle)
    }

    async fn ended(&self, token: &str) -> Result<Option<BuildState>, Fault> {
        let directory = self.directory(&BuildHandle(files::directory_name(token)))?;
        Ok(Some(state_in(&directory)?).filter(BuildState::is_final))
    }

    /// A worker that died without a result (killed, or with the machine) is started again,
    /// for its work can be repeated; when it has died too often, the build has failed.
    async fn poll(&self, handle: &BuildHandle) -> Result<BuildStatus, Fault> {
        let directory = self.existing(handle)?;
        let _lock = files::lock(&directory.join("start.lock"), LOCK_WAIT).await?;
        let state = self.ensure_worker(&directory).await?;
        Ok(BuildStatus { state, log: files::tail(&directory.join(LOG), LOG_EXCERPT_BYTES) })
    }

    async fn cancel(&self, handle: &BuildHandle) -> Result<(), Fault> {
        let directory = self.existing(handle)?;
        let _lock = files::lock(&directory.join("start.lock"), LOCK_WAIT).await?;
        if state_in(&directory)?.is_final() {
            return Ok(());
        }
        detached::end(&directory, CANCEL_GRACE).await?;
        if !state_in(&directory)?.is_final() {
            files::write_json(&directory.join(STATUS), &BuildState::Cancelled)?;
        }
        files::remove_directory(&directory.join("work"))
    }
}

impl LocalImageBuilder {
    /// Whether a request is one that can be worked on; nothing is started. What its commands do shows only when they run.
    pub fn check(request: &BuildRequest) -> Result<(), Fault> {
        check(request)
    }

    /// The state of a job, with a worker at work on it unless it has ended. The caller holds the start lock.
    async fn ensure_worker(&self, directory: &Path) -> Result<BuildState, Fault> {
        // Looked at in this order: a worker writes its result before it ends.
        let is_running = detached::find(directory).await?.is_some();
        let state = state_in(directory)?;
        if is_running || state.is_final() {
            return Ok(state);
        }
        // What a dead worker left running would write into the root of the next.
        detached::end(directory, CANCEL_GRACE).await?;
        let starts: u32 = files::read_json(&directory.join(STARTS))?.unwrap_or(0);
        if starts >= MAX_STARTS {
            let log = files::tail(&directory.join(LOG), LOG_EXCERPT_BYTES);
            let reason = format!("the worker died {starts} times without a result; the log ends with: {log}");
            let state = BuildState::Failed { reason };
            files::write_json(&directory.join(STATUS), &state)?;
            return Ok(state);
        }
        files::write_json(&directory.join(STARTS), &(starts + 1))?;
        files::write_json(&directory.join(STATUS), &BuildState::Pending)?;
        let mut arguments: Vec<OsString> = self.worker.iter().map(OsString::from).collect();
        arguments.push(directory.into());
        let program =
            Detached { arguments: &arguments, directory, environment: &BTreeMap::new(), log: &directory.join(LOG) };
        detached::start(directory, &program).await?;
        state_in(directory)
    }

    fn directory(&self, handle: &BuildHandle) -> Result<PathBuf, Fault> {
        Ok(absolute(&self.jobs)?.join(files::directory_name(&handle.0)))
    }

    fn existing(&self, handle: &BuildHandle) -> Result<PathBuf, Fault> {
        let directory = self.directory(handle)?;
        if directory.join(JOB).is_file() {
            return Ok(directory);
        }
        Err(Fault::fail(
            format!("there is no build {} in {}", handle.0, self.jobs.display()),
            "its job directory was removed; start the build again",
        ))
    }
}

/// What a worker finds in its job directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Job {
    pub(super) request: BuildRequest,
    pub(super) objects: Address,
    #[serde(default)]
    pub(super) sandbox: Sandbox,
}

impl Job {
    pub(super) fn read(directory: &Path) -> Result<Option<Self>, Fault> {
        files::read_json(&directory.join(JOB))
    }

    pub(super) fn components(&self) -> Result<Vec<Component>, Fault> {
        components(&self.request)
    }

    /// Whether it is the same build: all but the time at which it was asked for, where secrets are, and the box that it runs in.
    fn is_same_as(&self, other: &Self) -> bool {
        let requested_at = self.request.requested_at.clone();
        let secrets = self.request.secrets.clone();
        let request = BuildRequest { requested_at, secrets, ..other.request.clone() };
        *self == Self { request, sandbox: self.sandbox.clone(), ..other.clone() }
    }
}

fn components(request: &BuildRequest) -> Result<Vec<Component>, Fault> {
    let BuildRequest { components, parameters, .. } = request;
    components.iter().map(|(name, text)| Component::parse(name, text, parameters)).collect()
}

fn check(request: &BuildRequest) -> Result<(), Fault> {
    let components = components(request)?;
    for name in request.parameters.keys() {
        if !components.iter().any(|component| component.values.contains_key(name)) {
            return Err(Fault::fail(
                format!("no component of image {} declares the parameter {name}", request.name),
                "declare it in a component, or do not give it",
            ));
        }
    }
    Ok(())
}

fn state_in(directory: &Path) -> Result<BuildState, Fault> {
    Ok(files::read_json(&directory.join(STATUS))?.unwrap_or(BuildState::Pending))
}

fn absolute(path: &Path) -> Result<PathBuf, Fault> {
    std::path::absolute(path).map_err(|error| files::fault(&path.display().to_string(), &error))
}
