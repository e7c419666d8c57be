//! A call to a remote that goes on, what waits for one, or what is read there and doubted.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Something that goes on at the remote of a repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RemoteCall {
    /// The repository.
    pub repository: String,
    /// What is done, as in `cloning dev`.
    pub doing: String,
    /// How far it is, as in `37 %, 120.00 MiB`.
    pub progress: Option<String>,
    /// Since when: milliseconds since 1970, UTC.
    pub since_ms: i64,
    /// When it was last heard of: milliseconds since 1970, UTC.
    pub heard_ms: i64,
    /// Until when it goes on if nothing more is heard: milliseconds since 1970, UTC; absent where it waits for another call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until_ms: Option<i64>,
    /// What becomes of it then: `tried_again` or `believed`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub then: Option<String>,
}
