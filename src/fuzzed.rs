//! The readers of what others write, as the program calls them, for libFuzzer (`scripts/fuzz`) and for the tests of hostile
//! input. None may panic or break what it promises, and none may take memory or time without a bound.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::{
    engine::{Event, Fact, Recorded, System, fold},
    providers::{fuzzed as providers, git::fuzzed as git, local_service::read_template},
    report::{
        cfn_lint,
        document::Document,
        guard::{self, RuleText},
        json::Report,
        sarif, template,
    },
    rules::{self, CronTimes, Schedule, Window},
};

/// A reader, by its name.
pub type Target = (&'static str, fn(&[u8]));

/// Every reader: each has seeds in a folder of this name in `fuzz/seeds`.
pub const TARGETS: [Target; 16] = [
    ("archives", providers::archives),
    ("attributes", git::attributes),
    ("commits", git::commits),
    ("components", providers::components),
    ("deliveries", providers::deliveries),
    ("documents", providers::documents),
    ("edits", git::edits),
    ("globs", git::globs),
    ("guard", guard_rules),
    ("log", log),
    ("remotes", git::remotes),
    ("reports", reports),
    ("rules", rules_file),
    ("templates", templates),
    ("times", times),
    ("words", words),
];

/// Gives these bytes to the reader of this name.
///
/// # Panics
/// When there is none; and when the reader does not do as it must, which is what is looked for.
pub fn read(name: &str, bytes: &[u8]) {
    let (_, read) = TARGETS.into_iter().find(|(target, _)| *target == name).expect("a reader of this name");
    read(bytes);
}

/// The text of these bytes, as those readers get it that take text.
fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}

/// Rules files.
fn rules_file(bytes: &[u8]) {
    if let Some(text) = text(bytes) {
        let named = rules::system_named(text);
        match rules::load("rules.yaml", text) {
            Ok(loaded) => assert_eq!(Some(loaded.system), named),
            Err(mistakes) => drop(mistakes.to_string()),
        }
    }
}

/// What tools report.
fn reports(bytes: &[u8]) {
    if let Some(text) = text(bytes) {
        let _ = (sarif::read(text), cfn_lint::read(text), Report::from_json(text));
    }
}

/// Templates of stacks.
fn templates(bytes: &[u8]) {
    if let Some(text) = text(bytes) {
        if let Ok(document) = Document::parse("template.yaml", text) {
            template::check(&document);
        }
        let _ = read_template(text, &BTreeMap::new());
    }
}

/// Rules of guard beside a template: the first line is the template's, the others are the rules.
fn guard_rules(bytes: &[u8]) {
    let Some((template, text)) = text(bytes).and_then(|text| text.split_once('\n')) else { return };
    if let Ok(document) = Document::parse("template.yaml", template) {
        guard::evaluate(&document, &[RuleText { name: "rules.guard", text }]);
    }
}

/// Rows of the log: an event in the first line, facts in the others.
fn log(bytes: &[u8]) {
    let mut lines = bytes.split(|byte| *byte == b'\n');
    let event = lines.next().map(serde_json::from_slice::<Recorded<Event>>);
    let facts: Vec<Fact> = lines.filter_map(|line| serde_json::from_slice::<Vec<Fact>>(line).ok()).flatten().collect();
    let mut system = System::default();
    let (seq, at_ms) = event.and_then(Result::ok).map_or((1, 0), |event| (event.seq, event.at_ms));
    drop(fold(&mut system, seq, at_ms, facts));
    let _ = serde_json::to_vec(&system);
}

/// Windows and schedules.
fn times(bytes: &[u8]) {
    let Some(text) = text(bytes) else { return };
    if let Ok(window) = Window::parse(text) {
        let _ = (window.contains(0), window.next_opening(0));
    }
    let (cron, timezone) = text.split_once('\n').unwrap_or((text, "UTC"));
    let schedule = serde_json::json!({ "cron": cron, "timezone": timezone });
    let schedule = serde_json::from_value::<Schedule>(schedule);
    if let Some(times) = schedule.ok().and_then(|schedule| CronTimes::parse(&schedule).ok()) {
        let _ = times.next_after(0);
    }
}

/// Templates of rules, patterns of paths, URLs, and what is shown.
fn words(bytes: &[u8]) {
    let Some(text) = text(bytes) else { return };
    let context = Value::from_iter([("stage", Value::from("dev"))]);
    let _ = (rules::template::names(text), rules::template::render(text, &context));
    let _ = (rules::check_pattern(text), rules::git_url(text), rules::git_branch(text));
    let _ = (rules::repository_key(text), rules::host_of(text));
    let shown = rules::printable_line(text);
    assert!(!shown.contains(['\n', '\u{1b}', '\u{202e}']), "{shown:?}");
}
