//! What merges and ways back of ours bring, file by file, told by a naive three-way merge of whole files.

use std::collections::{BTreeMap, BTreeSet};

/// The files of a commit, each with what is in it.
pub(crate) type Files = BTreeMap<String, String>;

/// What a merge comes to; none where both sides changed the same.
pub(crate) enum Naive {
    Clean(Files),
    Conflict,
    /// Git may see a file that moved on one side and went away, or moved elsewhere, on the other: it may ask, or not.
    Moved(Files),
}

/// Merges two sides that began at a base.
pub(crate) fn three_way(base: &Files, ours: &Files, theirs: &Files) -> Naive {
    let paths: BTreeSet<&String> = base.keys().chain(ours.keys()).chain(theirs.keys()).collect();
    let mut merged = Files::new();
    for path in paths {
        let [before, one, other] = [base, ours, theirs].map(|files| files.get(path));
        let kept = match () {
            () if one == other || other == before => one,
            () if one == before => other,
            () => return Naive::Conflict,
        };
        merged.extend(kept.map(|content| (path.clone(), content.clone())));
    }
    let went = base.iter().filter(|(path, _)| !ours.contains_key(*path) && !theirs.contains_key(*path));
    let moved = |content: &String| [ours, theirs].iter().any(|files| files.values().any(|other| other == content));
    if went.map(|(_, content)| content).any(moved) { Naive::Moved(merged) } else { Naive::Clean(merged) }
}

/// The commit at which two parted, of what each holds; none where there are several.
pub(crate) fn parted(
    holds: &BTreeMap<String, BTreeSet<String>>,
    one: &BTreeSet<String>,
    other: &BTreeSet<String>,
) -> Option<String> {
    let common: BTreeSet<&String> = one.intersection(other).collect();
    let below = |commit: &&&String| common.iter().any(|above| *above != **commit && holds[*above].contains(**commit));
    let mut tops = common.iter().filter(|commit| !below(commit));
    let top = tops.next()?;
    tops.next().is_none().then(|| (**top).clone())
}

#[test]
fn the_naive_merge_is_an_ordinary_one() {
    let files =
        |all: &[(&str, &str)]| all.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
    let base: Files = files(&[("a", "1"), ("b", "2"), ("c", "3")]);
    let (ours, theirs) = (files(&[("a", "1"), ("b", "9")]), files(&[("a", "1"), ("b", "2"), ("c", "3"), ("d", "4")]));
    let Naive::Clean(merged) = three_way(&base, &ours, &theirs) else { panic!() };
    assert_eq!(merged, files(&[("a", "1"), ("b", "9"), ("d", "4")]));
    assert!(matches!(three_way(&base, &files(&[("a", "5")]), &files(&[("a", "6")])), Naive::Conflict));
    let moved = three_way(&base, &files(&[("b", "2"), ("c", "3")]), &files(&[("e", "1"), ("b", "2"), ("c", "3")]));
    assert!(matches!(moved, Naive::Moved(_)));
}
