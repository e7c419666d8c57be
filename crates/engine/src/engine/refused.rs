//! Why an event is not taken in.

use super::{event::DeliveryId, ids::RunId};

/// An event that cannot be taken in. The state is as it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The event does not follow the last one.
    #[error("event {got} cannot follow event {last} of this system")]
    OutOfOrder {
        /// The last event that was taken in.
        last: u64,
        /// The one that was offered.
        got: u64,
    },
    /// No rules are in force yet.
    #[error("no valid rules are in force yet: `tidegate check` shows what is wrong with them")]
    NoRules,
    /// The rules do not have what was asked for.
    #[error("{what}; {hint}")]
    Unknown {
        /// What was asked for.
        what: String,
        /// What there is.
        hint: String,
    },
    /// The run is not in a state for this.
    #[error("{run}: {reason}; {hint}")]
    NotNow {
        /// The run.
        run: RunId,
        /// Why not.
        reason: String,
        /// What to do instead.
        hint: String,
    },
    /// A nudge was taken in before.
    #[error("the delivery {delivery} was taken in before")]
    Delivered {
        /// Its name.
        delivery: DeliveryId,
    },
    /// The command was done before, under this key.
    #[error("it was done before, under the same key: it is event {seq}")]
    DoneBefore {
        /// Its place in the log.
        seq: u64,
        /// The newest run there was after it.
        newest_run: Option<RunId>,
    },
    /// The key was used before, for something else.
    #[error("the key {key} was used before, for something else; take a new key for each command")]
    OtherBefore {
        /// The key.
        key: String,
    },
    /// Somebody may not do this.
    #[error("{who} may not {what}: {reason}")]
    NotAllowed {
        /// Who asked.
        who: String,
        /// For what.
        what: String,
        /// Why not, and who may.
        reason: String,
    },
}

impl Refused {
    pub(super) fn unknown(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Unknown { what: what.into(), hint: hint.into() }
    }

    pub(super) fn not_now(run: &RunId, reason: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::NotNow { run: run.clone(), reason: reason.into(), hint: hint.into() }
    }
}
