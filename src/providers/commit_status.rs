//! What others say of a commit: a status by its name, as forges keep them (`ci/build` is a success). The interface; each
//! forge has its own provider.

use std::time::Duration;

use async_trait::async_trait;

use super::Fault;

/// A status of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommitStatus {
    /// Nobody has said anything of it yet.
    Missing,
    /// It goes on.
    Pending(String),
    /// It is a success.
    Success(String),
    /// It is a failure, or an error; it may be tried again over there.
    Failure(String),
}

/// Whom to ask for the statuses of commits.
#[async_trait]
pub trait CommitStatuses: Send + Sync {
    /// The newest status of this name (`context`, in a forge's words) of a commit of the repository at `url`.
    async fn status(&self, url: &str, commit: &str, name: &str, deadline: Duration) -> Result<CommitStatus, Fault>;
}

/// Nobody: no forge is set up.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoCommitStatuses;

#[async_trait]
impl CommitStatuses for NoCommitStatuses {
    async fn status(&self, url: &str, _: &str, name: &str, _: Duration) -> Result<CommitStatus, Fault> {
        Err(Fault::fail(
            format!("nobody can be asked for the commit status `{name}` of {url}"),
            "no provider of commit statuses is set up; use an `http` or `command` check instead",
        ))
    }
}
