//! Deploys a service on this machine: one environment is one directory, one service runs in it, and a new release
//! takes over only when it is healthy.
//!
//! ```text
//! environment/
//!   current.json             the release that serves, its address, and the one before it
//!   releases/<deployment>/   record, template, unpacked image, log, process identity
//! ```
//!
//! Each process gets a free port as `PORT`, so that the old and the new one can run side by side; clients read the
//! address from `current.json`, which changes in one step. (A fixed port would be a stable address, at the price of
//! stopping the old service before the new one has shown that it works.) All state is in these files: whoever comes
//! after us goes on where we died, and finds every process that we started.

mod release;
mod stack;
mod template;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use stack::LocalStacks;
pub use template::{SERVICE_TYPE, Service, read_template};

use self::release::{Record, Release};
use crate::providers::act::forgotten;
use crate::providers::given::SecretPlace;
use crate::providers::http_check::{Check, check};
use crate::providers::image_builder::find_image;
use crate::providers::objects::Objects;
use crate::providers::sandbox::Sandbox;
use crate::providers::{Fault, files};

/// For one question after the service's health.
const HEALTH_DEADLINE: Duration = Duration::from_secs(2);
/// What another poll or start takes at most: unpacking an image, or the grace of a service that is stopped.
const LOCK_WAIT: Duration = Duration::from_secs(30);

/// One environment on this machine, of one system and stage.
#[derive(Debug, Clone)]
pub struct LocalService {
    /// The directory of the environment.
    pub environment: PathBuf,
    /// The store that the images are in.
    pub objects: Arc<dyn Objects>,
    /// The box that services run in.
    pub sandbox: Sandbox,
}

/// A template to deploy.
#[derive(Debug, Clone)]
pub struct Deployment {
    /// The identity of this deployment: the same key again is the same deployment.
    pub key: String,
    /// The template's text, with a resource of type [`SERVICE_TYPE`].
    pub template: String,
    /// Values for its parameters and pseudo parameters.
    pub parameters: BTreeMap<String, String>,
    /// The secrets that the service is given as long as it runs.
    pub secrets: Vec<SecretPlace>,
    /// How long the service may take from its start until it is healthy.
    pub deadline: Duration,
}

/// A deployment that was started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DeployHandle(pub String);

/// How a deployment is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeployStatus {
    /// The new service is not healthy yet; the old one serves.
    InProgress {
        /// What its health address says.
        waiting_for: String,
    },
    /// The new service serves, and nothing else runs in this environment.
    Done(Current),
    /// The new service is stopped. The old one serves, unless the failure came after the switch.
    Failed {
        /// What failed.
        reason: String,
        /// The end of the service's log.
        log: String,
    },
}

/// The release that serves in an environment (`current.json`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Current {
    /// Its handle.
    pub deployment: DeployHandle,
    /// Its key.
    pub key: String,
    /// Where it answers, like `http://127.0.0.1:40123`.
    pub address: String,
    /// The process id of the service.
    pub pid: i32,
    /// When that process started, in clock ticks since boot: with `pid`, an identity that no later process has.
    pub process_start_time: u64,
    /// SHA-256 of the template's text, in hex.
    pub template_digest: String,
    /// The AMI id of its image.
    pub image: String,
    /// The digest of its image.
    pub image_digest: String,
    /// Resources of the template that are not made on this machine.
    pub not_made: Vec<String>,
    /// The release that served before, which [`LocalService::restore`] takes.
    pub previous: Option<DeployHandle>,
}

/// What is found in an environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvironmentStatus {
    /// The release that serves.
    pub current: Current,
    /// Whether its process lives.
    pub is_running: bool,
}

impl LocalService {
    /// Starts the new service beside the one that serves. When it runs already, nothing is done; when it ran and
    /// died, or failed, it is started again. A template that cannot be deployed here, and a key that was used for
    /// another template or image, fail.
    pub async fn start(&self, deployment: &Deployment) -> Result<DeployHandle, Fault> {
        self.start_over(deployment, None).await
    }

