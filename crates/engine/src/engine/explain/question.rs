//! What a check asks, with the names of its templates filled in as far as they are known: people read the address that is
//! really asked.

use serde_json::json;

use crate::{
    engine::{effect::Phase, run::Run, state::System, step_run::StepRun, work},
    rules::{Check, RepositoryName, Rules, StageName},
};

/// What a check of a run asks.
pub(super) fn of_run(system: &System, run: &Run, step: &StepRun, check: &Check) -> String {
    let work = system.rules().and_then(|rules| work::step_work(rules, run, &step.id, Phase::Start).ok());
    work.map_or_else(|| check.question(), |work| check.rendered(&work.context()).question())
}

/// What a check will ask in a stage that there is no run for yet. What only a run knows stays as the rules write it.
pub(super) fn to_come(rules: &Rules, stage: &StageName, of: Option<&RepositoryName>, check: &Check) -> String {
    let environment = rules.stages.get(stage).map_or("", |stage| stage.environment.as_str());
    let context = json!({
        "system": rules.system,
        "stage": stage,
        "environment": environment,
        "branch": rules.branch(stage),
        "repository": of.map_or("{{repository}}", RepositoryName::as_str),
        "run": "{{run}}",
        "commit": "{{commit}}",
    });
    check.rendered(&context).question()
}
