//! The report as one HTML page for the people who approve: no outside resources, no scripts, readable on a phone, in the dark,
//! on paper and by a screen reader. Everything shown goes through the template's escaping.

use super::difference::{ResourceChange, TemplateDifference, ValueChange};
use super::finding::{FailOn, Finding, Level, tidy};
use super::json::Report;
use handlebars::Handlebars;
use serde::Serialize;
use serde_json::Value;

const TEMPLATE: &str = include_str!("report.html.hbs");

/// How many values a resource shows unfolded.
const MAX_OPEN_VALUES: usize = 12;

/// Writes a report as a page: the same report, the same bytes.
pub fn write(report: &Report) -> String {
    let mut handlebars = Handlebars::new();
    handlebars.set_strict_mode(true);
    handlebars.render_template(TEMPLATE, &Page::new(report)).expect("the template names only fields of the page")
}

#[derive(Serialize)]
struct Page {
    title: String,
    passed: bool,
    verdict: &'static str,
    reason: &'static str,
    counts: String,
    subject: Vec<Fact>,
    difference: Option<Difference>,
    levels: Vec<LevelGroup>,
    left_out: usize,
    checked: Vec<CheckedRow>,
    schema_version: u32,
}

#[derive(Serialize)]
struct Fact {
    name: &'static str,
    value: String,
    code: bool,
}

#[derive(Serialize)]
struct Difference {
    summary: String,
    groups: Vec<ChangeGroup>,
    sections: Vec<Change>,
    left_out: usize,
}

#[derive(Serialize)]
struct ChangeGroup {
    name: &'static str,
    mark: &'static str,
    class: &'static str,
    both: bool,
    resources: Vec<Resource>,
}

#[derive(Serialize)]
struct Resource {
    id: String,
    resource_type: String,
    open: bool,
    values: Vec<Change>,
    left_out: usize,
}

#[derive(Serialize)]
struct Change {
    path: String,
    old: Option<String>,
    new: Option<String>,
    value: String,
}

#[derive(Serialize)]
struct LevelGroup {
    name: &'static str,
    mark: &'static str,
    class: &'static str,
    count: usize,
    findings: Vec<FindingView>,
}

#[derive(Serialize)]
struct FindingView {
    message: String,
    hint: Option<String>,
    rule: String,
    tool: String,
    resource: Option<String>,
    place: String,
}

#[derive(Serialize)]
struct CheckedRow {
    tool: String,
    rules: Vec<String>,
    count: usize,
    found: String,
}

impl Page {
    fn new(report: &Report) -> Self {
        let (subject, verdict) = (&report.subject, &report.verdict);
        let fact = |name, value: &str, code| Fact { name, value: value.to_owned(), code };
        let group = |name, mark, level: Level, count| LevelGroup {
            name,
            mark,
            class: level.as_str(),
            count,
            findings: report
                .findings
                .list
                .iter()
                .filter(|finding| finding.level == level)
                .map(FindingView::new)
                .collect(),
        };
        let levels = [
            group("Errors", "✕", Level::Error, verdict.errors),
            group("Warnings", "!", Level::Warning, verdict.warnings),
            group("Notes", "i", Level::Note, verdict.notes),
        ];
        Self {
            title: format!("{} {}: lint report", subject.system, subject.stage),
            passed: verdict.passed,
            verdict: if verdict.passed { "Passed" } else { "Failed" },
            reason: match verdict.fail_on {
                FailOn::Error => "Errors fail it.",
                FailOn::Warning => "Errors and warnings fail it.",
                FailOn::Never => "Findings are for information; nothing fails it.",
            },
            counts: verdict.counts(),
            subject: vec![
                fact("System", &subject.system, false),
                fact("Stage", &subject.stage, false),
                fact("Run", &subject.run, true),
                fact("Commit", &subject.commit, true),
                fact("Template", &subject.template, true),
                fact("Digest", &subject.template_digest, true),
            ],
            difference: report.difference.as_ref().map(Difference::new),
            levels: levels.into_iter().filter(|group| group.count > 0).collect(),
            left_out: report.findings.left_out,
            checked: report
                .checked
                .iter()
                .map(|checked| CheckedRow::new(report, &checked.tool, &checked.rules))
                .collect(),
            schema_version: report.schema_version,
        }
    }
}

impl FindingView {
    fn new(finding: &Finding) -> Self {
        Self {
            message: finding.message.clone(),
            hint: finding.hint.clone(),
            rule: finding.rule.clone(),
            tool: finding.tool.clone(),
            resource: finding.resource.clone(),
            place: finding.place(),
        }
    }
}

impl CheckedRow {
    fn new(report: &Report, tool: &str, rules: &[String]) -> Self {
        let found = report.findings.list.iter().filter(|finding| finding.tool == tool).count();
        let found = match found {
            0 => "nothing found".to_owned(),
            1 => "1 finding".to_owned(),
            _ => format!("{found} findings"),
        };
        Self { tool: tool.to_owned(), rules: rules.to_vec(), count: rules.len(), found }
    }
}

impl Difference {
    fn new(difference: &TemplateDifference) -> Self {
        let group = |name, mark, class, resources: &[ResourceChange]| ChangeGroup {
            name,
            mark,
            class,
            both: class == "changed",
            resources: resources.iter().map(Resource::new).collect(),
        };
        let groups = [
            group("Changed", "~", "changed", &difference.changed),
            group("Removed", "−", "removed", &difference.removed),
            group("Added", "+", "added", &difference.added),
        ];
        let (added, removed, changed) = (difference.added.len(), difference.removed.len(), difference.changed.len());
        let summary = match (difference.first, difference.is_empty()) {
            (true, _) => "Nothing is deployed yet: this is the first template of this stack.".to_owned(),
            (false, true) => "Nothing: the template is the one that is deployed.".to_owned(),
            (false, false) => format!("Resources: {changed} changed, {removed} removed, {added} added."),
        };
        Self {
            summary,
            groups: groups.into_iter().filter(|group| !group.resources.is_empty()).collect(),
            sections: difference.sections.iter().map(Change::new).collect(),
            left_out: difference.left_out,
        }
    }
}

impl Resource {
    fn new(change: &ResourceChange) -> Self {
        Self {
            id: tidy(&change.id),
            resource_type: tidy(&change.resource_type),
            open: change.values.len() <= MAX_OPEN_VALUES,
            values: change.values.iter().map(Change::new).collect(),
            left_out: change.left_out,
        }
    }
}

impl Change {
    fn new(change: &ValueChange) -> Self {
        let (old, new) = (change.old.as_ref().map(text_of), change.new.as_ref().map(text_of));
        let value = new.clone().or_else(|| old.clone()).unwrap_or_default();
        Self { path: tidy(&change.path), old, new, value }
    }
}

fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) if text.is_empty() => "\"\"".to_owned(),
        Value::String(text) => tidy(text),
        other => tidy(&other.to_string()),
    }
}