    /// The same, where still what was seen to serve is what serves: else nothing is done, for another hand was there.
    pub(super) async fn start_over(&self, deployment: &Deployment, seen: Option<&str>) -> Result<DeployHandle, Fault> {
        let service = read_template(&deployment.template, &deployment.parameters)?;
        let image = find_image(&*self.objects, &service.image).await?;
        let handle = DeployHandle(files::directory_name(&deployment.key));
        let release = self.release(&handle)?;
        files::create_directory(&release.directory)?;
        let _lock = self.lock().await?;
        let record = Record {
            key: deployment.key.clone(),
            template_digest: files::sha256_hex(deployment.template.as_bytes()),
            image_digest: image.digest,
            service,
            secrets: deployment.secrets.clone(),
            deadline_ms: u64::try_from(deployment.deadline.as_millis()).unwrap_or(u64::MAX),
            port: 0,
            started_at_ms: 0,
        };
        if release
            .record()?
            .is_some_and(|found| (&found.template_digest, &found.service) != (&record.template_digest, &record.service))
        {
            return Err(Fault::fail(
                format!("the key {} was used for another deployment", deployment.key),
                "one key is one template with its parameters; derive the key from both",
            ));
        }
        if release.process().await?.is_some() {
            return Ok(handle);
        }
        let serving = self.current()?.map(|current| current.deployment);
        let is_known = |serving: &DeployHandle| seen.is_none_or(|seen| seen == serving.0) || *serving == handle;
        if let Some(other) = serving.as_ref().filter(|serving| !is_known(serving)) {
            return Err(Fault::fail(
                format!("{} serves there, which was not there when it was looked at", other.0),
                "find out who deployed it; `tidegate retry` looks again and plans anew",
            ));
        }
        self.end_all_but(&[Some(&handle), serving.as_ref()]).await?;
        let packed = (&*self.objects, image.object.as_str());
        release.prepare(packed, &record.image_digest, &deployment.template).await?;
        release.start(record, &self.sandbox).await?;
        Ok(handle)
    }

    /// Looks at a deployment once, and moves it on: switches to the new service when it is healthy, and then stops
    /// the old one (which takes up to its grace of 5 s); gives it up when it ended or its deadline has passed.
    pub async fn poll(&self, handle: &DeployHandle) -> Result<DeployStatus, Fault> {
        let _lock = self.lock().await?;
        let release = self.release(handle)?;
        let Some(record) = release.record()? else {
            return Err(forgotten(&handle.0, &self.environment.display().to_string()));
        };
        if let Some(reason) = release.failure()? {
            return Ok(DeployStatus::Failed { reason, log: release.log() });
        }
        let current = self.current()?;
        let Some(process) = release.process().await? else {
            return give_up(&release, "the service ended by itself").await;
        };
        let serves = |it: &Current| {
            it.deployment == *handle && (it.pid, it.process_start_time) == (process.pid, process.start_time)
        };
        if let Some(current) = current.clone().filter(serves) {
            return self.finish(current).await;
        }
        let health = Check {
            url: record.health_url(),
            status: None,
            contains: None,
            follow_redirects: false,
            deadline: HEALTH_DEADLINE,
        };
        match check(&health).await {
            // It must live still: what answered might be another that took its port.
            Ok(_) if release.process().await? == Some(process) => {}
            Ok(_) => return give_up(&release, "the service ended by itself").await,
            Err(fault) if record.is_overdue() => {
                let reason = format!("the service was not healthy within {} ms: {fault}", record.deadline_ms);
                return give_up(&release, &reason).await;
            }
            Err(fault) => return Ok(DeployStatus::InProgress { waiting_for: fault.to_string() }),
        }
        let previous = match current {
            Some(current) if current.deployment == *handle => current.previous,
            other => other.map(|current| current.deployment),
        };
        let current = Current {
            deployment: handle.clone(),
            address: record.address(),
            key: record.key,
            pid: process.pid,
            process_start_time: process.start_time,
            template_digest: record.template_digest,
            image: record.service.image,
            image_digest: record.image_digest,
            not_made: record.service.not_made,
            previous,
        };
        files::write_json(&self.current_path(), &current)?;
        self.finish(current).await
    }

    /// Starts an earlier release again; [`LocalService::poll`] switches to it. Only the one that served before the
    /// current one is kept.
    pub async fn restore(&self, handle: &DeployHandle) -> Result<(), Fault> {
        let _lock = self.lock().await?;
        let release = self.release(handle)?;
        let Some(record) = release.record()? else {
            return Err(Fault::fail(
                format!("there is no release {} in {}", handle.0, self.environment.display()),
                "only the release before the current one is kept; deploy an older one anew",
            ));
        };
        if release.process().await?.is_some() {
            return Ok(());
        }
        release.start(record, &self.sandbox).await
    }

