//! A simulation on its way: the copies, the virtual clock, and what has happened so far.

use std::collections::{BTreeMap, BTreeSet};

use super::{record::Record, scratch::Scratch};
use crate::{
    engine::{Effect, EffectId, System},
    steps::foresight::Foresight,
};

/// A simulation on its way.
pub(super) struct Simulation {
    pub(super) system: System,
    pub(super) at_ms: i64,
    pub(super) horizon_ms: i64,
    pub(super) scratch: Scratch,
    pub(super) foresight: Foresight,
    pub(super) record: Record,
    /// The pending effects, in the order in which they were asked for.
    pub(super) waits: BTreeMap<EffectId, (usize, Effect)>,
    pub(super) emitted: usize,
    /// How many notices there were before.
    pub(super) told_before: u64,
    /// The numbers of the runs that a schedule began, and all that came of them.
    pub(super) scheduled: BTreeSet<u64>,
    pub(super) until_horizon: bool,
    /// Gates that nobody could pass: run and step → the place in the log at which that was so.
    pub(super) stuck: BTreeMap<(u64, String), u64>,
    pub(super) notes: Vec<String>,
}
