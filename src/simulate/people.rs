//! Who could pass a gate. The engine is asked, on a copy of the state, person by person: so whoever it would let approve in
//! earnest is named, and nobody else.

use std::collections::BTreeMap;

use crate::{
    engine::{Command, Event, Principal, Recorded, Run, StepRun, System, step},
    rules::Quorum,
};

/// More people than these are not asked after one by one.
const MOST_PEOPLE: usize = 200;

/// Who could approve a run that asks.
pub(super) struct Able {
    /// Those who could, and have not yet.
    pub(super) able: Vec<Principal>,
    /// Those who are asked and may not: name → why.
    pub(super) may_not: BTreeMap<String, String>,
    /// How many more must.
    pub(super) missing: usize,
}

/// Looks who could approve. `people` are those whom the settings list; where they list none, everybody is taken at their
/// word, and there is always somebody.
pub(super) fn able(system: &System, run: &Run, asking: &StepRun, quorum: &Quorum, people: &[Principal]) -> Able {
    let missing = (quorum.count as usize).saturating_sub(asking.answers.len());
    let invented;
    let candidates = if people.is_empty() {
        invented = somebody(quorum);
        invented.as_slice()
    } else {
        people
    };
    let mut found = Able { able: Vec::new(), may_not: BTreeMap::new(), missing };
    for person in candidates.iter().take(MOST_PEOPLE) {
        let mut copy = system.clone();
        match step(&mut copy, &approval(system, run, person)) {
            Ok(_) => found.able.push(person.clone()),
            Err(refused) if quorum.from.is_empty() || quorum.from.iter().any(|name| person.is(name)) => {
                found.may_not.insert(person.name.clone(), refused.to_string());
            }
            Err(_) => {}
        }
    }
    found
}

/// The event with which a person approves.
pub(super) fn approval(system: &System, run: &Run, by: &Principal) -> Recorded<Event> {
    let command = Command::Approve { run: run.id.clone(), digest: None };
    Recorded { seq: system.seq + 1, at_ms: system.at_ms, event: Event::Command { by: by.clone(), command } }
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
