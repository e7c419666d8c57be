//! What a simulation is asked, and why it may not answer.

use super::scratch::Originals;
use crate::{
    engine::{Access, Command, Digest, Principal, Refused, System},
    providers::Fault,
    rules::{RepositoryName, Rules, StageName},
};

/// What is supposed.
#[derive(Debug, Clone, PartialEq)]
pub enum Supposed {
    /// A commit is pushed.
    Push {
        /// To this repository.
        repository: RepositoryName,
        /// To the branch of this stage.
        stage: StageName,
        /// The commit, or what names it; without one, the present head is carried forward again.
        commit: Option<String>,
        /// Whether it is a forced push, which the branch's head does not stand in the way of.
        force: bool,
    },
    /// Somebody asks for something: a promotion, a way back, a retry.
    Asked {
        /// For this.
        command: Command,
    },
    /// The clock goes on.
    Until {
        /// Until this moment: milliseconds since 1970, UTC.
        until_ms: i64,
    },
}

/// What is to be predicted, and from what.
pub struct Question {
    /// What is supposed.
    pub supposed: Supposed,
    /// The state as it is.
    pub system: System,
    /// Rules to go by in place of those in force: where they were read, their digest, and what they say.
    pub rules: Option<(String, Digest, Rules)>,
    /// The present: milliseconds since 1970, UTC.
    pub now_ms: i64,
    /// No further than this: milliseconds since 1970, UTC.
    pub horizon_ms: i64,
    /// Who asks.
    pub by: Principal,
    /// The people and roles by which gates are passed; when there are no people, there is always somebody.
    pub access: Access,
    /// Whether the rules' commands are run, on copies.
    pub run_commands: bool,
    /// What is copied.
    pub originals: Originals,
}

/// Why nothing could be predicted.
#[derive(Debug, thiserror::Error)]
pub enum Unpredictable {
    /// The engine would refuse it.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// Git would refuse it.
    #[error("{what}; {hint}")]
    NotPushed {
        /// What, and why.
        what: String,
        /// What to do instead.
        hint: String,
    },
    /// The copies could not be made.
    #[error("{0}{hint}", hint = hint(.0))]
    Copies(#[from] Fault),
}

fn hint(fault: &Fault) -> String {
    match fault {
        Fault::Fail { hint, .. } if !hint.is_empty() => format!("; {hint}"),
        Fault::Fail { .. } | Fault::Retry { .. } => String::new(),
    }
}
