//! Pins that people change by hand. What a pin says then is told by its value: that of an earlier artifact is of what that
//! artifact was made from, and any other is of nothing that is known.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::engine::{
    event::{HeadSeen, PinsSeen},
    ids::{PinnerId, Place},
    lineage::{self, Lineage, Origin},
    made::Brings,
    run::Subject,
    turn::Turn,
};
use crate::rules::{Rules, StageName, StepId};

/// How many of the values that a commit step has written are known again.
const MOST_VALUES: usize = 4;

/// What a commit step wrote.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Wrote {
    /// Pointer → value.
    pub pins: BTreeMap<String, Value>,
    /// What that was made from.
    pub lineage: Lineage,
    /// The names of the artifacts that it is of.
    pub artifacts: BTreeSet<String>,
}

fn key(stage: &StageName, pinner: &PinnerId) -> String {
    format!("{stage} {pinner}")
}

impl Turn<'_> {
    /// A commit step has written its pins, or found them as it would have written them.
    pub(in crate::engine) fn remember_values(&mut self, number: u64, id: &StepId) {
        let run = self.run(number);
        let Subject::Rule(rule) = &run.subject else { return };
        let Some(step) = run.step(id) else { return };
        let Some(Brings { pinned, .. }) = step.made.brought().filter(|brought| !brought.pinned.is_empty()) else {
            return;
        };
        let names = run.before(step).into_iter().flat_map(|step| &step.artifacts).map(|artifact| artifact.name.clone());
        let wrote =
            Wrote { pins: pinned.clone(), lineage: lineage::of_run(self.system, run), artifacts: names.collect() };
        let values = self.system.values.entry(key(&run.stage, &PinnerId::of(rule, id)));
        let values = values.or_default();
        values.retain(|before| before.pins != wrote.pins);
        values.push(wrote);
        let surplus = values.len().saturating_sub(MOST_VALUES);
        values.drain(..surplus);
    }

    /// A watch saw pins that are not as they were: says in `origin` what they are of, and remembers of the head which
    /// artifacts they name. `ours` are the commit steps whose commits it saw as well.
    pub(in crate::engine) fn pins_seen(
        &mut self,
        here: &Place,
        seen: &HeadSeen,
        ours: &BTreeSet<PinnerId>,
        origin: &mut Origin,
    ) {
        let by_others = !seen.authors.is_empty() || seen.others_wrote;
        for PinsSeen { pinner, file, values } in &seen.pins {
            let known = self.system.values.get(&key(&here.stage, pinner));
            let known = known.and_then(|known| known.iter().rev().find(|wrote| wrote.pins == *values)).cloned();
            let pins: Vec<(String, BTreeSet<String>)> = values
                .iter()
                .map(|(pointer, value)| {
                    let artifacts = known.iter().flat_map(|wrote| wrote.artifacts.iter().cloned());
                    (format!("{file} {pointer}"), artifacts.chain(texts(value)).collect())
                })
                .collect();
            self.pins_name(&seen.commit, pins);
            match known {
                // As far as can be told, what our own commit wrote is what is there.
                Some(_) | None if ours.contains(pinner) && !by_others => {}
                Some(wrote) => drop(origin.pinned.insert(pinner.clone(), wrote.lineage)),
                None if ours.contains(pinner) => {}
                None => drop(origin.pinned.remove(pinner)),
            }
        }
    }

    /// Forgets the values of commit steps that the rules do not have.
    pub(in crate::engine) fn forget_values(&mut self, rules: &Rules) {
        let stages = || rules.stages.keys();
        let of_rules = rules.rules.iter().flat_map(|(name, rule)| {
            let of_stage =
                move |stage| lineage::commits(rule, stage).map(move |(step, _)| key(stage, &PinnerId::of(name, &step)));
            stages().flat_map(of_stage)
        });
        let known: BTreeSet<String> = of_rules.collect();
        self.system.values.retain(|key, _| known.contains(key));
    }
}

/// All texts within a value: an artifact may be named by one of them.
fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => vec![text.clone()],
        Value::Array(items) => items.iter().flat_map(texts).collect(),
        Value::Object(fields) => fields.values().flat_map(texts).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) => Vec::new(),
    }
}
