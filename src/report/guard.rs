//! Evaluates templates against CloudFormation Guard rules, in this process: our own set and those that a system adds.
//!
//! The evaluator recurses without bounds and may panic on odd rules, and an exhausted stack ends a process whatever is
//! caught. So rules are measured before they run ([`shape`]), they run on a thread with a stack of known size, and
//! whatever does not come back with an answer is an error finding that names the rules. The verbose record of the evaluation
//! is read, not its JSON summary: version 3.2.1 hands out only the last 8 KiB of that.

mod shape;

use super::document::Document;
use super::finding::{Checked, Finding, Level, TOOL as OURSELVES, resource_of};
use cfn_guard::{ValidateInput, run_checks};
use serde::Deserialize;
use std::collections::BTreeSet;

/// The evaluator's name in findings.
pub const TOOL: &str = "cfn-guard";

/// The bundled rules, one file for each subject.
pub const BUNDLED: [RuleText<'static>; 6] = [
    RuleText { name: "access.guard", text: include_str!("guard_rules/access.guard") },
    RuleText { name: "compute.guard", text: include_str!("guard_rules/compute.guard") },
    RuleText { name: "data.guard", text: include_str!("guard_rules/data.guard") },
    RuleText { name: "network.guard", text: include_str!("guard_rules/network.guard") },
    RuleText { name: "s3.guard", text: include_str!("guard_rules/s3.guard") },
    RuleText { name: "secrets.guard", text: include_str!("guard_rules/secrets.guard") },
];

/// The evaluating thread's stack: measured need is under 1 MiB for the deepest template and rules that are let in.
const STACK_BYTES: usize = 64 * 1024 * 1024;

/// Rules in the Guard language.
///
/// In a custom message, `<<WARNING: What is wrong. Fix: What to do.>>`, the first word may lower the level from error to
/// `WARNING:` or `NOTE:`, and what follows `Fix:` becomes the hint.
#[derive(Debug, Clone, Copy)]
pub struct RuleText<'text> {
    /// The file's name, for errors.
    pub name: &'text str,
    /// The rules.
    pub text: &'text str,
}

