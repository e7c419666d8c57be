//! SARIF 2.1.0 (OASIS, "Static Analysis Results Interchange Format"), written from our findings and read from any tool that
//! prints it.

mod read;

pub use read::{MAX_BYTES, Unreadable, read};

use super::finding::{Checked, Finding, Findings};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};

/// The property of a result's bag that carries the hint.
const HINT: &str = "hint";

/// Writes findings as one SARIF log with a run for each tool, ordered by its name; the text ends with a line break. Tools that
/// checked and found nothing have a run without results.
pub fn write(findings: &Findings, checked: &[Checked]) -> String {
    let mut tools: BTreeMap<&str, (BTreeSet<&str>, Vec<&Finding>)> = BTreeMap::new();
    for tool in checked {
        tools.entry(&tool.tool).or_default().0.extend(tool.rules.iter().map(String::as_str));
    }
    for finding in &findings.list {
        let (rules, results) = tools.entry(&finding.tool).or_default();
        rules.insert(&finding.rule);
        results.push(finding);
    }
    let runs: Vec<Value> = tools.into_iter().map(|(tool, (rules, results))| run(tool, &rules, &results)).collect();
    let log = json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": runs,
        "properties": { "leftOut": findings.left_out },
    });
    format!("{log:#}\n")
}

fn run(tool: &str, rules: &BTreeSet<&str>, findings: &[&Finding]) -> Value {
    let index: BTreeMap<&str, usize> = rules.iter().enumerate().map(|(index, rule)| (*rule, index)).collect();
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let results = findings.iter().map(|finding| {
        let identity = fingerprint(finding);
        let occurrence = seen.entry(identity.clone()).or_default();
        *occurrence += 1;
        let mut result = json!({
            "ruleId": finding.rule,
            "ruleIndex": index.get(finding.rule.as_str()),
            "level": finding.level.as_str(),
            "message": { "text": finding.message },
            "locations": [location(finding)],
            "partialFingerprints": { "finding/v1": format!("{identity}:{occurrence}") },
        });
        if let Some(hint) = &finding.hint {
            result["properties"] = Value::Object(Map::from_iter([(HINT.to_owned(), Value::from(hint.as_str()))]));
        }
        result
    });
    let results: Vec<Value> = results.collect();
    let rules: Vec<Value> = rules.iter().map(|rule| json!({ "id": rule })).collect();
    json!({ "tool": { "driver": { "name": tool, "rules": rules } }, "columnKind": "unicodeCodePoints", "results": results })
}

fn location(finding: &Finding) -> Value {
    let mut location = json!({});
    if !finding.file.is_empty() {
        location["physicalLocation"] = json!({ "artifactLocation": { "uri": encoded(&finding.file) } });
    }
    if let Some(line) = finding.line.filter(|_| !finding.file.is_empty()) {
        location["physicalLocation"]["region"] = match finding.column {
            Some(column) => json!({ "startLine": line, "startColumn": column }),
            None => json!({ "startLine": line }),
        };
    }
    if let Some(resource) = &finding.resource {
        location["logicalLocations"] = json!([{ "name": resource, "kind": "resource" }]);
    }
    location
}

/// What stays the same when lines move: the tool, the rule, the resource and the message.
fn fingerprint(finding: &Finding) -> String {
    let parts = [&finding.tool, &finding.rule, &finding.file, finding.resource.as_ref().unwrap_or(&finding.message)];
    let digest = Sha256::digest(parts.map(String::as_str).join("\0").as_bytes());
    digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// A file's name as a relative URI: everything but RFC 3986's unreserved characters and `/` is percent-encoded.
fn encoded(file: &str) -> String {
    let mut uri = String::new();
    for byte in file.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            uri.push_str(&format!("%{byte:02X}"));
        }
    }
    uri
}
