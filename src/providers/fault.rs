//! What a call to the outside came back with when it did not succeed.

use std::time::Duration;

/// A failed call to the outside. Its kind is the caller's next move: try the same effect again, or give up
/// and tell a person what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A passing failure, or one whose effect is in doubt: the same effect may be tried again.
    #[error("{error}")]
    Retry {
        /// What was tried and what came back.
        error: String,
        /// How long the outside asked us to wait, if it did.
        after: Option<Duration>,
    },
    /// A failure that trying again will not mend.
    #[error("{error}")]
    Fail {
        /// What was tried and what came back.
        error: String,
        /// What a person can do about it; empty when the error says it all.
        hint: String,
    },
}

impl Fault {
    /// A failure that the same effect may survive when it is tried again.
    pub fn retry(error: impl Into<String>) -> Self {
        Self::Retry { error: error.into(), after: None }
    }

    /// A failure for a person to mend, with what to do.
    pub fn fail(error: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Fail { error: error.into(), hint: hint.into() }
    }

    /// What came back and what to do, in one line.
    #[must_use]
    pub fn whole(&self) -> String {
        match self {
            Self::Fail { error, hint } if !hint.is_empty() => format!("{error}; {hint}"),
            Self::Fail { error, .. } | Self::Retry { error, .. } => error.clone(),
        }
    }

    /// The same fault with what was being tried put before it.
    #[must_use]
    pub fn while_trying(self, what: &str) -> Self {
        match self {
            Self::Retry { error, after } => Self::Retry { error: format!("{what}: {error}"), after },
            Self::Fail { error, hint } => Self::Fail { error: format!("{what}: {error}"), hint },
        }
    }
}
