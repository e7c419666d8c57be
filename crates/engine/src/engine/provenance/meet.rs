//! Where the pins of a head meet: the heads of a repository further up that all of them are of.

use std::sync::Arc;

use crate::engine::{
    ids::{CommitId, Place},
    leads::Pinner,
    origin::{Origin, Pins, Point, Points},
    provenance::points::{join, join_points},
    shared::Shared,
    state::{Head, System},
};
use crate::rules::{RepositoryName, RuleName};

/// The heads of a repository in which the pins of one head meet.
pub(super) struct Met {
    /// Those that every pin fits, of those that any of them is of.
    common: Points,
    /// The stage's own head, where every pin fits it.
    head: Option<Arc<Point>>,
    /// Those that any of them is of.
    pub(super) any: Points,
    /// Whether the others are those of one pin, as they were joined.
    is_joined: bool,
}

impl Met {
    /// Those that every pin fits.
    pub(super) fn common(&self) -> impl Iterator<Item = &Arc<Point>> {
        self.common.iter().chain(&self.head)
    }

    /// Where there is no head that every pin fits, those that any of them is of.
    pub(super) fn or_any(self) -> Self {
        if self.is_empty() { Self { common: self.any.clone(), ..self } } else { self }
    }

    /// Whether there is no head that every pin fits.
    pub(super) fn is_empty(&self) -> bool {
        self.common.is_empty() && self.head.is_none()
    }

    /// Adds those that every pin fits to others.
    pub(super) fn join_into(&self, known: &mut Points) {
        if self.is_joined {
            join_points(known, &self.common);
        } else {
            join(known, self.common.iter());
        }
        join(known, &self.head);
    }
}

/// Where the pins of a head meet, of those that are known.
pub(super) fn meet(system: &System, place: &Place, pinners: &[Pinner], root: &RepositoryName, origin: &Origin) -> Met {
    let of_root = pinners.iter().map(|pinner| (origin.pinned.get(&pinner.id), pinner.through(root)));
    let of_root: Vec<(Option<&Shared<Pins>>, &[RuleName])> =
        of_root.filter(|(_, through)| !through.is_empty()).collect();
    let meets = |own: Option<usize>, head: &Point| {
        let mut others = of_root.iter().enumerate().filter(|(at, _)| Some(*at) != own);
        others.all(|(_, (pins, through))| fits(system, &place.repository, *pins, (root, head), through))
    };
    let points =
        |pins: Option<&Shared<Pins>>| system.points(&place.repository, pins, root).cloned().unwrap_or_default();
    let is_joined = of_root.len() == 1;
    let (mut common, mut any) = (Points::default(), Points::default());
    if let [(pins, _)] = of_root.as_slice() {
        any = points(*pins);
        common = any.clone();
    } else {
        for (own, (pins, _)) in of_root.iter().enumerate() {
            let points = points(*pins);
            let new = points.iter().filter(|point| own == 0 || !any.iter().any(|known| Arc::ptr_eq(known, point)));
            let new: Vec<Arc<Point>> = new.cloned().collect();
            common.extend(new.iter().filter(|point| meets(Some(own), point)).cloned());
            any.extend(new);
        }
    }
    let head = system.head(root, &place.stage).filter(|_| !any.is_empty());
    let is_new = |head: &&Head| !common.iter().any(|known| known.is_head(head, &place.stage));
    let head = head.filter(is_new).map(|head| Point::of(head, &place.stage)).filter(|head| meets(None, head));
    Met { common, head, any, is_joined }
}

/// Whether what is pinned at a place fits a head of a repository further up. What was pinned before Tidegate came fits
/// every head of which the rules have made nothing yet; what somebody chose fits none that is known.
pub(super) fn fits(
    system: &System,
    into: &RepositoryName,
    pins: Option<&Shared<Pins>>,
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
