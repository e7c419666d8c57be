//! Stacks on this machine: a target's environment, how it stands, and the acts on it.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Map, Value};

use super::{Current, DeployHandle, DeployStatus, Deployment, LocalService};
use crate::providers::act::{Act, ActState, Found, FoundBy};
use crate::providers::objects::Objects;
use crate::providers::sandbox::Sandbox;
use crate::providers::targets::{Sight, Stands, TargetPlace, Targets};
use crate::providers::{Fault, files};

/// What ends what somebody else began.
const RECOVER: &str = "`tidegate target recover` ends what runs there and begins anew";
/// What acts that are done in one call have for a handle.
const AT_ONCE: &str = "at-once";

/// The stacks of this machine.
#[derive(Clone)]
pub struct LocalStacks {
    /// The folder of all environments: `system/target@stage` below it.
    pub environments: PathBuf,
    /// The store that the images are in.
    pub objects: Arc<dyn Objects>,
    /// The box that services run in.
    pub sandbox: Sandbox,
}

impl LocalStacks {
    /// The environment of a target.
    #[must_use]
    pub fn environment(&self, place: &TargetPlace) -> LocalService {
        LocalService {
            environment: place.folder(&self.environments),
            objects: Arc::clone(&self.objects),
            sandbox: self.sandbox.clone(),
        }
    }

    /// Deploys a template: into a new environment, or in the place of what was seen to serve; empty where nothing was.
    #[must_use]
    pub fn deploy(&self, place: &TargetPlace, deployment: Deployment, seen: &str) -> Box<dyn Act> {
        Box::new(Deploy { service: self.environment(place), deployment, seen: seen.to_owned() })
    }

    /// Makes an environment in which nothing runs.
    #[must_use]
    pub fn create_empty(&self, place: &TargetPlace) -> Box<dyn Act> {
        Box::new(AtOnce { service: self.environment(place), what: What::CreateEmpty })
    }

    /// Ends what runs, and removes the environment.
    #[must_use]
    pub fn delete(&self, place: &TargetPlace) -> Box<dyn Act> {
        Box::new(AtOnce { service: self.environment(place), what: What::Delete })
    }

    /// Ends what runs, and begins anew with an empty environment.
    #[must_use]
    pub fn recover(&self, place: &TargetPlace) -> Box<dyn Act> {
        Box::new(AtOnce { service: self.environment(place), what: What::Recover })
    }

    /// Gives up the deployments that are not ours.
    #[must_use]
    pub fn cancel_update(&self, place: &TargetPlace, ours: Vec<String>) -> Box<dyn Act> {
        Box::new(AtOnce { service: self.environment(place), what: What::CancelUpdate(ours) })
    }
}

#[async_trait]
impl Targets for LocalStacks {
    async fn look(&self, place: &TargetPlace, ours: &[String]) -> Result<Sight, Fault> {
        let service = self.environment(place);
        if !service.releases_path().is_dir() {
            return Ok(Sight::of(Stands::Absent));
        }
        let current = match service.current() {
            Ok(current) => current,
            Err(Fault::Fail { error, .. }) => return Ok(Sight::of(Stands::Stuck(error, RECOVER.to_owned()))),
            Err(fault) => return Err(fault),
        };
        if let Some(other) = service.others_begin(ours).await?.first() {
            let what = format!("the deployment {} begins", other.0);
            return Ok(Sight { stands: Stands::Moving(what, None), saw: saw(current.as_ref()) });
        }
        Ok(Sight { stands: Stands::Stable, saw: saw(current.as_ref()) })
    }
}

/// What serves: as deployments leave it, and no hand but theirs changes.
fn saw(current: Option<&Current>) -> Map<String, Value> {
    let Some(current) = current else { return Map::new() };
    let text = |name: &str, value: &str| (name.to_owned(), Value::from(value));
    Map::from_iter([
        text("deployment", &current.deployment.0),
        text("template", &format!("sha256:{}", current.template_digest)),
        text("image", &current.image),
    ])
}

/// A deployment, found by the release that is named by its key.
struct Deploy {
    service: LocalService,
    deployment: Deployment,
    seen: String,
}

#[async_trait]
impl Act for Deploy {
    fn found_by(&self) -> FoundBy {
        FoundBy::Name
    }

    async fn find(&self) -> Result<Found, Fault> {
        let handle = DeployHandle(files::directory_name(&self.deployment.key));
        let found = self.service.release(&handle)?.record()?;
        Ok(found.map_or(Found::Nothing, |_| Found::Here(handle.0)))
    }

    async fn start(&self) -> Result<String, Fault> {
        Ok(self.service.start_over(&self.deployment, Some(&self.seen)).await?.0)
    }

    async fn poll(&self, handle: &str) -> Result<ActState, Fault> {
        let state = match self.service.poll(&DeployHandle(handle.to_owned())).await? {
            DeployStatus::InProgress { waiting_for } => ActState::Running(waiting_for),
            DeployStatus::Failed { reason, log } => {
                let hint = "what ran before still runs; mend it and push, or `tidegate retry`".to_owned();
                ActState::Failed { reason, hint, log: log.into_bytes() }
            }
            DeployStatus::Done(current) => {
                let said = format!("it serves at {}", current.address);
                let text = |name: &str, value: String| (name.to_owned(), Value::from(value));
                let outputs = [
                    text("deployment", handle.to_owned()),
                    text("digest", format!("sha256:{}", current.template_digest)),
                    text("address", current.address),
                    text("image", current.image),
                ];
                ActState::Done(Map::from_iter(outputs), said.into_bytes())
            }
        };
        Ok(state)
    }

    async fn cancel(&self, handle: &str) -> Result<(), Fault> {
        self.service.cancel(&DeployHandle(handle.to_owned())).await
    }
}

/// What is done in one call, and can be done again at any time.
struct AtOnce {
    service: LocalService,
    what: What,
}

enum What {
    CreateEmpty,
    Delete,
    Recover,
    CancelUpdate(Vec<String>),
}

#[async_trait]
impl Act for AtOnce {
    fn found_by(&self) -> FoundBy {
        FoundBy::Look
    }

    async fn find(&self) -> Result<Found, Fault> {
        Ok(Found::Nothing)
    }

    async fn start(&self) -> Result<String, Fault> {
        match &self.what {
            What::CreateEmpty => files::create_directory(&self.service.releases_path())?,
            What::Delete => self.service.remove().await?,
            What::Recover => {
                self.service.remove().await?;
                files::create_directory(&self.service.releases_path())?;
            }
            What::CancelUpdate(ours) => {
                for other in self.service.others_begin(ours).await? {
                    self.service.cancel(&other).await?;
                }
            }
        }
        Ok(AT_ONCE.to_owned())
    }

    async fn poll(&self, _: &str) -> Result<ActState, Fault> {
        Ok(ActState::Done(Map::new(), Vec::new()))
    }

    async fn cancel(&self, _: &str) -> Result<(), Fault> {
        Ok(())
    }
}
