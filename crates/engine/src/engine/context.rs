//! What the templates of a run's step may use: what the steps before it said, and where it is.

use serde_json::{Map, Value};

use super::{ids::RunId, run::Source};
use crate::rules::{Rules, StageName, StepId, SystemName};

/// It, as the rules are now; nothing where they do not have the stage any more.
pub(super) fn in_force<'run>(
    rules: &Rules,
    work: (&RunId, Option<&Source>),
    stage: &StageName,
    inputs: impl Iterator<Item = (&'run StepId, &'run Map<String, Value>)>,
) -> Option<Value> {
    let environment = rules.stages.get(stage)?.environment.as_str();
    Some(of(&rules.system, work, (stage, environment, rules.branch(stage)), inputs))
}

/// It, in this environment and on this branch.
pub(super) fn of<'run>(
    system: &SystemName,
    (run, source): (&RunId, Option<&Source>),
    (stage, environment, branch): (&StageName, &str, &str),
    inputs: impl Iterator<Item = (&'run StepId, &'run Map<String, Value>)>,
) -> Value {
    let mut context: Map<String, Value> =
        inputs.map(|(step, outputs)| (step.to_string(), Value::Object(outputs.clone()))).collect();
    let mut text = |name: &str, value: &str| context.insert(name.to_owned(), Value::from(value));
    text("system", system.as_str());
    text("stage", stage.as_str());
    text("environment", environment);
    text("branch", branch);
    text("run", run.as_str());
    text("repository", source.map_or("", |source| source.repository.as_str()));
    text("commit", source.map_or("", |source| source.commit.as_str()));
    Value::Object(context)
}
