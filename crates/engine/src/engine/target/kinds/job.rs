//! The planner of jobs: a job runs. There is nothing to make before, and nothing is left to delete.

use crate::engine::target::{
    plan::{ActPlan, PlannedAct, Planning, Unplannable},
    standing::Standing,
};
use crate::engine::task::Wanted;
use crate::rules::Operation;

/// The act that ends a job of somebody else's.
pub(super) const CANCEL: &str = "cancel-job";

pub(super) fn plan(on: Planning<'_>) -> Result<ActPlan, Unplannable> {
    let name = on.name;
    let nothing = |what: &str| Unplannable {
        why: format!("{name} is a job, of which nothing stands that could be {what}"),
        hint: "a job is run by a rule that deploys to it".to_owned(),
    };
    match on.wanted {
        Wanted::Deploy(_) if on.seen.standing == Standing::Absent => Err(Unplannable {
            why: format!("nobody knows the job {name}"),
            hint: "make it outside, under this name, then `tidegate retry`".to_owned(),
        }),
        Wanted::Deploy(_) => Ok(ActPlan::of(PlannedAct::named("run"))),
        Wanted::Operation(Operation::Provision) => Err(nothing("provisioned")),
        Wanted::Operation(Operation::Delete) => Err(nothing("deleted")),
        Wanted::Operation(Operation::Recover) => Err(nothing("recovered")),
    }
}
