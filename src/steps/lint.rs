//! `lint`: checks the template, stores the reports, and fails on what the rule says fails.

use std::{collections::BTreeMap, path::Path};

use async_trait::async_trait;
use serde_json::{Map, Value};

use super::{
    StepLog, Tools,
    foresight::{Ahead, Certainty, Foreseen, NOT_MADE, Told, placeholder_digest, text},
    given::{needed, time_left},
    step::{Progress, Step, Try, nothing_proceeds},
    synth::last_lines,
};
use crate::{
    engine::{Artifact, Digest, StepWork},
    providers::{
        Fault,
        objects::Source,
        process::{self, Exit},
    },
    report::{
        cfn_lint,
        difference::difference,
        document::Document,
        finding::{Checked, FailOn, Finding},
        guard, html,
        json::{Report, Subject},
        junit, sarif, template,
    },
    rules::{self, Lint, Use},
};

/// As much of a checker's output as is read.
const OUTPUT_LIMIT_BYTES: usize = 16 * 1024 * 1024;
/// The template's name in findings, and its file's where checkers look at it.
const TEMPLATE: &str = "template.json";

/// Checks the template.
pub(super) struct LintStep<'rule>(pub(super) &'rule Lint);

#[async_trait]
impl Step for LintStep<'_> {
    async fn start(&self, on: &Try<'_>) -> Result<Progress, Fault> {
        check(self.0, on.work, on.tools, on.log).await
    }

    async fn cancel(&self, _: &str, _: &Try<'_>) -> Result<Progress, Fault> {
        nothing_proceeds()
    }

    /// Our own checks and cfn-guard's are made; a template that is not there, and the rule's own checkers, are supposed to
    /// be without findings.
    async fn foresee(&self, ahead: Ahead<'_>) -> Foreseen {
        let template = ahead.work.input("synth", "template").and_then(Value::as_str);
        if template.is_some_and(|uri| uri.starts_with(NOT_MADE)) {
            return not_made(&ahead);
        }
        if self.0.commands.is_empty() || ahead.foresight.run_commands {
            return ahead.really(self).await;
        }
        let names: Vec<String> = self.0.commands.iter().map(|words| format!("`{}`", words.join(" "))).collect();
        let note = format!("{} was not run: `--run-commands` runs it on a copy", names.join(", "));
        let ours = Lint { commands: Vec::new(), ..self.0.clone() };
        let outcome = ahead.outcome(&LintStep(&ours)).await;
        Foreseen { outcome, certainty: Certainty::Assumed, note: Some(note) }
    }

    fn tell(&self, _: &StepWork, outputs: &Map<String, Value>) -> Told {
        let number = |name: &str| outputs.get(name).and_then(Value::as_u64).unwrap_or(0);
        let verdict = text(outputs, "verdict").to_owned();
        Told::Lint { verdict, errors: number("errors"), warnings: number("warnings") }
    }
}

/// The report on a template that is not there.
fn not_made(ahead: &Ahead<'_>) -> Foreseen {
    let StepWork { run, step, .. } = &ahead.work;
    let name = placeholder_digest(&format!("report of {run} {step}"));
    let digest = ahead.stands_for(name, format!("the digest of the lint report of {run}"));
    Foreseen::assumed([
        ("verdict", Value::from("passed")),
        ("report", Value::from(format!("{NOT_MADE}report/{run}/{step}"))),
        ("report_digest", Value::from(digest)),
        ("errors", Value::from(0)),
        ("warnings", Value::from(0)),
    ])
}

async fn check(lint: &Lint, work: &StepWork, tools: &Tools, log: &StepLog) -> Result<Progress, Fault> {
    let uri = needed(work, "synth", "template")?;
    let text = String::from_utf8(tools.objects.get(uri).await?)
        .map_err(|_| Fault::fail(format!("{uri} is not UTF-8"), "it was changed after it was made"))?;
    let mut found = Vec::new();
    let mut checked = vec![template::checked()];
    let mut changes = None;
    match Document::parse(TEMPLATE, &text) {
        Err(finding) => found.push(*finding),
        Ok(document) => {
            found.extend(template::check(&document));
            let (findings, by_guard) = guarded(lint, document.clone(), work, tools).await?;
            found.extend(findings);
            checked.push(by_guard);
            changes = Some(difference(deployed_template(work, tools).await.as_ref(), &document.value));
        }
    }
    for (findings, by_tool) in outside(lint, &text, work, tools, log).await? {
        found.extend(findings);
        checked.push(by_tool);
    }
    let report = Report::new(subject(work)?, fail_on(lint.fail_on), found, checked, changes);
    store(&report, work, tools, log).await
}

