//! What was pinned before Tidegate came: it fits every head of which the rules had made nothing yet. Once it is known to be of one
//! head, it is still of all of those.

use std::sync::Arc;

use crate::engine::{
    ids::{PinnerId, Place},
    origin::{Pins, Point, Points, Provenance},
    provenance::{meet::fits, points::join},
    run::Run,
    shared::Shared,
    state::System,
};
use crate::rules::{RepositoryName, StageName};

/// Of pins that lie in a head and of which nothing is known yet: the heads that they fit, of those that anything else is of or will be.
pub(super) fn of_before(system: &System, place: &Place, pinner: &PinnerId, pins: &Shared<Pins>) -> Provenance {
    let mut of = Provenance::new();
    let lies_there =
        system.head(&place.repository, &place.stage).is_some_and(|head| head.origin.pinned.get(pinner) == Some(pins));
    let Some(rules) = system.rules() else { return of };
    if !lies_there || system.provenance_of(&place.repository, pins).is_some() {
        return of;
    }
    let taking = rules.rules.iter().filter(|(_, rule)| rule.repository() == Some(&place.repository));
    let pinners = taking.filter_map(|(name, _)| rules.at(name, &place.stage)).flat_map(|at| &at.pinners);
    for pinner in pinners.filter(|other| other.id == *pinner) {
        for root in pinner.roots() {
            let through = pinner.through(root);
            let mut fitting = known_heads(system, root, &place.stage);
            fitting.retain(|head| fits(system, &place.repository, Some(pins), (root, head), through));
            if !fitting.is_empty() {
                join(of.entry(root.clone()).or_default(), &fitting);
            }
        }
    }
    of
}

/// The heads of a stage that artifacts are known to be of, and those that runs work on, of which artifacts will be.
fn known_heads(system: &System, root: &RepositoryName, stage: &StageName) -> Vec<Arc<Point>> {
    let mut heads = Points::default();
    for points in system.provenance.values().flatten().filter_map(|record| record.of.get(root)) {
        join(&mut heads, points.iter().filter(|point| point.stage == *stage));
    }
    let of_run = |run: &Run| {
        let source = run.source.as_ref().filter(|source| source.repository == *root && run.stage == *stage)?;
        let (commit, wanted) = (source.commit.clone(), run.origin.wanted.clone());
        Some(Arc::new(Point { commit, stage: stage.clone(), order: source.order, wanted }))
    };
    let of_runs: Vec<Arc<Point>> = system.live_runs().filter_map(of_run).collect();
    join(&mut heads, &of_runs);
    heads.iter().cloned().collect()
}
