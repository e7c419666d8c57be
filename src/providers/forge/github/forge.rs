//! GitHub as a forge.

use std::time::Duration;

use async_trait::async_trait;

use super::client::GitHub;
use crate::providers::{
    Fault, Secret,
    commit_status::CommitStatus,
    forge::{
        Abilities, Account, BranchRules, Check, Delivered, Deployment, Finding, Forge, Pushed, RepositoryAt,
        RepositoryRole, Team,
    },
};

#[async_trait]
impl Forge for GitHub {
    fn can(&self) -> Abilities {
        let is_app = self.installations.is_some();
        Abilities { checks: is_app, deployments: true, redelivers: is_app, pushes: true }
    }

    fn domain(&self) -> &str {
        self.addresses.host.split(':').next().unwrap_or_default()
    }

    fn repository(&self, url: &str) -> Option<RepositoryAt> {
        self.addresses.repository(url)
    }

    async fn account(&self, login: &str) -> Result<Option<Account>, Fault> {
        Ok(self.find_account(login).await?)
    }

    async fn role(&self, at: &RepositoryAt, login: &str) -> Result<RepositoryRole, Fault> {
        Ok(self.role_at(at, login).await?)
    }

    async fn members(&self, team: &Team) -> Result<Vec<Account>, Fault> {
        Ok(self.members_of(team).await?)
    }

    async fn status(&self, at: &RepositoryAt, commit: &str, name: &str) -> Result<CommitStatus, Fault> {
        Ok(self.newest_status(at, commit, name).await?)
    }

    async fn branch_rules(&self, at: &RepositoryAt, branch: &str) -> Result<BranchRules, Fault> {
        Ok(self.rules_of(at, branch).await?)
    }

    async fn pushes(&self, at: &RepositoryAt, branch: &str) -> Result<Vec<Pushed>, Fault> {
        Ok(self.pushed_to(at, branch).await?)
    }

    async fn publish_check(&self, at: &RepositoryAt, check: &Check, known: Option<u64>) -> Result<u64, Fault> {
        match self.installations {
            Some(_) => self.show_check(at, check, known).await,
            None => self.show_status(at, check).await,
        }
    }

    async fn publish_deployment(
        &self,
        at: &RepositoryAt,
        deployment: &Deployment,
        known: Option<u64>,
    ) -> Result<u64, Fault> {
        self.show_deployment(at, deployment, known).await
    }

    fn deliveries_kept(&self) -> Option<Duration> {
        self.installations.is_some().then(|| GitHub::deliveries_kept(self))
    }

    async fn deliveries(&self, since_ms: i64) -> Result<Vec<Delivered>, Fault> {
        GitHub::deliveries(self, since_ms).await
    }

    async fn redeliver(&self, attempt: u64) -> Result<(), Fault> {
        GitHub::redeliver(self, attempt).await
    }

    async fn examine(&self) -> Result<Vec<Finding>, Fault> {
        Ok(self.look_at_itself().await?)
    }

    async fn git_credentials(&self, url: &str) -> Result<Option<(String, Secret)>, Fault> {
        Ok(self.credentials(url).await?)
    }
}
