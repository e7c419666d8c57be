//! Reads SARIF 2.1.0 of any tool, taking from it what a finding holds. Tools differ, so what is optional may be missing
//! anywhere; what a wrong type makes unreadable is an error, because a report that cannot be read must not pass.

use super::HINT;
use crate::report::finding::{Finding, Level};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// The greatest output that is read.
pub const MAX_BYTES: usize = 32 * 1024 * 1024;

/// Why a tool's output could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// The output is too great.
    #[error("the output has {bytes} bytes, and {limit} is the limit; let the tool report less")]
    TooGreat {
        /// Its length.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// The output is something else.
    #[error("the output is not {format}: {error}")]
    NotTheFormat {
        /// The format that was expected.
        format: &'static str,
        /// What is wrong, with line and column where known.
        error: String,
    },
}

/// Reads a log. A run that says it did not succeed is an error finding; a suppressed result is a note.
pub fn read(text: &str) -> Result<Vec<Finding>, Unreadable> {
    if text.len() > MAX_BYTES {
        return Err(Unreadable::TooGreat { bytes: text.len(), limit: MAX_BYTES });
    }
    let not_sarif = |error: String| Unreadable::NotTheFormat { format: "SARIF 2.1.0", error };
    let log: Log = serde_json::from_str(text).map_err(|error| not_sarif(error.to_string()))?;
    if !log.version.starts_with("2.1.") {
        return Err(not_sarif(format!("its version is `{}`", log.version)));
    }
    let mut findings = vec![];
    for run in &log.runs {
        run.invocations.iter().for_each(|invocation| run.read_invocation(invocation, &mut findings));
        findings.extend(run.results.iter().flatten().filter_map(|result| run.read_result(result)));
    }
    Ok(findings)
}

#[derive(Deserialize)]
struct Log {
    version: String,
    runs: Vec<Run>,
}

#[derive(Deserialize)]
struct Run {
    tool: Tool,
    results: Option<Vec<RunResult>>,
    #[serde(default)]
    artifacts: Vec<Artifact>,
    #[serde(default)]
    invocations: Vec<Invocation>,
}

#[derive(Deserialize)]
struct Tool {
    driver: Component,
    #[serde(default)]
    extensions: Vec<Component>,
}

