//! The folders that outlive a step: there is a command that uses them, and each is one.

use super::{
    super::{document::Node, names::CacheName},
    context::Check,
};

/// The most of one step: each is measured when it begins.
const MOST_CACHES: usize = 10;

/// Checks the `caches` of a step at `place`.
pub(super) fn check(check: &mut Check<'_>, caches: &[CacheName], has_command: bool, place: &Node) {
    if !caches.is_empty() && !has_command {
        return check.add(place.key("caches"), "`caches` are for `command`, and there is none");
    }
    if caches.len() > MOST_CACHES {
        check.add(place.field("caches").bytes.clone(), format!("a step has at most {MOST_CACHES} caches"));
    }
    for (index, cache) in caches.iter().enumerate() {
        let bytes = place.field("caches").item(index).bytes.clone();
        let mut earlier = caches.iter().take(index);
        if earlier.clone().any(|other| other == cache) {
            check.add(bytes, format!("`{cache}` is there twice"));
        } else if earlier.any(|other| other.variable() == cache.variable()) {
            check.add(bytes, format!("another cache is given as `{}`, too", cache.variable()));
        }
    }
}
