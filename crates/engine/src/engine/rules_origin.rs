//! The commit that rules are of, where they are from a repository.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ids::CommitId;

/// A commit of the repository of the rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RulesOrigin {
    /// The repository's URL, without credentials.
    pub repository: String,
    /// The branch.
    pub branch: String,
    /// The commit.
    pub commit: CommitId,
    /// Who wrote it, by the name in the commit.
    pub author: String,
    /// The first line of its message.
    pub subject: String,
}