    /// Gives a deployment up that has not taken over. The service that serves is not touched.
    pub async fn cancel(&self, handle: &DeployHandle) -> Result<(), Fault> {
        let _lock = self.lock().await?;
        let release = self.release(handle)?;
        let serves = self.current()?.is_some_and(|current| current.deployment == *handle);
        if serves || release.record()?.is_none() || release.failure()?.is_some() {
            return Ok(());
        }
        release.fail("the deployment was cancelled").await
    }

    /// What serves in this environment; `None` when nothing was deployed, or it was stopped.
    pub async fn status(&self) -> Result<Option<EnvironmentStatus>, Fault> {
        let Some(current) = self.current()? else { return Ok(None) };
        let _lock = self.lock().await?;
        let process = self.release(&current.deployment)?.process().await?;
        let is_running = process.is_some_and(|it| (it.pid, it.start_time) == (current.pid, current.process_start_time));
        Ok(Some(EnvironmentStatus { current, is_running }))
    }

    /// Stops everything that runs in this environment.
    pub async fn stop(&self) -> Result<(), Fault> {
        if !self.releases_path().is_dir() {
            return Ok(());
        }
        let _lock = self.lock().await?;
        self.end_all_but(&[]).await?;
        match fs::remove_file(self.current_path()) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(files::fault("remove current.json", &error))
            }
            _ => Ok(()),
        }
    }

    /// Stops everything that runs in this environment, and removes it.
    pub(super) async fn remove(&self) -> Result<(), Fault> {
        self.stop().await?;
        files::remove_directory(&self.environment)
    }

    /// The deployments that have begun and not ended, but for those of these keys.
    pub(super) async fn others_begin(&self, ours: &[String]) -> Result<Vec<DeployHandle>, Fault> {
        let ours: Vec<String> = ours.iter().map(|key| files::directory_name(key)).collect();
        let serves = self.current()?.map(|current| current.deployment.0);
        let mut others = Vec::new();
        for release in release::releases(&self.releases_path())? {
            let Some(name) = release.directory.file_name().and_then(|name| name.to_str()) else { continue };
            let is_known = ours.iter().any(|own| own == name) || serves.as_deref() == Some(name);
            if !is_known && release.failure()?.is_none() && release.process().await?.is_some() {
                others.push(DeployHandle(name.to_owned()));
            }
        }
        Ok(others)
    }

    /// After the switch: ends all but the current release, and removes all but it and the one before it.
    async fn finish(&self, current: Current) -> Result<DeployStatus, Fault> {
        self.end_all_but(&[Some(&current.deployment)]).await?;
        let kept = [Some(&current.deployment), current.previous.as_ref()];
        for release in release::releases(&self.releases_path())? {
            if !is_one_of(&release, &kept) {
                files::remove_directory(&release.directory)?;
            }
        }
        Ok(DeployStatus::Done(current))
    }

    async fn end_all_but(&self, kept: &[Option<&DeployHandle>]) -> Result<(), Fault> {
        for release in release::releases(&self.releases_path())? {
            if !is_one_of(&release, kept) {
                release.end().await?;
            }
        }
        Ok(())
    }

    async fn lock(&self) -> Result<File, Fault> {
        files::create_directory(&self.releases_path())?;
        files::lock(&self.environment.join("environment.lock"), LOCK_WAIT).await
    }

    fn current(&self) -> Result<Option<Current>, Fault> {
        files::read_json(&self.current_path())
    }

    fn current_path(&self) -> PathBuf {
        self.environment.join("current.json")
    }

    fn releases_path(&self) -> PathBuf {
        self.environment.join("releases")
    }

    fn release(&self, handle: &DeployHandle) -> Result<Release, Fault> {
        let directory = std::path::absolute(self.releases_path().join(files::directory_name(&handle.0)))
            .map_err(|error| files::fault(&self.environment.display().to_string(), &error))?;
        Ok(Release { directory })
    }
}

async fn give_up(release: &Release, reason: &str) -> Result<DeployStatus, Fault> {
    release.fail(reason).await?;
    Ok(DeployStatus::Failed { reason: reason.to_owned(), log: release.log() })
}

fn is_one_of(release: &Release, handles: &[Option<&DeployHandle>]) -> bool {
    let name = release.directory.file_name().and_then(|name| name.to_str());
    handles.iter().flatten().any(|handle| Some(handle.0.as_str()) == name)
}
