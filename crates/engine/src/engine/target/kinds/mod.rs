//! One planner for each kind of target: what is to be done, given how the target stands. Pure and total.

mod job;
mod stack;

use super::{
    plan::{ActPlan, Planning, Unplannable},
    standing::Observation,
};
use crate::engine::task::Wanted;
use crate::rules::{Target, TargetKind, TargetName};

/// The plan for what is wanted of a target that stands so.
///
/// # Errors
/// Why there is none.
pub fn plan_of(
    (name, target): (&TargetName, &Target),
    seen: &Observation,
    wanted: &Wanted,
) -> Result<ActPlan, Unplannable> {
    let planning = Planning { name, seen, wanted };
    let plan = match target.kind {
        TargetKind::Stack => stack::plan(planning),
        TargetKind::Job => job::plan(planning),
    };
    plan?.checked()
}

/// Whether what moves at such a target can be cancelled, and by which act.
pub(super) const fn cancels_updates(kind: TargetKind) -> Option<&'static str> {
    match kind {
        TargetKind::Stack => Some(stack::CANCEL),
        TargetKind::Job => Some(job::CANCEL),
    }
}
