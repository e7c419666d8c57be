//! What the templates of a run's step may use: what the steps before it said, and where it is.

use serde_json::{Map, Value};

use super::{ids::RunId, run::Source};
use crate::rules::{Rules, StageName, StepId, SystemName};

/// A run, the commit that it works on, and the tag that names it where one started the run.
type Works<'run> = (&'run RunId, Option<&'run Source>, Option<&'run str>);

/// It, as the rules are now; nothing where they do not have the stage any more.
pub(super) fn in_force<'run>(
    rules: &Rules,
    work: Works<'_>,
    stage: &StageName,
    inputs: impl Iterator<Item = (&'run StepId, &'run Map<String, Value>)>,
) -> Option<Value> {
    let environment = rules.stages.get(stage)?.environment.as_str();
    Some(of(&rules.system, work, (stage, environment, rules.branch(stage)), inputs))
}

/// It, in this environment and on this branch.
pub(super) fn of<'run>(
    system: &SystemName,
    (run, source, tag): Works<'_>,
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
    if let Some(tag) = tag {
        text("tag", tag);
    }
    Value::Object(context)
}
