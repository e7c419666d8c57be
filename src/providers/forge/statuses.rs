//! Statuses of commits from the forge that a repository is at.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use tokio::time::timeout;

use super::Forge;
use crate::providers::{
    Fault,
    commit_status::{CommitStatus, CommitStatuses},
};

/// The forge that a repository is at.
pub struct ForgeStatuses(pub Arc<dyn Forge>);

#[async_trait]
impl CommitStatuses for ForgeStatuses {
    async fn status(&self, url: &str, commit: &str, name: &str, deadline: Duration) -> Result<CommitStatus, Fault> {
        let Some(at) = self.0.repository(url) else {
            return Err(Fault::fail(
                format!("nobody can be asked for the commit status `{name}` of {url}"),
                "it is not at the forge of the settings; use an `http` or `command` check instead",
            ));
        };
        let asked = timeout(deadline, self.0.status(&at, commit, name)).await;
        asked.unwrap_or_else(|_| Err(Fault::retry(format!("the forge has not answered within {deadline:?}"))))
    }
}
