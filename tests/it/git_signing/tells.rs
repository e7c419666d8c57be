//! A forge that tells who pushed, and nothing else.

use std::time::Duration;

use async_trait::async_trait;
use tidegate::providers::{
    Fault, Secret,
    commit_status::CommitStatus,
    forge::{
        Abilities, Account, BranchRules, Check, Delivered, Deployment, Finding, Forge, Pushed, RepositoryAt,
        RepositoryRole, Team,
    },
};

/// It tells of these pushes, whatever it is asked about.
pub(super) struct Tells(pub(super) Vec<Pushed>);

fn not_told<T>() -> Result<T, Fault> {
    Err(Fault::fail("this forge tells who pushed, and nothing else", ""))
}

#[async_trait]
impl Forge for Tells {
    fn can(&self) -> Abilities {
        Abilities { pushes: true, ..Abilities::default() }
    }

    fn domain(&self) -> &str {
        "github.com"
    }

    fn repository(&self, _: &str) -> Option<RepositoryAt> {
        Some(RepositoryAt { owner: "acme".to_owned(), name: "shop".to_owned() })
    }

    async fn pushes(&self, _: &RepositoryAt, _: &str) -> Result<Vec<Pushed>, Fault> {
        Ok(self.0.clone())
    }

    async fn account(&self, _: &str) -> Result<Option<Account>, Fault> {
        not_told()
    }

    async fn role(&self, _: &RepositoryAt, _: &str) -> Result<RepositoryRole, Fault> {
        not_told()
    }

    async fn members(&self, _: &Team) -> Result<Vec<Account>, Fault> {
        not_told()
    }

    async fn status(&self, _: &RepositoryAt, _: &str, _: &str) -> Result<CommitStatus, Fault> {
        not_told()
    }

    async fn branch_rules(&self, _: &RepositoryAt, _: &str) -> Result<BranchRules, Fault> {
        not_told()
    }

    async fn publish_check(&self, _: &RepositoryAt, _: &Check, _: Option<u64>) -> Result<u64, Fault> {
        not_told()
    }

    async fn publish_deployment(&self, _: &RepositoryAt, _: &Deployment, _: Option<u64>) -> Result<u64, Fault> {
        not_told()
    }

    fn deliveries_kept(&self) -> Option<Duration> {
        None
    }

    async fn deliveries(&self, _: i64) -> Result<Vec<Delivered>, Fault> {
        not_told()
    }

    async fn redeliver(&self, _: u64) -> Result<(), Fault> {
        not_told()
    }

    async fn examine(&self) -> Result<Vec<Finding>, Fault> {
        not_told()
    }

    async fn git_credentials(&self, _: &str) -> Result<Option<(String, Secret)>, Fault> {
        not_told()
    }
}
