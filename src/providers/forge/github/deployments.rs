//! Deployments: what an environment shows of a run. Documented at <https://docs.github.com/en/rest/deployments>.

use hyper::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    call::Ask,
    checks::doubtful,
    client::{GitHub, part, path},
    verdict::Refused,
};
use crate::providers::{
    Fault,
    forge::values::{Deployment, DeploymentState, RepositoryAt},
};

/// What tells our deployments from those of others.
const TASK: &str = "tidegate";
/// The member of the payload that has the key.
const KEY: &str = "tidegate";
/// How many pages of the deployments of a commit to an environment are looked through, and of the statuses of one.
const MOST_PAGES: usize = 5;
/// How long a description may be, in characters.
const LONGEST: usize = 140;

#[derive(Deserialize)]
struct Made {
    id: u64,
    #[serde(default)]
    payload: Value,
}

#[derive(Deserialize)]
struct Status {
    state: String,
    #[serde(default)]
    environment_url: Option<String>,
    #[serde(default)]
    log_url: Option<String>,
}

impl GitHub {
    pub(super) async fn show_deployment(
        &self,
        at: &RepositoryAt,
        deployment: &Deployment,
        known: Option<u64>,
    ) -> Result<u64, Fault> {
        let known = match known {
            Some(id) => self.statuses_if_there(at, id).await?.map(|said| (id, said)),
            None => None,
        };
        let (id, said) = match known {
            Some(known) => known,
            None => match self.with_key(at, deployment).await? {
                Some(id) => (id, self.statuses(at, id).await?),
                None => (self.deploy(at, deployment).await.map_err(doubtful)?, Vec::new()),
            },
        };
        self.say(at, id, deployment, &said).await.map_err(doubtful)?;
        Ok(id)
    }

    async fn statuses_if_there(&self, at: &RepositoryAt, id: u64) -> Result<Option<Vec<Status>>, Refused> {
        match self.statuses(at, id).await {
            Ok(said) => Ok(Some(said)),
            Err(refused) if refused.is(StatusCode::NOT_FOUND) => Ok(None),
            Err(refused) => Err(refused),
        }
    }

    async fn with_key(&self, at: &RepositoryAt, deployment: &Deployment) -> Result<Option<u64>, Refused> {
        let Deployment { commit, environment, key, .. } = deployment;
        let query = format!("sha={}&environment={}&task={TASK}&per_page=100", part(commit), part(environment));
        let made = self.deployments(at, &query, MOST_PAGES).await?;
        // The first that was made, should there be two.
        Ok(made.iter().filter(|made| made.key().as_ref() == Some(key)).map(|made| made.id).min())
    }

    async fn deployments(&self, at: &RepositoryAt, query: &str, pages: usize) -> Result<Vec<Made>, Refused> {
        let items = self.pages_of(at, &format!("/deployments?{query}"), None, pages).await?;
        let read = items.iter().map(Made::deserialize).collect::<Result<Vec<_>, _>>();
        read.map_err(|error| Refused::unheard(&format!("GitHub, deployments of {at}"), &error.to_string()))
    }

    async fn deploy(&self, at: &RepositoryAt, deployment: &Deployment) -> Result<u64, Refused> {
        let Deployment { key, commit, environment, production, description, .. } = deployment;
        // Both defaults surprise: the first merges, the second refuses where a check is missing.
        let body = json!({
            "ref": commit, "task": TASK, "auto_merge": false, "required_contexts": [], "payload": { KEY: key },
            "environment": environment, "description": short(description), "transient_environment": false,
            "production_environment": production,
        });
        let made = self.of(at, Ask::post(path(at, "/deployments"), body)).await?;
        Ok(made.read::<Made>()?.id)
    }

    /// Says how a deployment stands, unless that was the last that was said of it.
    async fn say(&self, at: &RepositoryAt, id: u64, deployment: &Deployment, said: &[Status]) -> Result<(), Refused> {
        let Deployment { state, description, address, link, .. } = deployment;
        let same = |said: &Option<String>, wanted: &Option<String>| {
            said.as_deref().unwrap_or("") == wanted.as_deref().unwrap_or("")
        };
        let is_said = said.first().is_some_and(|last| {
            last.state == word(*state) && same(&last.environment_url, address) && same(&last.log_url, link)
        });
        if is_said {
            return Ok(());
        }
        // Which others gave way we know; GitHub would take all of an environment for that.
        let mut body = json!({ "state": word(*state), "description": short(description), "auto_inactive": false });
        for (member, url) in [("environment_url", address), ("log_url", link)] {
            if let Some(url) = url {
                body[member] = url.clone().into();
            }
        }
        self.of(at, Ask::post(path(at, &format!("/deployments/{id}/statuses")), body)).await?;
        Ok(())
    }

    /// What was said of a deployment, newest first.
    async fn statuses(&self, at: &RepositoryAt, id: u64) -> Result<Vec<Status>, Refused> {
        let items = self.pages_of(at, &format!("/deployments/{id}/statuses?per_page=100"), None, MOST_PAGES).await?;
        let read = items.iter().map(Status::deserialize).collect::<Result<Vec<_>, _>>();
        read.map_err(|error| Refused::unheard(&format!("GitHub, deployment {id} of {at}"), &error.to_string()))
    }
}

impl Made {
    /// The key, where the payload is of ours. Enterprise gives it back as a text.
    fn key(&self) -> Option<String> {
        let text = self.payload.as_str().and_then(|text| serde_json::from_str::<Value>(text).ok());
        let payload = text.as_ref().unwrap_or(&self.payload);
        payload[KEY].as_str().map(str::to_owned)
    }
}

const fn word(state: DeploymentState) -> &'static str {
    match state {
        DeploymentState::Queued => "queued",
        DeploymentState::InProgress => "in_progress",
        DeploymentState::Success => "success",
        DeploymentState::Failure => "failure",
        DeploymentState::Inactive => "inactive",
    }
}

fn short(text: &str) -> String {
    text.chars().take(LONGEST).collect()
}
