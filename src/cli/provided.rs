//! What the settings say of providers, beside the rules: what is named for nothing, and stages that no rules have.

use std::collections::BTreeSet;

use super::{House, settings::Settings};
use crate::{
    rules::{Provided, Rules, StageName, SystemName, did_you_mean},
    steps::{ProviderSettings, StageSettings},
};

/// What is said of providers and stages and is for none of these rules: one sentence each.
pub(super) fn of_nothing<'rules>(settings: &Settings, rules: impl IntoIterator<Item = &'rules Rules>) -> Vec<String> {
    let rules: Vec<&Rules> = rules.into_iter().collect();
    let mut said = Vec::new();
    if rules.is_empty() {
        return said;
    }
    let stages: BTreeSet<&StageName> = rules.iter().flat_map(|rules| rules.stages.keys()).collect();
    let ProviderSettings { stack, job, image, objects: _ } = &settings.providers;
    for what in named([stack.is_some(), job.is_some(), image.is_some()]) {
        if !stages.iter().any(|stage| is_needed(what, stage, &rules)) {
            let name = what.name();
            said.push(format!("`[providers]` names a `{name}`, and no step of any rule needs what {}", what.work()));
        }
    }
    for (stage, StageSettings { stack, job, image }) in &settings.stages {
        if !stages.contains(stage) {
            let meant = did_you_mean(stage.as_str(), stages.iter().map(|stage| stage.as_str()));
            let meant = meant.map_or_else(String::new, |meant| format!("; {meant}"));
            said.push(format!("no rules have a stage `{stage}`, which `[stages.{stage}]` is of{meant}"));
            continue;
        }
        for what in named([stack.is_some(), job.is_some(), image.is_some()]) {
            if !is_needed(what, stage, &rules) {
                let (name, work) = (what.name(), what.work());
                said.push(format!("`[stages.{stage}]` names a `{name}`, and no step there needs what {work}"));
            }
        }
    }
    said
}

/// The kinds of work that are named, of which it is said in this order whether they are.
fn named(is_named: [bool; 3]) -> impl Iterator<Item = Provided> {
    Provided::ALL.into_iter().zip(is_named).filter_map(|(what, is_named)| is_named.then_some(what))
}

/// Whether a step in that stage needs a provider of that kind of work.
fn is_needed(what: Provided, stage: &StageName, all: &[&Rules]) -> bool {
    let needs = |rules: &&Rules| {
        let of_stage = rules.rules.values().filter(|rule| rule.is_for(stage));
        let mut steps = of_stage.flat_map(|rule| rule.steps.iter().map(move |step| (rule, step)));
        steps.any(|(rule, step)| {
            let target = rule.target.as_ref().and_then(|target| rules.targets.get(target));
            let kind = target.map(|target| target.kind).unwrap_or_default();
            let is_here = step.stages.as_ref().is_none_or(|stages| stages.contains(stage));
            is_here && step.action.provided(kind) == Some(what)
        })
    };
    all.iter().any(needs)
}

/// Warns of what is for none of the rules in force.
///
/// # Errors
/// When the store cannot be read.
pub(super) async fn warn(house: &House, systems: &[SystemName]) -> anyhow::Result<()> {
    let rules = in_force(house, systems).await?;
    of_nothing(&house.settings, &rules).iter().for_each(|said| tracing::warn!("{said}"));
    Ok(())
}

/// The rules in force of these systems.
///
/// # Errors
/// When the store cannot be read.
pub(super) async fn in_force(house: &House, systems: &[SystemName]) -> anyhow::Result<Vec<Rules>> {
    let mut rules = Vec::new();
    for system in systems {
        rules.extend(house.ledger.read(system, |state| state.rules().map(|rules| Rules::clone(rules))).await?);
    }
    Ok(rules)
}
