//! The steps of a rule: their ids, what they wait for, and in which order they may stand.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    super::{
        actions::Action,
        document::Node,
        model::{Rule, Step},
        names::StepId,
        template,
    },
    Check, fields, templates,
};

/// A rule's steps and, for each, which steps are done whenever it starts.
pub(super) struct Steps<'rule> {
    pub(super) rule: &'rule Rule,
    pub(super) ids: Vec<StepId>,
    /// The indexes of the steps before each step, directly or through others.
    pub(super) before: Vec<BTreeSet<usize>>,
}

pub(super) fn check(check: &mut Check<'_>, rule: &Rule, place: &Node) {
    let place = place.field("steps");
    let steps = ordered(check, rule, place);
    for (index, step) in rule.steps.iter().enumerate() {
        let place = place.item(index);
        check.stages_of_rule(step.stages.as_ref(), rule, place.field("stages"));
        if step.timeout.is_some_and(|timeout| timeout.as_ms() == 0) {
            check.add(place.field("timeout").bytes.clone(), "no step is done in no time");
        }
        fields::of(&step.action).check(check, place.field(step.action.kind().name));
        follows_synth(check, &steps, index, place);
        comes_before_approvals(check, &steps, index, place);
        templates::check(check, &steps, index, place.field(step.action.kind().name));
    }
}

/// Resolves ids and `needs`. What a step needs stands before it, so there can be no cycle among those that remain.
fn ordered<'rule>(check: &mut Check<'_>, rule: &'rule Rule, place: &Node) -> Steps<'rule> {
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
    if templates::CONTEXT.contains(&id.as_str()) {
        let message = format!("`{id}` means something else in templates: a step needs another `id`");
        check.add(place.field("id").bytes.clone(), message);
    }
}

/// What needs the template comes after the step that makes it, in every stage where it runs.
fn follows_synth(check: &mut Check<'_>, steps: &Steps<'_>, index: usize, place: &Node) {
    let step = &steps.rule.steps[index];
    let kind = step.action.kind();
    if !kind.needs_template {
        return;
    }
    let kind = kind.name;
    let made_in = |stage: &&_| {
        steps.before[index].iter().map(|before| &steps.rule.steps[*before]).any(|before| {
            before.action.kind().makes_template() && check.stages_of_step(steps.rule, before).any(|made| made == *stage)
        })
    };
    let lacking = check.stages_of_step(steps.rule, step).find(|stage| !made_in(stage)).cloned();
    if let Some(stage) = lacking {
        check.add_with_help(
            place.key(kind),
            format!("in stage `{stage}`, no `synth` before this makes the template that `{kind}` works on"),
            "add a `synth` step before it, for the same stages",
        );
    }
}

/// What feeds a deployment comes before every approval that the deployment waits for: people approve what they were shown.
fn comes_before_approvals(check: &mut Check<'_>, steps: &Steps<'_>, index: usize, place: &Node) {
    let step = &steps.rule.steps[index];
    let deploys = steps.rule.steps.iter().enumerate().filter(|(deploy, _)| steps.before[*deploy].contains(&index));
    for (number, deploy) in deploys {
        let Action::Deploy(of) = &deploy.action else { continue };
        let is_named = |text: &String| {
            let names = template::names(text).unwrap_or_default();
            names.iter().any(|name| name.first().is_some_and(|first| first == steps.ids[index].as_str()))
        };
        let kind = step.action.kind();
        if kind.asks_people() || !(kind.feeds_deployment() || of.parameters.values().any(is_named)) {
            continue;
        }
        let unseen = steps.before[number].iter().find_map(|approval| {
            let asks = &steps.rule.steps[*approval];
            let Action::Approve(approve) = &asks.action else { return None };
            let together = |stage: &&_| {
                let runs = |step| check.stages_of_step(steps.rule, step).any(|runs| runs == *stage);
                runs(step) && runs(asks) && approve.stages.contains_key(*stage)
            };
            let stage = check.stages_of_step(steps.rule, deploy).find(together)?;
            (!steps.before[*approval].contains(&index)).then(|| (stage.clone(), *approval))
        });
        if let Some((stage, approval)) = unseen {
            let (made, asked, deploy) = (&steps.ids[index], &steps.ids[approval], &steps.ids[number]);
            check.add_with_help(
                place.key(kind.name),
                format!("in stage `{stage}`, `{deploy}` uses what `{made}` makes, and `{asked}` does not wait for it"),
                format!("move `{made}` before `{asked}`, so that people see what they approve"),
            );
            return;
        }
    }
}
