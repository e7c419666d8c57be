//! In whose name somebody may answer a question: their own, or that of somebody who delegated to them.

use crate::engine::{access::Principal, state::System};
use crate::rules::{Delegate, Quorum};

/// In whose name somebody may answer a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Voice {
    /// In their own.
    Own,
    /// In the place of somebody who delegated to them.
    InPlaceOf(String),
}

/// In whose name somebody may answer a quorum's question at an instant: their own first, then of those who delegated to them.
#[must_use]
pub fn voices(system: &System, quorum: &Quorum, who: &Principal, at_ms: i64) -> Vec<Voice> {
    let asks = |name: &str| quorum.from.iter().any(|asked| asked == name);
    let is_asked = quorum.from.is_empty() || quorum.from.iter().any(|name| who.is(name));
    let people = system.access.as_ref().map(|in_force| &in_force.access.people);
    let delegates = system.rules().map(|rules| rules.delegates.as_slice()).unwrap_or_default();
    let lends = |delegate: &&Delegate| delegate.holds_at(at_ms) && delegate.to.iter().any(|name| who.is(name));
    let lent = delegates.iter().filter(lends).filter_map(|Delegate { of, .. }| {
        let person = people.and_then(|people| people.get(of));
        let is_group = people.is_some_and(|people| people.values().any(|person| person.groups.contains(of)));
        match person {
            None if asks(of) && is_group => Some(Voice::Own),
            None if asks(of) => Some(Voice::InPlaceOf(of.clone())),
            Some(person) if asks(of) || person.groups.iter().any(|group| asks(group)) => {
                Some(Voice::InPlaceOf(of.clone()))
            }
            _ => None,
        }
    });
    is_asked.then_some(Voice::Own).into_iter().chain(lent).collect()
}
