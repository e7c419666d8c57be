//! A forge: where repositories live, where people see what becomes of a commit, and who they are there. One trait in plain
//! values; each forge is a folder. What one cannot do is asked for with [`Forge::can`], and never assumed.

pub mod github;
pub mod statuses;
mod values;

use std::time::Duration;

use async_trait::async_trait;

pub use values::{
    Abilities, Account, BranchRules, Check, CheckButton, CheckState, Delivered, Deployment, DeploymentState, Finding,
    Pushed, RepositoryAt, RepositoryRole, Team,
};

use super::{Fault, commit_status::CommitStatus};

/// A forge. Every call has a deadline of its own, and says of every failure whether to try again and when.
#[async_trait]
pub trait Forge: Send + Sync {
    /// What it can do as it is set up.
    fn can(&self) -> Abilities;

    /// The domain below which it hides the addresses of people: `github.com`, of `12345+ada@users.noreply.github.com`.
    fn domain(&self) -> &str;

    /// The repository that a git URL names; none where that is not at this forge.
    fn repository(&self, url: &str) -> Option<RepositoryAt>;

    /// The account of this login, under the name that it has now; none where there is none.
    async fn account(&self, login: &str) -> Result<Option<Account>, Fault>;

    /// What an account may do with a repository.
    async fn role(&self, at: &RepositoryAt, login: &str) -> Result<RepositoryRole, Fault>;

    /// Who is in a team.
    async fn members(&self, team: &Team) -> Result<Vec<Account>, Fault>;

    /// The newest status or check of this name of a commit.
    async fn status(&self, at: &RepositoryAt, commit: &str, name: &str) -> Result<CommitStatus, Fault>;

    /// What a branch demands of those who push to it, as far as it concerns us.
    async fn branch_rules(&self, at: &RepositoryAt, branch: &str) -> Result<BranchRules, Fault>;

    /// Who pushed a branch to a commit, newest first, as far back as the forge tells.
    async fn pushes(&self, at: &RepositoryAt, branch: &str) -> Result<Vec<Pushed>, Fault>;

    /// Shows a check: makes it, or brings it up to date. `known` is what it was called when it was made. Whoever does not know
    /// looks for its key first, so that there is one. Returns what the forge calls it.
    async fn publish_check(&self, at: &RepositoryAt, check: &Check, known: Option<u64>) -> Result<u64, Fault>;

    /// Shows a deployment, in the same way.
    async fn publish_deployment(
        &self,
        at: &RepositoryAt,
        deployment: &Deployment,
        known: Option<u64>,
    ) -> Result<u64, Fault>;

    /// For how long it tells of what it delivered; none where it does not deliver again.
    fn deliveries_kept(&self) -> Option<Duration>;

    /// All its attempts to deliver something since then (milliseconds since 1970, UTC), the newest first.
    async fn deliveries(&self, since_ms: i64) -> Result<Vec<Delivered>, Fault>;

    /// Has what an attempt was of delivered again.
    async fn redeliver(&self, attempt: u64) -> Result<(), Fault>;

    /// Compares what is set up here with what the forge says of it.
    async fn examine(&self) -> Result<Vec<Finding>, Fault>;

    /// With what git signs in at a remote of this forge, which is http or https: a name and a password for now. None where it is
    /// at another forge.
    async fn git_credentials(&self, url: &str) -> Result<Option<(String, super::Secret)>, Fault>;
}