#[derive(Deserialize)]
struct Component {
    name: String,
    #[serde(default)]
    rules: Vec<Rule>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Rule {
    id: String,
    default_configuration: Option<Configuration>,
    #[serde(default)]
    message_strings: BTreeMap<String, Message>,
    help: Option<Message>,
}

#[derive(Deserialize)]
struct Configuration {
    level: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Invocation {
    execution_successful: Option<bool>,
    #[serde(default)]
    tool_execution_notifications: Vec<Notification>,
}

#[derive(Deserialize)]
struct Notification {
    message: Message,
    level: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RunResult {
    rule_id: Option<String>,
    rule_index: Option<i64>,
    rule: Option<RuleReference>,
    kind: Option<String>,
    level: Option<String>,
    message: Message,
    #[serde(default)]
    locations: Vec<Location>,
    #[serde(default)]
    suppressions: Vec<Suppression>,
    #[serde(default)]
    properties: BTreeMap<String, Value>,
}

#[derive(Deserialize)]
struct RuleReference {
    id: Option<String>,
    index: Option<i64>,
}

#[derive(Deserialize)]
struct Suppression {
    status: Option<String>,
}

#[derive(Deserialize)]
struct Message {
    text: Option<String>,
    id: Option<String>,
    #[serde(default)]
    arguments: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Location {
    physical_location: Option<PhysicalLocation>,
    #[serde(default)]
    logical_locations: Vec<LogicalLocation>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PhysicalLocation {
    artifact_location: Option<ArtifactLocation>,
    region: Option<Region>,
}

#[derive(Deserialize)]
struct Artifact {
    location: Option<ArtifactLocation>,
}

#[derive(Deserialize)]
struct ArtifactLocation {
    uri: Option<String>,
    index: Option<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Region {
    start_line: Option<u32>,
    start_column: Option<u32>,
}

#[derive(Deserialize)]
struct LogicalLocation {
    name: Option<String>,
    kind: Option<String>,
}

impl Run {
    fn read_invocation(&self, invocation: &Invocation, findings: &mut Vec<Finding>) {
        let tool = &self.tool.driver.name;
        for notification in
            invocation.tool_execution_notifications.iter().filter(|one| one.level.as_deref() == Some("error"))
        {
            let message = format!("the tool reports: {}", text_of(&notification.message, None));
            findings.push(
                Finding::new(tool, "tool_execution", Level::Error, "", message)
                    .hint("mend the tool's set-up and run it again"),
            );
        }
        if invocation.execution_successful == Some(false) {
            let message = "the tool says that it did not finish its checks";
            findings.push(
                Finding::new(tool, "tool_execution", Level::Error, "", message).hint("read the tool's own output"),
            );
        }
    }

    /// The result as a finding; `None` for results that say that all is well (`kind` is `pass` or `notApplicable`).
    fn read_result(&self, result: &RunResult) -> Option<Finding> {
        if matches!(result.kind.as_deref(), Some("pass" | "notApplicable")) {
            return None;
        }
        let rule = self.rule_of(result);
        let id = result.rule_id.as_ref().or_else(|| result.rule.as_ref()?.id.as_ref()).or(rule.map(|rule| &rule.id));
        let suppressed = !result.suppressions.is_empty()
            && result.suppressions.iter().all(|one| one.status.as_deref().is_none_or(|status| status == "accepted"));
        let level = if suppressed { Level::Note } else { level_of(result, rule) };
        let location = result.locations.first();
        let physical = location.and_then(|location| location.physical_location.as_ref());
        let region = physical.and_then(|physical| physical.region.as_ref());
        let mut message = text_of(&result.message, rule);
        if suppressed {
            message.push_str(" (suppressed by the tool)");
        }
        let file = physical.and_then(|physical| self.file_of(physical.artifact_location.as_ref()?)).unwrap_or_default();
        let mut finding = Finding::new(&self.tool.driver.name, id.map_or("", String::as_str), level, &file, message);
        finding.line = region.and_then(|region| region.start_line);
        finding.column = region.and_then(|region| region.start_column);
        let logical = location.into_iter().flat_map(|location| &location.logical_locations);
        finding.resource =
            logical.filter(|one| one.kind.as_deref() == Some("resource")).find_map(|one| one.name.clone());
        let help = rule.and_then(|rule| rule.help.as_ref()?.text.clone());
        finding.hint = result.properties.get(HINT).and_then(Value::as_str).map(str::to_owned).or(help);
        Some(finding)
    }

    fn rule_of(&self, result: &RunResult) -> Option<&Rule> {
        let index = result.rule_index.or_else(|| result.rule.as_ref()?.index);
        let by_index = index.and_then(|index| self.tool.driver.rules.get(usize::try_from(index).ok()?));
        let id = result.rule_id.as_ref().or_else(|| result.rule.as_ref()?.id.as_ref());
        let mut rules = self.tool.driver.rules.iter().chain(self.tool.extensions.iter().flat_map(|one| &one.rules));
        match id {
            // An id may name a part of its rule: `CA1000/1` is described by `CA1000` (SARIF 2.1.0, 3.27.5).
            Some(id) => by_index.filter(|rule| id.starts_with(&rule.id)).or_else(|| {
                rules.find(|rule| rule.id == *id || id.strip_prefix(&rule.id).is_some_and(|rest| rest.starts_with('/')))
            }),
            None => by_index,
        }
    }

    fn file_of(&self, location: &ArtifactLocation) -> Option<String> {
        let by_index = || {
            let artifact = self.artifacts.get(usize::try_from(location.index?).ok()?)?;
            artifact.location.as_ref()?.uri.as_ref()
        };
        location.uri.as_ref().or_else(by_index).map(|uri| decoded(uri))
    }
}

/// The level it has, else the one its rule sets, else a warning (SARIF 2.1.0, 3.27.10); what is no failure is a note.
fn level_of(result: &RunResult, rule: Option<&Rule>) -> Level {
    let failure = matches!(result.kind.as_deref(), None | Some("fail"));
    let of_rule = || rule?.default_configuration.as_ref()?.level.as_deref();
    match result.level.as_deref().or_else(|| of_rule().filter(|_| failure)) {
        Some("error") => Level::Error,
        Some("note" | "none") => Level::Note,
        None if !failure => Level::Note,
        _ => Level::Warning,
    }
}

/// A message's text, or its rule's text of that id, with `{0}` and so on replaced by the arguments in one pass.
fn text_of(message: &Message, rule: Option<&Rule>) -> String {
    let by_id = || rule?.message_strings.get(message.id.as_ref()?)?.text.as_ref();
    let Some(template) = message.text.as_ref().or_else(by_id) else {
        return "the tool gave no message".to_owned();
    };
    let (mut text, mut rest) = (String::new(), template.as_str());
    while let Some((before, after)) = rest.split_once('{') {
        text.push_str(before);
        let argument = after
            .split_once('}')
            .and_then(|(number, after)| Some((message.arguments.get(number.parse::<usize>().ok()?)?, after)));
        match argument {
            Some((argument, after)) => {
                text.push_str(argument);
                rest = after;
            }
            None => {
                text.push('{');
                rest = after;
            }
        }
    }
    text.push_str(rest);
    text
}

/// A URI's percent-encoding undone; left as it is where that gives no text.
fn decoded(uri: &str) -> String {
    let (mut bytes, mut rest) = (vec![], uri.as_bytes());
    while let Some((first, after)) = rest.split_first() {
        let hex = after.get(..2).filter(|_| *first == b'%').and_then(|two| std::str::from_utf8(two).ok());
        match hex.and_then(|two| u8::from_str_radix(two, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_| uri.to_owned())
}
