//! Who could pass a gate. The engine is asked, on a copy of the state, person by person: so whoever it would let approve in
//! earnest is named, and nobody else.

use std::collections::BTreeMap;

use crate::{
    engine::{Command, Event, Principal, Recorded, Run, StepRun, System, step},
    rules::Quorum,
};

/// More people than these are not asked after one by one.
pub(super) const MOST_PEOPLE: usize = 200;

/// Who could approve a run that asks.
pub(super) struct Able {
    /// The names of those who could, and have not yet.
    pub(super) able: Vec<String>,
    /// Those who are asked and may not: name → why.
    pub(super) may_not: BTreeMap<String, String>,
    /// Of those who could, as many as are needed; fewer when there are not so many.
    pub(super) chosen: Vec<Principal>,
    /// How many more must.
    pub(super) missing: usize,
}

/// Looks who could approve, of the people in force. Where none are listed, everybody is taken at their word, and there is
/// always somebody.
pub(super) fn able(system: &System, run: &Run, asking: &StepRun, quorum: &Quorum) -> Able {
    let missing = (quorum.count as usize).saturating_sub(asking.answers.len());
    let access = system.access.as_ref().map(|in_force| &in_force.access).filter(|access| !access.people.is_empty());
    let people: Vec<Principal> = match access {
        Some(access) => access.people.keys().filter_map(|name| access.principal(name)).collect(),
        None => somebody(quorum),
    };
    let mut found = Able { able: Vec::new(), may_not: BTreeMap::new(), chosen: Vec::new(), missing };
    // Of several who could, each after the other: two may have but one voice.
    let mut together = system.clone();
    for person in people.iter().take(MOST_PEOPLE) {
        match step(&mut system.clone(), &approval(system, run, person)) {
            Ok(_) => found.able.push(person.name.clone()),
            Err(refused) if quorum.from.is_empty() || quorum.from.iter().any(|name| person.is(name)) => {
                found.may_not.insert(person.name.clone(), refused.to_string());
                continue;
            }
            Err(_) => continue,
        }
        let next = approval(&together, run, person);
        if found.chosen.len() < missing && step(&mut together, &next).is_ok() {
            found.chosen.push(person.clone());
        }
    }
    found
}

/// The event with which a person approves.
pub(super) fn approval(system: &System, run: &Run, by: &Principal) -> Recorded<Event> {
    let command = Command::Approve { run: run.id.clone(), digest: None };
    Recorded { seq: system.seq + 1, at_ms: system.at_ms, event: Event::Command { by: by.clone(), command, key: None } }
}

/// As many people as are asked for, who are whoever they have to be.
fn somebody(quorum: &Quorum) -> Vec<Principal> {
    let of = if quorum.from.is_empty() { String::new() } else { format!(" of {}", quorum.from.join(", ")) };
    let person = |number: u32| {
        let name = if quorum.count == 1 { format!("somebody{of}") } else { format!("somebody{of} ({number})") };
        Principal { name, groups: quorum.from.iter().cloned().collect(), ..Principal::default() }
    };
    (1..=quorum.count).map(person).collect()
}
