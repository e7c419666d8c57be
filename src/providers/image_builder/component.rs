//! Component documents (AWSTOE, schema version 1.0): what they say, checked as a whole before anything runs. Source:
//! EC2 Image Builder User Guide, "Use the AWSTOE component document framework for custom components".

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use super::actions;
use crate::providers::{Fault, yaml};

/// The limit of a step that gives none (the guide's default).
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(7200);
/// More attempts than this at one step help nobody.
const MAX_ATTEMPTS: u32 = 100;

/// A component that may run.
#[derive(Debug, Clone)]
pub(super) struct Component {
    pub(super) name: String,
    pub(super) phases: BTreeMap<Phase, Vec<Step>>,
    /// The values of its parameters and constants.
    pub(super) values: BTreeMap<String, String>,
}

/// The phases that an image build runs, in this order. (`container-host-test` is for container images.)
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Phase {
    Build,
    Validate,
    Test,
}

impl Phase {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Build => "build",
            Self::Validate => "validate",
            Self::Test => "test",
        }
    }
}

/// One step of a phase.
#[derive(Debug, Clone)]
pub(super) struct Step {
    pub(super) name: String,
    pub(super) action: String,
    pub(super) inputs: Value,
    pub(super) on_failure: OnFailure,
    pub(super) max_attempts: u32,
    pub(super) timeout: Duration,
}

/// What a failed step means for its component.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
pub(super) enum OnFailure {
    /// It ends at once, failed.
    #[default]
    Abort,
    /// It goes on, and has failed.
    Continue,
    /// It goes on as if nothing had been.
    Ignore,
}

/// How long a text of a component may become, in bytes, when the values that it names are filled in.
const MOST_TEXT_BYTES: usize = 4 << 20;

impl Component {
    /// Reads a document. `given` are values for parameters; those it does not declare are left to other components.
    pub(super) fn parse(name: &str, text: &str, given: &BTreeMap<String, String>) -> Result<Self, Fault> {
        let what = format!("component {name}");
        let wrong = |problem: String| Fault::fail(format!("{what}: {problem}"), "correct the component document");
        let document: Document = serde_json::from_value(yaml::parse(&what, text)?).map_err(|e| wrong(e.to_string()))?;
        if !matches!(document.schema_version.to_string().trim_matches('"'), "1.0" | "1") {
            return Err(wrong(format!("schemaVersion is {}, and 1.0 is known", document.schema_version)));
        }
        let values = values(&document, given).map_err(wrong)?;
        let mut phases = BTreeMap::new();
        for phase in document.phases {
            let mut steps: Vec<Step> = Vec::new();
            for step in phase.steps {
                let step = checked(step).map_err(|problem| wrong(format!("phase {}: {problem}", phase.name.name())))?;
                if steps.iter().any(|other| other.name == step.name) {
                    return Err(wrong(format!("phase {}: two steps are named {}", phase.name.name(), step.name)));
                }
                steps.push(step);
            }
            if phases.insert(phase.name, steps).is_some() {
                return Err(wrong(format!("phase {} is there twice", phase.name.name())));
            }
        }
        Ok(Self { name: name.to_owned(), phases, values })
    }
}

/// `inputs` with every `{{ name }}` in its texts replaced by its value.
pub(super) fn substitute(inputs: &Value, values: &BTreeMap<String, String>) -> Result<Value, Fault> {
    Ok(match inputs {
        Value::String(text) => Value::String(substitute_text(text, values)?),
        Value::Array(items) => {
            Value::Array(items.iter().map(|item| substitute(item, values)).collect::<Result<_, _>>()?)
        }
        Value::Object(map) => Value::Object(
            map.iter()
                .map(|(name, value)| Ok((name.clone(), substitute(value, values)?)))
                .collect::<Result<_, Fault>>()?,
        ),
        other => other.clone(),
    })
}

fn substitute_text(text: &str, values: &BTreeMap<String, String>) -> Result<String, Fault> {
    let mut result = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        let Some((name, after)) = after.split_once("}}") else { break };
        let name = name.trim();
        let value = values.get(name).ok_or_else(|| {
            let known: Vec<&str> = values.keys().map(String::as_str).collect();
            Fault::fail(format!("{{{{ {name} }}}} has no value"), format!("known here: {}", known.join(", ")))
        })?;
        result.push_str(before);
        result.push_str(value);
        if result.len() > MOST_TEXT_BYTES {
            let problem = format!("a text has more than {MOST_TEXT_BYTES} bytes with its values filled in");
            return Err(Fault::fail(problem, "name the values fewer times"));
        }
        rest = after;
    }
    result.push_str(rest);
    Ok(result)
}

