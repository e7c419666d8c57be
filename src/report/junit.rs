//! JUnit XML, for the test views of CI systems: a suite for each tool, a case for each rule it checked. What fails the
//! verdict is the case's failure; what does not is in its output.

use super::finding::Finding;
use super::json::Report;
use quick_junit::{NonSuccessKind, TestCase, TestCaseStatus, TestSuite};
use std::collections::BTreeMap;

/// Writes a report as JUnit XML, UTF-8, ending with a line break.
pub fn write(report: &Report) -> String {
    let mut suites: BTreeMap<&str, BTreeMap<&str, Vec<&Finding>>> = BTreeMap::new();
    for checked in &report.checked {
        let suite = suites.entry(&checked.tool).or_default();
        suite.extend(checked.rules.iter().map(|rule| (rule.as_str(), vec![])));
    }
    for finding in &report.findings.list {
        suites.entry(&finding.tool).or_default().entry(&finding.rule).or_default().push(finding);
    }
    let subject = &report.subject;
    let name = format!("{} {} {}", subject.system, subject.stage, subject.template);
    let mut written = quick_junit::Report::new(clean(&name));
    for (tool, cases) in &suites {
        let mut suite = TestSuite::new(clean(tool));
        suite.add_test_cases(cases.iter().map(|(rule, found)| case(tool, rule, found, report)));
        written.add_test_suite(suite);
    }
    written.to_string().expect("writing to memory does not fail")
}

/// One case has one failure, as the stricter readers demand: all that fails is in its text, the gravest first.
fn case(tool: &str, rule: &str, found: &[&Finding], report: &Report) -> TestCase {
    let (failing, others): (Vec<&Finding>, Vec<&Finding>) =
        found.iter().copied().partition(|finding| report.verdict.fail_on.fails(finding.level));
    let status = match failing.as_slice() {
        [] => TestCaseStatus::success(),
        [gravest, more @ ..] => {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            let more = if more.is_empty() { String::new() } else { format!(" (and {} more)", more.len()) };
            status.set_message(clean(&format!("{}{more}", gravest.message)));
            status.set_type(gravest.level.as_str());
            status.set_description(clean(&all(&failing, description)));
            status
        }
    };
    let mut case = TestCase::new(clean(rule), status);
    case.set_classname(clean(tool));
    if !others.is_empty() {
        let told = |finding: &Finding| format!("{}: {}", finding.level.as_str(), description(finding));
        case.set_system_out(clean(&all(&others, told)));
    }
    case
}

fn all(findings: &[&Finding], tell: impl Fn(&Finding) -> String) -> String {
    findings.iter().map(|finding| tell(finding)).collect::<Vec<_>>().join("\n\n")
}

fn description(finding: &Finding) -> String {
    let mut text = finding.message.clone();
    if let Some(resource) = &finding.resource {
        text.push_str(&format!("\nresource: {resource}"));
    }
    if !finding.file.is_empty() {
        text.push_str(&format!("\nplace: {}", finding.place()));
    }
    if let Some(hint) = &finding.hint {
        text.push_str(&format!("\nhint: {hint}"));
    }
    text
}

/// The text without what XML 1.0 cannot hold, and without tabs, which the library takes for escape sequences and drops.
fn clean(text: &str) -> String {
    let replaced = |character| match character {
        '\t' => ' ',
        '\n' => '\n',
        '\u{0}'..='\u{1F}' | '\u{FFFE}' | '\u{FFFF}' => '\u{FFFD}',
        other => other,
    };
    text.chars().map(replaced).collect()
}