/// Evaluates cfn-guard's rules: those that come with Tidegate, and the rule's own from the repository.
async fn guarded(
    lint: &Lint,
    document: Document,
    work: &StepWork,
    tools: &Tools,
) -> Result<(Vec<Finding>, Checked), Fault> {
    let mut extra = Vec::new();
    if !lint.guard.is_empty() {
        let (mirror, commit) = tools.source(work).await?;
        for path in &lint.guard {
            let bytes = mirror.read_file(commit.as_str(), path).await?.ok_or_else(|| {
                Fault::fail(
                    format!("there is no `{path}` at {}", commit.short()),
                    "add it, or correct `guard` in the rules",
                )
            })?;
            let text = String::from_utf8(bytes)
                .map_err(|_| Fault::fail(format!("{path} is not UTF-8"), "guard rules are text"))?;
            extra.push((path.clone(), text));
        }
    }
    let evaluate = tokio::task::spawn_blocking(move || {
        let extra: Vec<guard::RuleText<'_>> =
            extra.iter().map(|(file, text)| guard::RuleText { name: file, text }).collect();
        guard::evaluate(&document, &extra)
    });
    match tokio::time::timeout(time_left(work), evaluate).await {
        Ok(Ok(evaluated)) => Ok(evaluated),
        Ok(Err(error)) => {
            Err(Fault::fail(format!("cfn-guard ended badly: {error}"), "look at the rule's `guard` files"))
        }
        Err(_) => Err(Fault::fail("cfn-guard did not end in time", "look at the rule's `guard` files")),
    }
}

/// The template that runs now, to say what deploying the new one would change.
async fn deployed_template(work: &StepWork, tools: &Tools) -> Option<Value> {
    let deployed = work.deployed.iter().find(|artifact| artifact.kind == "template")?;
    serde_json::from_slice(&tools.objects.get(&deployed.uri).await.ok()?).ok()
}

/// Runs cfn-lint, where it is wanted, and the rule's own checkers.
async fn outside(
    lint: &Lint,
    text: &str,
    work: &StepWork,
    tools: &Tools,
    log: &StepLog,
) -> Result<Vec<(Vec<Finding>, Checked)>, Fault> {
    let mut wants_cfn_lint = match lint.cfn_lint {
        Use::Always => true,
        Use::Never => false,
        Use::IfInstalled => installed("cfn-lint"),
    };
    if !wants_cfn_lint && lint.commands.is_empty() {
        return Ok(Vec::new());
    }
    let scratch = tools.scratch(work)?;
    let file = scratch.path().join(TEMPLATE);
    std::fs::write(&file, text).map_err(|error| Fault::retry(format!("writing {}: {error}", file.display())))?;
    let mut results = Vec::new();
    if wants_cfn_lint && lint.cfn_lint == Use::IfInstalled {
        // One whose files cannot be read in the sandbox is not installed for us.
        let asks = process_of(["cfn-lint", "--version"].map(str::to_owned).to_vec(), lint, scratch.path(), work, tools)
            .await?;
        wants_cfn_lint = process::run(&asks).await.is_ok_and(|finished| finished.succeeded());
        if !wants_cfn_lint {
            log.line(
                "cfn-lint is left out: it does not run in the sandbox; `tools` in tidegate.toml shows it its files",
            )
            .await;
        }
    }
    if wants_cfn_lint {
        let arguments = ["cfn-lint", "--format", "json", "--", TEMPLATE].map(str::to_owned).to_vec();
        let output = run(arguments, lint, scratch.path(), work, tools, log).await?;
        let findings = cfn_lint::read(&output).map_err(|error| unreadable("cfn-lint", &error.to_string()))?;
        results.push((findings, Checked { tool: "cfn-lint".to_owned(), rules: Vec::new() }));
    }
    for command in &lint.commands {
        let mut context = work.context();
        context["template"] = Value::from(TEMPLATE);
        let words: Result<Vec<String>, _> =
            command.iter().map(|word| rules::template::render(word, &context)).collect();
        let words = words.map_err(|error| Fault::fail(error.to_string(), "correct the template in the rules"))?;
        let tool = words.first().cloned().unwrap_or_default();
        let output = run(words, lint, scratch.path(), work, tools, log).await?;
        let findings = sarif::read(&output).map_err(|error| unreadable(&tool, &error.to_string()))?;
        results.push((findings, Checked { tool, rules: Vec::new() }));
    }
    Ok(results)
}