/// Evaluates the bundled rules and the extra ones. Rules that cannot be evaluated are findings of level error: a template
/// must not pass because a check fell over. The time that extra rules take is not bounded here; give the call a deadline.
pub fn evaluate(document: &Document, extra: &[RuleText<'_>]) -> (Vec<Finding>, Checked) {
    let template = document.value.to_string();
    let (mut findings, mut rules) = (vec![], BTreeSet::new());
    for text in BUNDLED.iter().chain(extra) {
        match evaluate_one(&template, *text) {
            Ok(records) => records.iter().for_each(|record| read_rule(document, record, &mut findings, &mut rules)),
            Err(failure) => findings.push(not_evaluated(*text, &failure)),
        }
    }
    (findings, Checked { tool: TOOL.to_owned(), rules: rules.into_iter().collect() })
}

fn not_evaluated(rules: RuleText<'_>, failure: &str) -> Finding {
    let message = format!("the rules in {} could not be evaluated: {failure}", rules.name);
    Finding::new(OURSELVES, "guard_rules", Level::Error, rules.name, message)
        .hint("mend the rules; until then the template cannot pass")
}

fn evaluate_one(template: &str, rules: RuleText<'_>) -> Result<Vec<Record>, String> {
    shape::check(rules.text)?;
    let answer = std::thread::scope(|scope| {
        let evaluation =
            std::thread::Builder::new().name("guard".to_owned()).stack_size(STACK_BYTES).spawn_scoped(scope, || {
                let data = ValidateInput { content: template, file_name: "template" };
                let rules = ValidateInput { content: rules.text, file_name: rules.name };
                run_checks(data, rules, true).map_err(|error| error.to_string())
            });
        match evaluation.map(std::thread::ScopedJoinHandle::join) {
            Ok(Ok(answer)) => answer,
            Ok(Err(panic)) => Err(format!("the evaluator panicked: {}", panic_text(panic.as_ref()))),
            Err(error) => Err(format!("no thread to evaluate them on: {error}")),
        }
    })?;
    if answer.is_empty() {
        return Err("there are no rules in it".to_owned());
    }
    match serde_json::from_str::<Record>(&answer) {
        Ok(file) => Ok(file.children),
        Err(error) => Err(format!("the evaluator's record could not be read: {error}")),
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("it did not say why")
}

fn read_rule(document: &Document, record: &Record, findings: &mut Vec<Finding>, rules: &mut BTreeSet<String>) {
    let Some(Container::RuleCheck(rule)) = &record.container else { return };
    rules.insert(rule.name.clone());
    if rule.status != Status::Fail {
        return;
    }
    let mut failures = vec![];
    collect_failures(record, &mut failures);
    if failures.is_empty() {
        failures.push(Failure::default());
    }
    findings.extend(failures.into_iter().map(|failure| failure.into_finding(document, &rule.name)));
}

/// The failures below a failed record: one for each failed clause, one for each failed `or` as a whole. What merely chose
/// the rule's subject (conditions and filters) is not a failure, nor is what failed within something that holds.
fn collect_failures(record: &Record, failures: &mut Vec<Failure>) {
    match &record.container {
        Some(Container::ClauseValueCheck(clause)) => failures.extend(clause.failure()),
        Some(Container::Disjunction(block)) if block.status == Status::Fail => {
            let mut alternatives = vec![];
            record.children.iter().for_each(|child| collect_failures(child, &mut alternatives));
            let message = alternatives.iter().find_map(|failure| failure.message.clone());
            let path = alternatives.into_iter().find_map(|failure| failure.path);
            failures.push(Failure { path, message });
        }
        Some(Container::RuleCheck(_)) => record.children.iter().for_each(|child| collect_failures(child, failures)),
        Some(
            Container::TypeCheck(TypeCheck { block })
            | Container::WhenCheck(block)
            | Container::BlockGuardCheck(block)
            | Container::GuardClauseBlockCheck(block),
        ) if block.status == Status::Fail => record.children.iter().for_each(|child| collect_failures(child, failures)),
        Some(Container::TypeBlock(Status::Fail)) => {
            record.children.iter().for_each(|child| collect_failures(child, failures));
        }
        _ => {}
    }
}

#[derive(Default)]
struct Failure {
    path: Option<String>,
    message: Option<String>,
}

impl Failure {
    fn into_finding(self, document: &Document, rule: &str) -> Finding {
        let path = self.path.unwrap_or_default();
        let text = self.message.unwrap_or_else(|| format!("{path} does not satisfy the rule {rule}"));
        let (level, text) = match (text.trim().strip_prefix("WARNING:"), text.trim().strip_prefix("NOTE:")) {
            (Some(rest), _) => (Level::Warning, rest),
            (_, Some(rest)) => (Level::Note, rest),
            _ => (Level::Error, text.as_str()),
        };
        let (message, hint) = match text.split_once("Fix:") {
            Some((message, hint)) => (message, Some(hint.trim())),
            None => (text, None),
        };
        let mut finding = Finding::new(TOOL, rule, level, &document.file, message.trim()).at(document.place(&path));
        finding.resource = resource_of(&path).map(str::to_owned);
        finding.hint = hint.map(str::to_owned);
        finding
    }
}

/// The evaluation's record, as far as it is read here; the values it repeats from the template are skipped.
#[derive(Deserialize)]
struct Record {
    container: Option<Container>,
    children: Vec<Record>,
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "what chose a rule's subject is read and passed over")]
enum Container {
    FileCheck(Named),
    RuleCheck(Named),
    RuleCondition(Status),
    TypeCheck(TypeCheck),
    TypeCondition(Status),
    TypeBlock(Status),
    Filter(Status),
    WhenCheck(Block),
    WhenCondition(Status),
    Disjunction(Block),
    BlockGuardCheck(Block),
    GuardClauseBlockCheck(Block),
    ClauseValueCheck(Clause),
}

#[derive(Deserialize, PartialEq, Eq)]
#[serde(rename_all = "UPPERCASE")]
enum Status {
    Pass,
    Fail,
    Skip,
}

#[derive(Deserialize)]
struct Named {
    name: String,
    status: Status,
}

#[derive(Deserialize)]
struct TypeCheck {
    block: Block,
}

#[derive(Deserialize)]
struct Block {
    status: Status,
}

#[derive(Deserialize)]
enum Clause {
    Success,
    Comparison(ValueCheck),
    InComparison(ValueCheck),
    Unary(UnaryCheck),
    NoValueForEmptyCheck(Option<String>),
    DependentRule(DependentRule),
    MissingBlockValue(ValueCheck),
}

impl Clause {
    fn failure(&self) -> Option<Failure> {
        match self {
            Self::Success => None,
            Self::Comparison(check) | Self::InComparison(check) | Self::MissingBlockValue(check) => check.failure(),
            Self::Unary(unary) => unary.value.failure(),
            Self::NoValueForEmptyCheck(message) => Some(Failure { path: None, message: message.clone() }),
            Self::DependentRule(rule) => (rule.status == Status::Fail).then(|| {
                let message = rule.custom_message.clone();
                let message =
                    message.unwrap_or_else(|| format!("the rule {}, which it builds on, does not hold", rule.rule));
                Failure { path: None, message: Some(message) }
            }),
        }
    }
}

#[derive(Deserialize)]
struct UnaryCheck {
    value: ValueCheck,
}

#[derive(Deserialize)]
struct DependentRule {
    rule: String,
    custom_message: Option<String>,
    status: Status,
}

#[derive(Deserialize)]
struct ValueCheck {
    from: Subject,
    custom_message: Option<String>,
    status: Status,
}

impl ValueCheck {
    fn failure(&self) -> Option<Failure> {
        let (Subject::Literal(at) | Subject::Resolved(at) | Subject::UnResolved { traversed_to: at }) = &self.from;
        let message = self.custom_message.clone().filter(|message| !message.trim().is_empty());
        (self.status == Status::Fail).then(|| Failure { path: Some(at.path.clone()), message })
    }
}

#[derive(Deserialize)]
enum Subject {
    Literal(At),
    Resolved(At),
    UnResolved { traversed_to: At },
}

#[derive(Deserialize)]
struct At {
    path: String,
}
