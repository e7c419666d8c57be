//! JUnit XML, for the test views of CI systems: a suite for each tool, a case for each rule it checked. What fails the
//! verdict is a failure; what does not is in the case's output.

use super::finding::Finding;
use super::json::Report;
use std::collections::BTreeMap;
use std::fmt::Write;

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
    let fails = |finding: &Finding| report.verdict.fail_on.fails(finding.level);
    let failed = |cases: &BTreeMap<&str, Vec<&Finding>>| {
        cases.values().filter(|found| found.iter().any(|one| fails(one))).count()
    };
    let (tests, failures) = suites.values().fold((0, 0), |sum, cases| (sum.0 + cases.len(), sum.1 + failed(cases)));
    let subject = &report.subject;
    let name = escaped(&format!("{} {} {}", subject.system, subject.stage, subject.template));
    let mut xml = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"{name}\" tests=\"{tests}\" failures=\"{failures}\">\n"
    );
    for (tool, cases) in &suites {
        let tool = escaped(tool);
        let (tests, failures) = (cases.len(), failed(cases));
        line(
            &mut xml,
            format_args!(
                "  <testsuite name=\"{tool}\" tests=\"{tests}\" failures=\"{failures}\" errors=\"0\" skipped=\"0\">"
            ),
        );
        for (rule, found) in cases {
            let (failing, others): (Vec<&Finding>, Vec<&Finding>) = found.iter().copied().partition(|one| fails(one));
            write_case(&mut xml, &tool, rule, &failing, &others);
        }
        line(&mut xml, format_args!("  </testsuite>"));
    }
    line(&mut xml, format_args!("</testsuites>"));
    xml
}

fn write_case(xml: &mut String, tool: &str, rule: &str, failing: &[&Finding], others: &[&Finding]) {
    let rule = escaped(rule);
    if failing.is_empty() && others.is_empty() {
        return line(xml, format_args!("    <testcase classname=\"{tool}\" name=\"{rule}\"/>"));
    }
    line(xml, format_args!("    <testcase classname=\"{tool}\" name=\"{rule}\">"));
    for finding in failing {
        let (message, level, text) =
            (escaped(&finding.message), finding.level.as_str(), escaped(&description(finding)));
        line(xml, format_args!("      <failure message=\"{message}\" type=\"{level}\">{text}</failure>"));
    }
    if !others.is_empty() {
        let text: Vec<String> =
            others.iter().map(|finding| format!("{}: {}", finding.level.as_str(), description(finding))).collect();
        line(xml, format_args!("      <system-out>{}</system-out>", escaped(&text.join("\n\n"))));
    }
    line(xml, format_args!("    </testcase>"));
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

fn line(xml: &mut String, text: std::fmt::Arguments<'_>) {
    writeln!(xml, "{text}").expect("writing to a String does not fail");
}

/// The text with XML's marks as references, and what XML 1.0 cannot hold replaced.
fn escaped(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => result.push_str("&amp;"),
            '<' => result.push_str("&lt;"),
            '>' => result.push_str("&gt;"),
            '"' => result.push_str("&quot;"),
            '\'' => result.push_str("&apos;"),
            '\n' => result.push_str("&#10;"),
            '\t' => result.push_str("&#9;"),
            '\u{0}'..='\u{1F}' | '\u{FFFE}' | '\u{FFFF}' => result.push('\u{FFFD}'),
            _ => result.push(character),
        }
    }
    result
}
