//! The planner of stacks: what is not there is created, what is there is updated, both as a whole.

use crate::engine::target::{
    plan::{ActPlan, Change, PlannedAct, Planning, Unplannable},
    standing::Standing,
};
use crate::engine::task::Wanted;
use crate::rules::Operation;

/// The act that ends an update of somebody else's.
pub(super) const CANCEL: &str = "cancel-update";

pub(super) fn plan(on: Planning<'_>) -> Result<ActPlan, Unplannable> {
    let (name, absent) = (on.name, on.seen.standing == Standing::Absent);
    let create = || ActPlan::of(PlannedAct::named("create").that(Change::Created, name.as_str()));
    match on.wanted {
        Wanted::Deploy(_) if absent => Ok(create()),
        Wanted::Deploy(_) => Ok(ActPlan::of(PlannedAct::named("update"))),
        Wanted::Operation(Operation::Provision) if absent => {
            Ok(ActPlan::of(PlannedAct::named("create-empty").that(Change::Created, name.as_str())))
        }
        Wanted::Operation(Operation::Provision) => Err(Unplannable {
            why: format!("{name} is there already"),
            hint: "there is nothing to provision".to_owned(),
        }),
        Wanted::Operation(Operation::Delete) if absent => Ok(ActPlan::default()),
        Wanted::Operation(Operation::Delete) => {
            Ok(ActPlan::of(PlannedAct::named("delete").that(Change::Removed, name.as_str())))
        }
        Wanted::Operation(Operation::Recover) => match &on.seen.standing {
            Standing::Stuck { .. } => {
                Ok(ActPlan::of(PlannedAct::named("recover").that(Change::OutOfService, name.as_str())))
            }
            other => Err(Unplannable {
                why: format!("{name} is {}, not stuck", other.name()),
                hint: "there is nothing to recover".to_owned(),
            }),
        },
    }
}
