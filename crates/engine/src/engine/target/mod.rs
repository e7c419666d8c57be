//! Targets: one shape for all kinds. A run takes one ([`take`]), looks at it ([`standing`]), plans what to do ([`plan`], and one
//! planner per kind in [`kinds`]), and does that as steps ([`act`]). [`life`] says where a target is, and what leads where.

mod act;
mod asked;
mod drift;
mod kinds;
mod life;
mod look;
mod plan;
mod standing;
mod take;

pub(super) use self::look::shown;
pub use self::{
    kinds::plan_of,
    life::{IllegalMove, LifeMove, diagram},
    plan::{ActPlan, Change, Class, PlannedAct, Unplannable, harsher},
    standing::{Difference, Observation, Seen, Standing},
};
