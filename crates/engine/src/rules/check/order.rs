//! In which order the steps of a rule stand: their ids, and what each waits for.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    super::{
        document::Node,
        model::{Rule, Step},
        names::StepId,
        template::CONTEXT,
    },
    context::Check,
};

/// A rule's steps and, for each, which steps are done whenever it starts.
pub(super) struct Steps<'rule> {
    pub(super) rule: &'rule Rule,
    pub(super) ids: Vec<StepId>,
    /// The indexes of the steps before each step, directly or through others.
    pub(super) before: Vec<BTreeSet<usize>>,
}

/// Resolves ids and `needs`. What a step needs stands before it, so there can be no cycle among those that remain.
pub(super) fn ordered<'rule>(check: &mut Check<'_>, rule: &'rule Rule, place: &Node) -> Steps<'rule> {
    let ids: Vec<StepId> = rule.steps.iter().map(Step::id).collect();
    let mut first: BTreeMap<&StepId, usize> = BTreeMap::new();
    for (index, id) in ids.iter().enumerate() {
        if first.contains_key(id) {
            let place = place.item(index);
            let bytes = if place.get("id").is_some() { place.field("id").bytes.clone() } else { place.bytes.clone() };
            check.add_with_help(bytes, format!("there is a step `{id}` already"), "give this one an `id` of its own");
        } else {
            first.insert(id, index);
        }
    }
    let mut before: Vec<BTreeSet<usize>> = Vec::with_capacity(ids.len());
    for (index, step) in rule.steps.iter().enumerate() {
        let place = place.item(index);
        if step.id.is_some() {
            not_reserved(check, &ids[index], place);
        }
        let mut all = BTreeSet::new();
        let direct = match &step.needs {
            None => index.checked_sub(1).into_iter().collect(),
            Some(needs) => needed(check, rule, &first, index, needs, place.field("needs")),
        };
        for needed in direct {
            all.extend(before[needed].iter().copied());
            all.insert(needed);
        }
        before.push(all);
    }
    Steps { rule, ids, before }
}

fn needed(
    check: &mut Check<'_>,
    rule: &Rule,
    first: &BTreeMap<&StepId, usize>,
    index: usize,
    needs: &[StepId],
    place: &Node,
) -> Vec<usize> {
    let mut found = Vec::new();
    for (position, id) in needs.iter().enumerate() {
        let bytes = &place.item(position).bytes;
        if !check.exists("step", id.as_str(), first.keys().map(|id| id.as_str()), bytes) {
            continue;
        }
        match first.get(id) {
            Some(&needed) if needed < index => found.push(needed),
            Some(&needed) if needed == index => check.add(bytes.clone(), format!("step `{id}` needs itself")),
            Some(&needed) if reaches(rule, first, needed, index) => {
                let own = rule.steps[index].id();
                check.add(bytes.clone(), format!("steps `{own}` and `{id}` wait for each other"));
            }
            _ => check.add_with_help(
                bytes.clone(),
                format!("step `{id}` comes later than the step that needs it"),
                "steps stand in an order in which they can run: move it up",
            ),
        }
    }
    found
}

/// Whether a step waits for another, directly or through others, whatever their order.
fn reaches(rule: &Rule, first: &BTreeMap<&StepId, usize>, from: usize, to: usize) -> bool {
    let mut seen = BTreeSet::new();
    let mut waiting = vec![from];
    while let Some(index) = waiting.pop() {
        if index == to {
            return true;
        }
        if seen.insert(index) {
            match &rule.steps[index].needs {
                None => waiting.extend(index.checked_sub(1)),
                Some(needs) => waiting.extend(needs.iter().filter_map(|id| first.get(id).copied())),
            }
        }
    }
    false
}

fn not_reserved(check: &mut Check<'_>, id: &StepId, place: &Node) {
    if CONTEXT.contains(&id.as_str()) {
        let message = format!("`{id}` means something else in templates: a step needs another `id`");
        check.add(place.field("id").bytes.clone(), message);
    }
}
