//! Lint reports: what is found in a template, and how it is told.

mod guard_rules;

use serde_json::{Value, json};
use tidegate::report::difference::difference;
use tidegate::report::document::Document;
use tidegate::report::finding::{Checked, FailOn, Finding, Findings, Level};
use tidegate::report::guard::{self, RuleText};
use tidegate::report::json::{Report, Subject};
use tidegate::report::{html, junit, sarif, template};

const DEPLOYED: &str = include_str!("fixtures/report/deployed.yaml");
const TEMPLATE: &str = include_str!("fixtures/report/template.yaml");

fn subject() -> Subject {
    Subject {
        system: "webshop".to_owned(),
        stage: "qa".to_owned(),
        run: "deliver-42".to_owned(),
        commit: "3f1c0de5a7b94e02b1f6c8d2e9a0b4c6d8e0f123".to_owned(),
        template: "template.yaml".to_owned(),
        template_digest: "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08".to_owned(),
    }
}

/// What the lint step does with a template and the one that is deployed.
fn report(text: &str, deployed: Option<&str>, extra: &[RuleText<'_>]) -> Report {
    match Document::parse("template.yaml", text) {
        Ok(document) => {
            let (mut found, checked) = guard::evaluate(&document, extra);
            found.extend(template::check(&document));
            let deployed = deployed.map(|text| Document::parse("deployed.yaml", text).unwrap().value);
            let difference = difference(deployed.as_ref(), &document.value);
            Report::new(subject(), FailOn::Error, found, [checked, template::checked()], Some(difference))
        }
        Err(finding) => Report::new(subject(), FailOn::Error, [*finding], [template::checked()], None),
    }
}

fn webshop() -> Report {
    report(TEMPLATE, Some(DEPLOYED), &[])
}

fn hostile() -> Report {
    let hostile = "</p><script>alert('x')</script> & \"quoted\" \u{0}\u{1b}[31m \u{202e}";
    let mut finding = Finding::new(hostile, hostile, Level::Error, hostile, hostile).hint(hostile).about(hostile);
    finding.line = Some(0);
    let checked = Checked { tool: hostile.to_owned(), rules: vec![hostile.to_owned()] };
    let resource = json!({ "Type": hostile, "Properties": { hostile: hostile } });
    let difference = difference(None, &json!({ "Resources": { hostile: resource }, hostile: hostile }));
    let subject = Subject { system: hostile.to_owned(), run: hostile.to_owned(), ..subject() };
    Report::new(subject, FailOn::Error, [finding], [checked], Some(difference))
}

#[test]
fn a_report_tells_all_in_json() {
    insta::assert_snapshot!(webshop().to_json());
}

#[test]
fn a_report_is_the_same_bytes_every_time_and_can_be_read_back() {
    let (first, again) = (webshop(), webshop());
    assert_eq!(first.to_json(), again.to_json());
    assert_eq!(html::write(&first), html::write(&again));
    assert_eq!(Report::from_json(&first.to_json()).unwrap(), first);
    let newer = first.to_json().replacen("\"schema_version\": 1", "\"schema_version\": 2", 1);
    assert!(Report::from_json(&newer).unwrap_err().to_string().contains("schema version is 2"));
}

#[test]
fn a_report_fits_its_own_schema() {
    let schema = schemars::schema_for!(Report);
    let validator = jsonschema::validator_for(schema.as_value()).unwrap();
    for report in [webshop(), hostile(), report("]", None, &[])] {
        let value: Value = serde_json::from_str(&report.to_json()).unwrap();
        let errors: Vec<String> = validator.iter_errors(&value).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{errors:?}");
    }
}

#[test]
fn no_report_holds_a_secret() {
    let report = webshop();
    let all = [
        report.to_json(),
        html::write(&report),
        junit::write(&report),
        sarif::write(&report.findings, &report.checked),
    ];
    for text in all {
        assert!(!text.contains("correct-horse") && !text.contains("battery-staple"), "{text}");
    }
    let database = report.difference.unwrap().changed.into_iter().find(|change| change.id == "Database").unwrap();
    assert!(database.values.iter().any(|change| change.path == "Properties.MasterUserPassword"));
}

#[test]
fn the_page_shows_the_verdict_first() {
    let page = html::write(&webshop());
    insta::assert_snapshot!(page);
    let positions = ["<h1>Failed</h1>", "What deploying changes", ">Findings<", "What was checked"]
        .map(|text| page.find(text).unwrap());
    assert!(positions.is_sorted());
    for outside in ["<script", "src=", "href=", "url(", "@import", "http:"] {
        assert!(!page.contains(outside), "{outside}");
    }
}

#[test]
fn the_page_of_a_template_that_cannot_be_read_says_so() {
    let page = html::write(&report("Resources: [", None, &[]));
    assert!(page.contains("Unknown: the template could not be read.") && page.contains("template.yaml:2:1"), "{page}");
}

#[test]
fn hostile_texts_stay_texts() {
    let report = hostile();
    let (page, xml, log) =
        (html::write(&report), junit::write(&report), sarif::write(&report.findings, &report.checked));
    assert!(!page.contains("<script") && page.contains("&lt;script&gt;"), "{page}");
    assert!(!xml.contains("<script"), "{xml}");
    for text in [&page, &xml, &log] {
        assert!(text.chars().all(|one| one == '\n' || !one.is_control() && one != '\u{202e}'), "{text}");
    }
    // What a browser or an XML reader sees: as many elements end as begin.
    for element in ["testsuites", "testsuite", "failure"] {
        assert_eq!(xml.matches(&format!("<{element} ")).count(), xml.matches(&format!("</{element}>")).count());
    }
    assert_eq!(sarif::read(&log).unwrap().len(), 1);
}

#[test]
fn junit_has_a_case_for_each_rule() {
    let mut report = webshop();
    report.findings.list.truncate(3);
    report.checked.iter_mut().for_each(|checked| checked.rules.truncate(3));
    insta::assert_snapshot!(junit::write(&report));
}

#[test]
fn all_that_a_rule_finds_is_in_one_case() {
    let finding = |level, message: &str| Finding::new("tool", "rule", level, "a\tb.yaml", message);
    let found = [
        finding(Level::Error, "first <&>\u{fffe}"),
        finding(Level::Error, "second\tpart"),
        finding(Level::Note, "by the way"),
    ];
    let report = Report::new(subject(), FailOn::Error, found, [], None);
    let read = quick_junit::Report::deserialize_from_str(&junit::write(&report)).unwrap();
    assert_eq!((read.tests, read.failures), (1, 1));
    let case = &read.test_suites[0].test_cases[0];
    let quick_junit::TestCaseStatus::NonSuccess { message, description, .. } = &case.status else {
        panic!("not a failure: {case:?}")
    };
    assert_eq!(message.as_deref(), Some("first <&>\u{fffd} (and 1 more)"));
    let text = description.as_deref().unwrap();
    assert!(text.contains("first <&>\u{fffd}") && text.contains("second part\nplace: a b.yaml"), "{text}");
    assert!(case.system_out.as_deref().unwrap().contains("note: by the way"));
    quick_junit::Report::deserialize_from_str(&junit::write(&hostile())).unwrap();
}

#[test]
fn sarif_is_read_back_as_it_was_written() {
    let report = webshop();
    let log = sarif::write(&report.findings, &report.checked);
    assert_eq!(Findings::new(sarif::read(&log).unwrap()), report.findings);
    let mut few = report;
    few.findings.list.truncate(3);
    insta::assert_snapshot!(sarif::write(&few.findings, &[]));
}

#[test]
fn sarif_of_other_tools_is_read() {
    let log = json!({
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": { "name": "checker", "rules": [
                { "id": "C1", "defaultConfiguration": { "level": "error" }, "help": { "text": "do that" },
                  "messageStrings": { "open": { "text": "{0} is {1}, not {2} {}" } } },
            ] } },
            "artifacts": [{ "location": { "uri": "infra/my%20stack.yaml" } }],
            "invocations": [{ "executionSuccessful": false, "toolExecutionNotifications": [
                { "level": "error", "message": { "text": "no network" } }, { "level": "note", "message": { "text": "hello" } }] }],
            "results": [
                { "ruleId": "C1/2", "ruleIndex": 0, "message": { "id": "open", "arguments": ["Port {1}", "open"] },
                  "locations": [{ "physicalLocation": { "artifactLocation": { "index": 0 }, "region": { "startLine": 3 } } }] },
                { "ruleId": "C2", "message": { "text": "a default level" } },
                { "kind": "pass", "message": { "text": "well" } },
                { "kind": "open", "message": {} },
                { "ruleId": "C1", "message": { "text": "known" }, "suppressions": [{ "kind": "external" }] },
                { "ruleId": "C1", "message": { "text": "refused" }, "suppressions": [{ "kind": "external", "status": "rejected" }] },
            ],
        }, { "tool": { "driver": { "name": "idle" } }, "results": null }],
    });
    let found: Vec<String> = sarif::read(&log.to_string())
        .unwrap()
        .iter()
        .map(|one| {
            format!(
                "{} {} {} {}: {} ({})",
                one.level.as_str(),
                one.tool,
                one.rule,
                one.place(),
                one.message,
                one.hint.as_deref().unwrap_or("-")
            )
        })
        .collect();
    insta::assert_snapshot!(found.join("\n"));
}

