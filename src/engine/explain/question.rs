//! What a check asks, with the names of its templates filled in as far as they are known: people read the address that is
//! really asked.

use serde_json::{Value, json};

use crate::{
    engine::{
        effect::Phase,
        run::{Run, StepRun},
        system::System,
        work,
    },
    rules::{Check, RepositoryName, Rules, StageName, template},
};

/// What a check of a run asks.
pub(super) fn of_run(system: &System, run: &Run, step: &StepRun, check: &Check) -> String {
    let work = system.rules().and_then(|rules| work::step_work(rules, run, &step.id, Phase::Start).ok());
    work.map_or_else(|| check.question(), |work| filled_in(check, &work.context()))
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
    filled_in(check, &context)
}

fn filled_in(check: &Check, context: &Value) -> String {
    let render = |text: &String| template::render(text, context).unwrap_or_else(|_| text.clone());
    let http = check.http.as_ref().map(render);
    let command = check.command.iter().map(render).collect();
    Check { http, command, ..check.clone() }.question()
}
