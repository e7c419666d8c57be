//! What comes of one event: its facts, and what the store writes beside them. [`Working`] is a state that only facts change.

use std::ops::Deref;

use serde::{Deserialize, Serialize};

use super::{
    apply::{apply, passed},
    content::Link,
    effect::Effect,
    fact::{Fact, RunFact},
    ids::EffectId,
    run::Run,
    shared::Shared,
    state::System,
};

/// The version of the engine that decides: the log says of every event which one decided it.
pub const ENGINE_VERSION: &str = env!("CARGO_PKG_VERSION");

/// How many facts most events have at most.
const FACTS: usize = 8;

/// What comes of an event. The store commits all of it with the event, or none. All of it follows from the facts.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// What was decided, in order.
    pub facts: Vec<Fact>,
    /// Effects that are pending from now on.
    pub due: Vec<Effect>,
    /// Effects that are no longer pending: settled by this event, or not wanted any more.
    pub dropped: Vec<EffectId>,
    /// Runs that ended with this event, whole, for the history.
    pub ended: Vec<Shared<Run>>,
    /// What came from what.
    pub links: Vec<Link>,
}

impl Decision {
    /// Takes in a fact that was just folded into the state.
    pub(super) fn take(&mut self, fact: Fact, system: &System) {
        match &fact {
            Fact::EffectDue(effect) => self.due.push(effect.clone()),
            // What was asked for and is not wanted within one event never was.
            Fact::EffectDropped(id) => match self.due.iter().position(|due| due.id == *id) {
                Some(position) => drop(self.due.remove(position)),
                None => self.dropped.push(id.clone()),
            },
            Fact::Run { run, what: RunFact::Ended { .. } } => self.ended.extend(system.runs.get(run).cloned()),
            Fact::Linked(links) => self.links.extend(links.iter().cloned()),
            _ => {}
        }
        self.facts.push(fact);
    }
}

/// The state while an event is decided. It can be read, and only a fact changes it.
pub(super) struct Working<'system> {
    system: &'system mut System,
    decision: Decision,
}

impl<'system> Working<'system> {
    pub(super) fn new(system: &'system mut System) -> Self {
        Self { system, decision: Decision { facts: Vec::with_capacity(FACTS), ..Decision::default() } }
    }

    /// Notes a fact, and folds it.
    pub(super) fn record(&mut self, fact: Fact) {
        apply(self.system, &fact);
        self.decision.take(fact, self.system);
    }

    /// The event at this place is decided.
    pub(super) fn end(self, seq: u64, at_ms: i64) -> Decision {
        passed(self.system, seq, at_ms);
        self.decision
    }
}

impl Deref for Working<'_> {
    type Target = System;

    fn deref(&self) -> &System {
        self.system
    }
}

/// Folds the facts of one event, and says again what the store had to write because of them.
#[must_use]
pub fn fold(system: &mut System, seq: u64, at_ms: i64, facts: Vec<Fact>) -> Decision {
    let mut decision = Decision::default();
    for fact in facts {
        apply(system, &fact);
        decision.take(fact, system);
    }
    passed(system, seq, at_ms);
    decision
}
