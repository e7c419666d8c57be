//! Where the pins of a head meet: the heads of a repository further up that all of them are of.

use std::sync::Arc;

use crate::engine::{
    ids::{CommitId, Place},
    leads::Pinner,
    origin::{Origin, Pins, Point},
    state::System,
};
use crate::rules::{RepositoryName, RuleName};

/// The heads of a repository in which the pins of one head meet.
pub(super) struct Met {
    /// Those that every pin fits.
    pub(super) common: Vec<Arc<Point>>,
    /// Those that any of them is of.
    pub(super) any: Vec<Arc<Point>>,
}

/// Where the pins of a head meet, of those that are known.
pub(super) fn meet(system: &System, place: &Place, pinners: &[Pinner], root: &RepositoryName, origin: &Origin) -> Met {
    let of_root = pinners.iter().map(|pinner| (origin.pinned.get(&pinner.id), pinner.through(root)));
    let of_root: Vec<(Option<&Pins>, &[RuleName])> = of_root.filter(|(_, through)| !through.is_empty()).collect();
    let meets = |own: Option<usize>, head: &Arc<Point>| {
        let mut others = of_root.iter().enumerate().filter(|(at, _)| Some(*at) != own);
        others.all(|(_, (pins, through))| fits(system, &place.repository, *pins, (root, head), through))
    };
    let (mut common, mut any): (Vec<Arc<Point>>, Vec<Arc<Point>>) = Default::default();
    for (own, (pins, _)) in of_root.iter().enumerate() {
        let points = system.points(&place.repository, *pins, root);
        let new = points.iter().filter(|point| own == 0 || !any.iter().any(|known| Arc::ptr_eq(known, point)));
        let new: Vec<Arc<Point>> = new.cloned().collect();
        common.extend(new.iter().filter(|point| meets(Some(own), point)).cloned());
        any.extend(new);
    }
    let head = system.head(root, &place.stage).filter(|_| !any.is_empty()).map(|head| Point::of(head, &place.stage));
    common.extend(head.filter(|head| meets(None, head)));
    Met { common, any }
}

/// Whether what is pinned at a place fits a head of a repository further up. What was pinned before Tidegate came fits
/// every head of which the rules have made nothing yet; what somebody chose fits none that is known.
pub(super) fn fits(
    system: &System,
    into: &RepositoryName,
    pins: Option<&Pins>,
    (root, head): (&RepositoryName, &Point),
    through: &[RuleName],
) -> bool {
    match pins.and_then(|pins| system.provenance_of(into, pins)) {
        Some(record) => record.of.get(root).is_some_and(|points| is_of(points, head, through)),
        None => head.order > 0 && through.iter().all(|rule| !head.wanted.contains_key(rule)),
    }
}

/// Whether something that is of these heads is of this one as well: it is one of them, or every rule through which it came
/// makes the same of it.
fn is_of(points: &[Arc<Point>], head: &Point, through: &[RuleName]) -> bool {
    let is_it = |point: &Arc<Point>| std::ptr::eq(&raw const **point, head);
    if points.iter().any(is_it) || points.iter().any(|point| point.commit == head.commit) {
        return true;
    }
    let contents: Vec<&CommitId> = through.iter().map(|rule| head.content(rule)).collect();
    points.iter().any(|point| through.iter().zip(&contents).all(|(rule, content)| point.content(rule) == *content))
}