#[test]
fn what_is_not_sarif_is_an_error() {
    let deep = format!("{{\"version\":\"2.1.0\",\"runs\":{}", "[".repeat(1_000_000));
    for text in [
        "",
        "null",
        "[]",
        "{}",
        r#"{"version":"2.0.0","runs":[]}"#,
        r#"{"version":"2.1.0","runs":[{}]}"#,
        "\u{feff}x",
        &deep,
    ] {
        assert!(sarif::read(text).is_err(), "{text:.40}");
    }
    let great = " ".repeat(sarif::MAX_BYTES + 1);
    assert!(sarif::read(&great).unwrap_err().to_string().contains("limit"));
}

#[test]
fn structure_is_checked() {
    let text = r#"
Resource: {}
Parameters: { Used: { Type: String }, Spare: { Type: String }, NoType: {} }
Conditions: { Big: !Equals [!Ref Used, x], Wrong: !Not [!Condition Bigg] }
Mappings: { Sizes: { a: { b: c } } }
Resources:
  Good: { Type: "A::B::C", Condition: Big, DependsOn: [Other], Properties: { A: !FindInMap [Sizes, a, b], B: !Ref "AWS::Region" } }
  Other: { Type: "A::B::C", Properties: { S: !Sub ["${Good.Arn} ${!Literal} ${Own} ${NoType}", { Own: 1 }] } }
  No-Type: { DependsOn: 3 }
  TypeOdd: { Type: [x], Condition: Missing }
  Refs: { Type: "A::B::C", DependsOn: [Nobody], Properties: [!Ref Nothing, !GetAtt None.Arn, !Sub "${No} ${None.X}", !If [C, 1, 2], !FindInMap [M, a, b]] }
Outputs: { Out: { Value: !GetAtt [Absent, Arn] } }
"#;
    let document = Document::parse("t.yaml", text).unwrap();
    let findings = Findings::new(template::check(&document));
    let lines: Vec<String> = findings
        .list
        .iter()
        .map(|one| format!("{} {} {}: {}", one.level.as_str(), one.place(), one.rule, one.message))
        .collect();
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn limits_of_cloudformation_are_checked() {
    let resources: String = (0..501)
        .map(|number| format!("  R{number}: {{ Type: 'A::B::C', Metadata: '{}' }}\n", "x".repeat(120)))
        .collect();
    let document = Document::parse("t.yaml", &format!("Resources:\n{resources}")).unwrap();
    let found: Vec<(String, Level)> = template::check(&document).into_iter().map(|one| (one.rule, one.level)).collect();
    assert_eq!(found, [("template_size".to_owned(), Level::Note), ("template_resources".to_owned(), Level::Error)]);
}

#[test]
fn unknown_references_are_notes_where_macros_may_add_resources() {
    let text =
        "Transform: AWS::Serverless-2016-10-31\nResources: { F: { Type: 'A::B::C', Properties: { R: !Ref FRole } } }\n";
    let found = template::check(&Document::parse("t.yaml", text).unwrap());
    assert_eq!(found.iter().map(|one| one.level).collect::<Vec<_>>(), [Level::Note]);
}

#[test]
fn odd_templates_make_nothing_fall_over() {
    for text in [
        "1",
        "[]",
        "Resources: 3",
        "Resources: {A: 3}",
        "Resources: {A: {Type: 'AWS::S3::Bucket', Properties: [1]}}",
        "Parameters: []",
        "Parameters: {Odd: {Type: String}}\nResources: {A: {Type: 'AWS::IAM::Policy', Properties: {PolicyDocument: {Statement: [null, 1, [x]]}}}}",
        "Resources: {A: {Type: 'AWS::EC2::SecurityGroup', Properties: {SecurityGroupIngress: {Ref: x}}}}",
    ] {
        let report = report(text, Some(text), &[]);
        assert!(!report.findings.list.is_empty(), "{text}");
        assert!(
            !report.findings.list.iter().any(|one| one.rule == "guard_rules"),
            "{text}: {:?}",
            report.findings.list
        );
    }
}