fn checked(step: StepDocument) -> Result<Step, String> {
    let name = step.name;
    if !actions::SUPPORTED.contains(&step.action.as_str()) {
        let (action, supported) = (&step.action, actions::SUPPORTED.join(", "));
        return Err(format!(
            "step {name}: the action {action} cannot be done on this machine, which can do {supported}"
        ));
    }
    if step.condition.is_some() || step.repetition.is_some() {
        return Err(format!("step {name}: `if` and `loop` are not supported on this machine"));
    }
    Ok(Step {
        action: step.action,
        inputs: step.inputs,
        on_failure: step.on_failure.unwrap_or_default(),
        max_attempts: step.max_attempts.unwrap_or(1).clamp(1, MAX_ATTEMPTS),
        timeout: step.timeout_seconds.and_then(|s| u64::try_from(s).ok()).map_or(DEFAULT_TIMEOUT, Duration::from_secs),
        name,
    })
}

fn values(document: &Document, given: &BTreeMap<String, String>) -> Result<BTreeMap<String, String>, String> {
    let mut values = BTreeMap::new();
    for (name, parameter) in document.parameters.iter().flatten() {
        let value = given.get(name).cloned().or_else(|| parameter.default.as_ref().map(text_of));
        let value = value.ok_or_else(|| format!("the parameter {name} has no value and no default"))?;
        values.insert(name.clone(), value);
    }
    for (name, constant) in document.constants.iter().flatten() {
        let value = constant.value.as_ref().map(text_of);
        values.insert(name.clone(), value.ok_or_else(|| format!("the constant {name} has no value"))?);
    }
    Ok(values)
}

/// A scalar as text: without the quotes of a JSON string.
fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The document as it is written.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Document {
    #[serde(rename = "name")]
    _name: Option<Value>,
    #[serde(rename = "description")]
    _description: Option<Value>,
    schema_version: Value,
    #[serde(default)]
    parameters: Vec<BTreeMap<String, Variable>>,
    #[serde(default)]
    constants: Vec<BTreeMap<String, Variable>>,
    phases: Vec<PhaseDocument>,
}

#[derive(Deserialize)]
struct Variable {
    default: Option<Value>,
    value: Option<Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PhaseDocument {
    name: Phase,
    steps: Vec<StepDocument>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct StepDocument {
    name: String,
    action: String,
    #[serde(rename = "description")]
    _description: Option<Value>,
    on_failure: Option<OnFailure>,
    max_attempts: Option<u32>,
    timeout_seconds: Option<i64>,
    #[serde(default)]
    inputs: Value,
    #[serde(rename = "if")]
    condition: Option<Value>,
    #[serde(rename = "loop")]
    repetition: Option<Value>,
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn parse(text: &str) -> Result<Component, Fault> {
        Component::parse("c", text, &BTreeMap::from([("Port".to_owned(), "81".to_owned())]))
    }

    #[test]
    fn a_document_is_read() {
        let component = parse(
            "name: c\nschemaVersion: 1.0\nparameters:\n  - Port: {type: string, default: '80'}\n\
             constants:\n  - Dir: {type: string, value: /opt}\nphases:\n  - name: build\n    steps:\n\
             \x20     - {name: a, action: ExecuteBash, onFailure: Ignore, maxAttempts: 3, inputs: {commands: [\"x {{ Port }}\"]}}\n",
        )
        .unwrap();
        let step = &component.phases[&Phase::Build][0];
        assert_eq!((step.on_failure, step.max_attempts, step.timeout), (OnFailure::Ignore, 3, DEFAULT_TIMEOUT));
        let inputs = substitute(&step.inputs, &component.values).unwrap();
        assert_eq!(inputs, serde_json::json!({"commands": ["x 81"]}));
        assert_eq!(component.values["Dir"], "/opt");
    }

    #[test]
    fn an_action_that_cannot_be_done_is_refused_with_those_that_can() {
        let text = "schemaVersion: 1.0\nphases: [{name: build, steps: [{name: r, action: Reboot}]}]";
        let error = parse(text).unwrap_err().to_string();
        assert!(error.contains("step r: the action Reboot cannot be done") && error.contains("ExecuteBash"), "{error}");
    }

    #[test]
    fn mistakes_are_said() {
        for (text, said) in [
            ("schemaVersion: 2.0\nphases: []", "schemaVersion is 2.0"),
            ("schemaVersion: 1.0\nphase: []", "unknown field `phase`"),
            ("schemaVersion: 1.0\nphases: [{name: bild, steps: []}]", "unknown variant `bild`"),
            ("schemaVersion: 1.0\nparameters: [{P: {type: string}}]\nphases: []", "parameter P has no value"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
        assert!(substitute_text("{{ nope }}", &BTreeMap::new()).is_err());
    }
}