fn installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

fn unreadable(tool: &str, error: &str) -> Fault {
    Fault::fail(format!("{tool}: {error}"), "run it by hand on the template to see what it prints")
}

/// A checker's process, in the folder of the template.
async fn process_of(
    arguments: Vec<String>,
    lint: &Lint,
    folder: &Path,
    work: &StepWork,
    tools: &Tools,
) -> Result<process::Command, Fault> {
    Ok(process::Command {
        arguments,
        sandbox: tools.sandbox.clone(),
        network: lint.network,
        secrets: tools.secrets.given(work, &lint.secrets)?,
        caches: tools.own_caches(work, &lint.caches).await?,
        directory: folder.to_owned(),
        home: folder.to_owned(),
        environment: BTreeMap::new(),
        stdin: None,
        deadline: time_left(work),
        output_limit_bytes: OUTPUT_LIMIT_BYTES,
    })
}

/// Runs a checker; one that found something may end with any code, so what it printed decides.
async fn run(
    arguments: Vec<String>,
    lint: &Lint,
    folder: &Path,
    work: &StepWork,
    tools: &Tools,
    log: &StepLog,
) -> Result<String, Fault> {
    let name = arguments.join(" ");
    log.line(&format!("$ {name}")).await;
    let finished = process::run(&process_of(arguments, lint, folder, work, tools).await?).await?;
    log.output(&finished.stderr).await;
    let killed = matches!(finished.exit, Exit::Signal(_)) || finished.timed_out || finished.truncated;
    let failed_silently = !finished.succeeded() && finished.stdout.is_empty();
    if killed || failed_silently {
        let how = if finished.timed_out { "no end in time".to_owned() } else { finished.exit.to_string() };
        return Err(unreadable(&name, &format!("{how}{}", last_lines(&finished.stderr))));
    }
    String::from_utf8(finished.stdout).map_err(|_| unreadable(&name, "its output is not UTF-8"))
}

fn subject(work: &StepWork) -> Result<Subject, Fault> {
    Ok(Subject {
        system: work.system.to_string(),
        stage: work.stage.to_string(),
        run: work.run.to_string(),
        commit: work.source.as_ref().map_or_else(String::new, |source| source.commit.to_string()),
        template: TEMPLATE.to_owned(),
        template_digest: needed(work, "synth", "template_digest")?.to_owned(),
    })
}

const fn fail_on(fail_on: rules::FailOn) -> FailOn {
    match fail_on {
        rules::FailOn::Error => FailOn::Error,
        rules::FailOn::Warning => FailOn::Warning,
        rules::FailOn::Never => FailOn::Never,
    }
}

/// Stores the report in all its forms, under the digest of the one that approvals bind to.
async fn store(report: &Report, work: &StepWork, tools: &Tools, log: &StepLog) -> Result<Progress, Fault> {
    let json = report.to_json();
    let digest = Digest::of(json.as_bytes());
    let folder = format!("reports/{}/{}", work.system, digest.as_str().replace(':', "-"));
    let put = async |name: &str, text: &str| {
        let stored = tools.objects.put_if_absent(&format!("{folder}/{name}"), Source::Bytes(text.as_bytes())).await?;
        Ok::<String, Fault>(stored.uri)
    };
    put("report.json", &json).await?;
    put("report.sarif", &sarif::write(&report.findings, &report.checked)).await?;
    put("report.junit.xml", &junit::write(report)).await?;
    let page = put("report.html", &html::write(report)).await?;
    let (errors, warnings) = (report.findings.errors, report.findings.warnings);
    log.line(&format!("{}; the report is {page}", report.verdict.counts())).await;
    if !report.verdict.passed {
        let worst = report
            .findings
            .list
            .first()
            .map_or_else(String::new, |finding| format!("; the first: {}", finding.message));
        return Err(Fault::fail(
            format!("the template has {}{worst}", report.verdict.counts()),
            format!("the report says more: {page}"),
        ));
    }
    Ok(Progress::done(
        [
            ("verdict", Value::from("passed")),
            ("errors", Value::from(errors)),
            ("warnings", Value::from(warnings)),
            ("report", Value::from(page.clone())),
            ("report_digest", Value::from(digest.as_str())),
        ],
        vec![Artifact::of_digest("report", &digest, &page)],
    ))
}
