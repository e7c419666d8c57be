//! Lists of the heads that an artifact is of: by stage and age, each head once, and of each stage the newest.

use std::sync::Arc;

use crate::engine::{
    ids::CommitId,
    origin::{Point, Points, Provenance},
    state::Head,
};
use crate::rules::{RuleName, StageName};

/// How many heads of one repository and stage an artifact is remembered to be of, the newest of them.
const MOST_POINTS: usize = 16;

impl Point {
    /// Whether it is that head of a stage, as it is now.
    pub(super) fn is_head(&self, head: &Head, stage: &StageName) -> bool {
        self.order == head.order && self.commit == head.commit && self.stage == *stage
    }

    /// Whether both are one head; how far it is known may differ.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        (&self.commit, &self.stage) == (&other.commit, &other.stage)
    }

    /// The commit that stands for what a rule sees of this one.
    pub(super) fn content(&self, rule: &RuleName) -> &CommitId {
        self.wanted.get(rule).map_or(&self.commit, |wanted| &wanted.commit)
    }
}

/// Adds heads to those that are known, each at its place by stage and age. Of each stage the newest stay.
pub(super) fn join<'more>(known: &mut Points, more: impl IntoIterator<Item = &'more Arc<Point>>) {
    let mut place = 0;
    for point in more {
        if has_point(known, point, &mut place) {
            continue;
        }
        let at = known.partition_point(|other| (&other.stage, other.order) <= (&point.stage, point.order));
        let first = known.partition_point(|other| other.stage < point.stage);
        let of_stage = known[first..].partition_point(|other| other.stage == point.stage);
        known.insert(at, point.clone());
        if of_stage == MOST_POINTS {
            known.remove(first);
        }
    }
}

/// The same for heads that were joined before, which are shared where nothing else is known.
pub(super) fn join_points(known: &mut Points, more: &Points) {
    if known.is_empty() {
        known.clone_from(more);
    } else if !known.is_same(more) {
        join(known, more.iter());
    }
}

/// The same for those of several repositories.
pub(super) fn join_all(known: &mut Provenance, more: Provenance) {
    for (root, points) in more {
        join_points(known.entry(root).or_default(), &points);
    }
}

/// Whether a head is among those that are known. Both are in one order as a rule, and most heads are shared: so it is looked
/// for first where the last one was found, and by its place in memory.
pub(super) fn has_point(known: &[Arc<Point>], point: &Arc<Point>, place: &mut usize) -> bool {
    let is_it = |other: &Arc<Point>| Arc::ptr_eq(other, point);
    let is_here = known.get(*place).is_some_and(|other| is_it(other) || other.is_same(point));
    let found = || known.iter().position(is_it).or_else(|| known.iter().position(|other| other.is_same(point)));
    let found = if is_here { Some(*place) } else { found() };
    *place = found.map_or(*place, |found| found + 1);
    found.is_some()
}
