//! The two commits that git is given to merge, so that it finds the ancestors that are meant. Where pins are decided, they are
//! decided in the ancestors too: stand-ins for these, and for theirs where histories crossed, have the same relations to one
//! another. A stand-in is an object that no branch names; the same one is made again each time.

use super::bounds;
use super::fault::object_fault;
use super::pins::{PinnedValues, with_pins};
use super::told::Told;
use crate::providers::Fault;
use git2::{Oid, Repository, Signature, Time, Tree};

/// How many ancestors of crossed histories get stand-ins; below them history is as it is.
const MOST_CROSSED: usize = 24;

/// One side of a merge.
pub(super) struct Side<'repository> {
    /// Its content.
    pub(super) tree: Tree<'repository>,
    /// The commit whose history tells what it holds.
    pub(super) told: Oid,
}

/// Two commits whose merge is meant.
pub(super) struct Pair {
    pub(super) ours: Oid,
    pub(super) theirs: Oid,
    /// The tree of ours, whose attributes count as in the work tree of `git merge`.
    pub(super) attributes: Oid,
}

/// The commits for two sides, with `settled` decided in their ancestors; `None` when they have none in common.
pub(super) fn pair(
    repository: &Repository,
    told: &Told<'_>,
    ours: &Side<'_>,
    theirs: &Side<'_>,
    settled: &PinnedValues,
) -> Result<Option<Pair>, Fault> {
    let bases = told.common(ours.told, theirs.told)?;
    if bases.is_empty() {
        return Ok(None);
    }
    let pair = || -> Result<Pair, Fault> {
        let (below_ours, below_theirs) = match settled.is_empty() && told.is_plain() {
            true => (vec![ours.told], vec![theirs.told]),
            false => {
                let bases = stand_ins(repository, told, bases, settled)?;
                (bases.clone(), bases)
            }
        };
        let side = |side: &Side<'_>, below: &[Oid]| stand_in(repository, side.told, &side.tree, below);
        let (one, other) = (side(ours, &below_ours)?, side(theirs, &below_theirs)?);
        Ok(Pair { ours: one, theirs: other, attributes: ours.tree.id() })
    };
    pair().map(Some)
}

/// The commits for two trees that have `base` before them.
pub(super) fn pair_above(
    repository: &Repository,
    base: &Tree<'_>,
    ours: &Side<'_>,
    theirs: &Side<'_>,
) -> Result<Pair, Fault> {
    let base = stand_in(repository, ours.told, base, &[])?;
    let side = |side: &Side<'_>| stand_in(repository, side.told, &side.tree, &[base]);
    Ok(Pair { ours: side(ours)?, theirs: side(theirs)?, attributes: ours.tree.id() })
}

/// Stand-ins for common ancestors, above stand-ins for all that git asks for when it merges them with one another.
fn stand_ins(
    repository: &Repository,
    told: &Told<'_>,
    bases: Vec<Oid>,
    pins: &PinnedValues,
) -> Result<Vec<Oid>, Fault> {
    let fault = |error: git2::Error| object_fault(&error);
    let (mut all, mut level) = (bases.clone(), bases.clone());
    while level.len() > 1 && all.len() < MOST_CROSSED {
        let mut next = Vec::new();
        for (index, one) in level.iter().enumerate() {
            for other in &level[index + 1..] {
                for base in told.common(*one, *other)? {
                    if !all.contains(&base) {
                        all.push(base);
                        next.push(base);
                    }
                }
            }
        }
        level = next;
    }
    let crossed_below = |id: &Oid| level.len() > 1 && level.contains(id);
    let mut above: Vec<(Oid, Vec<Oid>)> = Vec::new();
    for id in &all {
        let mut ancestors = Vec::new();
        for other in all.iter().filter(|other| *other != id) {
            if told.contains(*id, *other)? {
                ancestors.push(*other);
            }
        }
        above.push((*id, ancestors));
    }
    // Whatever is above another has all of its ancestors, and it besides.
    above.sort_by_key(|(_, ancestors)| ancestors.len());
    let mut made: Vec<(Oid, Oid)> = Vec::new();
    let stands_for =
        |made: &[(Oid, Oid)], id: &Oid| made.iter().find(|(of, _)| of == id).map(|(_, stand_in)| *stand_in);
    for (id, ancestors) in &above {
        let mut parents: Vec<Oid> = ancestors.iter().filter_map(|id| stands_for(&made, id)).collect();
        if crossed_below(id) {
            parents.push(*id);
        }
        let tree = repository.find_commit(*id).and_then(|commit| commit.tree()).map_err(fault)?;
        bounds::check_tree(repository, &tree)?;
        let pinned = with_pins(repository, tree, pins).map_err(fault)?;
        made.push((*id, stand_in(repository, *id, &pinned, &parents)?));
    }
    Ok(bases.iter().filter_map(|id| stands_for(&made, id)).collect())
}

/// A commit in the place of another, of its time: git orders ancestors by that.
fn stand_in(repository: &Repository, of: Oid, tree: &Tree<'_>, parents: &[Oid]) -> Result<Oid, Fault> {
    let make = || -> Result<Oid, git2::Error> {
        let seconds = repository.find_commit(of)?.time().seconds();
        let who = Signature::new("stand-in", "stand-in@localhost", &Time::new(seconds, 0))?;
        let parents = parents.iter().map(|id| repository.find_commit(*id)).collect::<Result<Vec<_>, _>>()?;
        let message = format!("Stands for {of} in a merge\n");
        repository.commit(None, &who, &who, &message, tree, &parents.iter().collect::<Vec<_>>())
    };
    make().map_err(|error| object_fault(&error))
}
