//! The life of a target: one machine for all kinds. What leads where is a table; whatever is not in it is an illegal move.

use crate::rules::TargetLife;

/// What can happen to a target in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LifeMove {
    /// A run takes it.
    Taken,
    /// The run that has it finds nothing there, and makes it.
    FoundAbsent,
    /// The run that has it ends with something there.
    Freed,
    /// The run that has it ends with nothing there.
    FreedAbsent,
    /// The run that was to make it failed.
    NotProvisioned,
    /// A run failed on it, and an operator is to look.
    Broke,
    /// An operator makes it available again.
    Unlocked,
    /// Its deletion is asked for.
    DeletionAsked,
    /// Its deletion is not asked for any more.
    DeletionWithdrawn,
    /// The run that has it deletes it.
    DeletionBegun,
    /// It is deleted.
    DeletionDone,
    /// The run that was to delete it failed.
    DeletionFailed,
    /// Somebody looked, and it is there.
    SeenThere,
    /// Somebody looked, and it is gone.
    SeenGone,
}

/// A move that the life of a target does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a target that is {} cannot be {}", .from.name(), .by.said())]
pub struct IllegalMove {
    /// Where it is.
    pub from: TargetLife,
    /// What was to happen.
    pub by: LifeMove,
}

use LifeMove as M;
use TargetLife as L;

/// What leads where.
const MOVES: &[(L, M, L)] = &[
    (L::Unprovisioned, M::Taken, L::Busy),
    (L::Available, M::Taken, L::Busy),
    (L::ProvisionFailed, M::Taken, L::Busy),
    (L::DeleteScheduled, M::Taken, L::Busy),
    (L::DeleteFailed, M::Taken, L::Busy),
    (L::Deleted, M::Taken, L::Busy),
    (L::Busy, M::FoundAbsent, L::Provisioning),
    (L::Busy, M::Freed, L::Available),
    (L::Busy, M::FreedAbsent, L::Unprovisioned),
    (L::Busy, M::Broke, L::Broken),
    (L::Busy, M::DeletionBegun, L::Deleting),
    (L::Provisioning, M::Freed, L::Available),
    (L::Provisioning, M::FreedAbsent, L::Unprovisioned),
    (L::Provisioning, M::NotProvisioned, L::ProvisionFailed),
    (L::Provisioning, M::Broke, L::Broken),
    (L::Deleting, M::DeletionDone, L::Deleted),
    (L::Deleting, M::DeletionFailed, L::DeleteFailed),
    (L::Deleting, M::Broke, L::Broken),
    (L::Broken, M::Unlocked, L::Available),
    // Only by a run that is to delete or recover it.
    (L::Broken, M::Taken, L::Busy),
    (L::Available, M::DeletionAsked, L::DeleteScheduled),
    (L::DeleteFailed, M::DeletionAsked, L::DeleteScheduled),
    (L::DeleteScheduled, M::DeletionWithdrawn, L::Available),
    (L::Unprovisioned, M::SeenThere, L::Available),
    (L::ProvisionFailed, M::SeenThere, L::Available),
    (L::Deleted, M::SeenThere, L::Available),
    (L::DeleteFailed, M::SeenGone, L::Deleted),
    (L::Available, M::SeenGone, L::Unprovisioned),
    (L::ProvisionFailed, M::SeenGone, L::Unprovisioned),
];

impl LifeMove {
    /// What is said of a target to which it happens.
    const fn said(self) -> &'static str {
        match self {
            Self::Taken => "taken",
            Self::FoundAbsent => "found absent",
            Self::Freed => "freed",
            Self::FreedAbsent => "freed with nothing there",
            Self::NotProvisioned => "left unprovisioned",
            Self::Broke => "broken",
            Self::Unlocked => "unlocked",
            Self::DeletionAsked => "scheduled for deletion",
            Self::DeletionWithdrawn => "kept after all",
            Self::DeletionBegun => "deleted",
            Self::DeletionDone => "gone",
            Self::DeletionFailed => "left undeleted",
            Self::SeenThere => "seen there",
            Self::SeenGone => "seen gone",
        }
    }
}

/// Where a target is after a move.
///
/// # Errors
/// When its life does not have that move from where it is.
pub(super) fn after(from: TargetLife, by: LifeMove) -> Result<TargetLife, IllegalMove> {
    let found = MOVES.iter().find(|(at, what, _)| (*at, *what) == (from, by));
    found.map(|(_, _, to)| *to).ok_or(IllegalMove { from, by })
}

/// The machine as a Mermaid state diagram, for the documents.
#[must_use]
pub fn diagram() -> String {
    let mut lines = vec!["stateDiagram-v2".to_owned(), format!("    [*] --> {}", L::Unprovisioned.name())];
    for (from, by, to) in MOVES {
        lines.push(format!("    {} --> {}: {}", from.name(), to.name(), by.said()));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_move_leads_to_one_place() {
        for (from, by, to) in MOVES {
            assert_eq!(after(*from, *by), Ok(*to), "{from:?} {by:?}");
        }
    }

    #[test]
    fn every_place_can_be_reached_and_left() {
        for life in TargetLife::ALL {
            assert!(life == L::Unprovisioned || MOVES.iter().any(|(_, _, to)| *to == life), "{life:?} is reached");
            assert!(MOVES.iter().any(|(from, ..)| *from == life), "{life:?} is left");
        }
    }

    #[test]
    fn an_illegal_move_says_what_it_was() {
        let said = after(L::Deleting, M::Taken).map_err(|illegal| illegal.to_string());
        assert_eq!(said, Err("a target that is DELETING cannot be taken".to_owned()));
    }
}
