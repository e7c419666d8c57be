//! That something outside may be news: a push, the end of a build, a message from a queue.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use crate::engine::ids::{CommitId, RunId};
use crate::rules::{RepositoryName, StageName, StepId, TargetName};

/// What there may be news of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Nudge {
    /// The branches of a repository.
    Repository {
        /// The repository.
        repository: RepositoryName,
    },
    /// What a run waits for outside.
    Run {
        /// The run.
        run: RunId,
        /// Only what this step of it waits for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        step: Option<StepId>,
    },
    /// What proceeds outside under a handle, whosever it is.
    Handle {
        /// The handle, as the outside gave it.
        handle: String,
    },
    /// Something outside ended that works on a commit of a repository.
    Workflow {
        /// What its source calls it.
        workflow: String,
        /// The repository.
        repository: RepositoryName,
        /// The stage whose branch it worked on.
        stage: StageName,
        /// The commit that it worked on; the head that is known where its source does not say.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        commit: Option<CommitId>,
        /// Whether it succeeded: only then are rules started.
        succeeded: bool,
    },
    /// What the run that holds a target waits for.
    Target {
        /// The target.
        target: TargetName,
        /// Its stage.
        stage: StageName,
    },
}

impl Nudge {
    /// What is asked for, as in "Ada may not *look at webshop in qa*".
    #[must_use]
    pub fn clause(&self) -> String {
        match self {
            Self::Repository { repository } => format!("look at {repository}"),
            Self::Run { run, step: None } => format!("look at {run}"),
            Self::Run { run, step: Some(step) } => format!("look at {run}/{step}"),
            Self::Handle { handle } => format!("look at {handle}"),
            Self::Workflow { workflow, repository, stage, succeeded, .. } => {
                let ended = if *succeeded { "succeeded" } else { "failed" };
                format!("say that {workflow} of {repository} {ended} in {stage}")
            }
            Self::Target { target, stage } => format!("look at {target} in {stage}"),
        }
    }
}

/// What names one delivery of a nudge: the same again, from whoever, is the same nudge.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct DeliveryId(SmolStr);

/// The longest name of a delivery.
const LONGEST_DELIVERY: usize = 200;

impl DeliveryId {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for DeliveryId {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl std::str::FromStr for DeliveryId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.is_empty() || text.len() > LONGEST_DELIVERY || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(format!("the name of a delivery has 1 to {LONGEST_DELIVERY} visible ASCII characters"));
        }
        Ok(Self(text.into()))
    }
}

impl From<DeliveryId> for String {
    fn from(delivery: DeliveryId) -> Self {
        delivery.0.into()
    }
}

impl fmt::Display for DeliveryId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.0)
    }
}
