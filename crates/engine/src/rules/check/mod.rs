//! Whether rules mean something: what they refer to exists, steps follow from one another, nothing loops. One file per
//! kind of question; each adds what it finds, with its place, and stops for nothing.

mod fields;
mod gates;
mod loops;
mod notifications;
mod promotions;
mod repositories;
mod steps;
mod templates;
mod texts;
mod triggers;

use std::{fmt::Display, ops::Range};

use super::{
    document::Node,
    matching::check_pattern,
    mistake::{Findings, did_you_mean},
    model::{Rule, Rules, Step},
    names::StageName,
    notifications::Channels,
};

/// The most stages and rules of a file, and steps of a rule; the checks compare each with each.
const MOST_STAGES: usize = 50;
const MOST_RULES: usize = 200;
const MOST_STEPS: usize = 100;
/// The most path patterns in one list. Each is an automaton of its own.
const MOST_PATTERNS: usize = 200;

/// Checks what rules mean. `document` gives the places, `text` is what it was parsed from; `channels` are those of
/// `tidegate.toml`, where they are known.
pub(super) fn check(rules: &Rules, document: &Node, text: &str, channels: Option<&Channels>, findings: &mut Findings) {
    let mut check = Check { rules, document, text, findings };
    if rules.stages.len() > MOST_STAGES {
        return check.add(document.key("stages"), format!("there are more than {MOST_STAGES} stages"));
    }
    repositories::check(&mut check);
    promotions::check(&mut check);
    notifications::check(&mut check);
    if let Some(channels) = channels {
        notifications::channels(&mut check, channels);
    }
    gates::check(&mut check);
    if rules.rules.len() > MOST_RULES {
        check.add(
            document.key("rules"),
            format!("there are more than {MOST_RULES} rules: make several systems of them"),
        );
        return;
    }
    for (name, rule) in &rules.rules {
        let place = document.field("rules").field(name.as_str());
        triggers::check(&mut check, rule, place);
        if rule.steps.len() > MOST_STEPS {
            check
                .add(place.key("steps"), format!("there are more than {MOST_STEPS} steps: make several rules of them"));
            continue;
        }
        steps::check(&mut check, rule, place);
    }
    loops::check(&mut check);
}

/// The rules under check and where what is found goes.
struct Check<'check> {
    rules: &'check Rules,
    document: &'check Node,
    text: &'check str,
    findings: &'check mut Findings,
}

impl Check<'_> {
    fn add(&mut self, bytes: Range<usize>, message: impl Into<String>) {
        self.findings.add(bytes, message);
    }

    fn add_with_help(&mut self, bytes: Range<usize>, message: impl Into<String>, help: impl Into<String>) {
        self.findings.add_with_help(bytes, message, help);
    }

    /// Checks a list of path patterns.
    fn path_patterns(&mut self, patterns: &[String], place: &Node) {
        if patterns.len() > MOST_PATTERNS {
            return self
                .add(place.bytes.clone(), format!("there are more than {MOST_PATTERNS} patterns; name folders"));
        }
        for (index, pattern) in patterns.iter().enumerate() {
            self.demand(&place.item(index).bytes, check_pattern(pattern));
        }
    }

    /// Adds the text of an error.
    fn demand<Failure: Display>(&mut self, bytes: &Range<usize>, result: Result<(), Failure>) {
        if let Err(error) = result {
            self.findings.add(bytes.clone(), error.to_string());
        }
    }

    /// Adds a mistake unless the name is among those that are known. `kind` is what it is the name of, as in "stage".
    fn exists<'name>(
        &mut self,
        kind: &str,
        name: &str,
        known: impl Iterator<Item = &'name str> + Clone,
        bytes: &Range<usize>,
    ) -> bool {
        if known.clone().any(|known| known == name) {
            return true;
        }
        if self.findings.are_many() {
            return false;
        }
        let help = did_you_mean(name, known.clone()).or_else(|| {
            let known: Vec<&str> = known.take(20).collect();
            (!known.is_empty()).then(|| format!("there are: {}", known.join(", ")))
        });
        self.findings.add_with(bytes.clone(), format!("there is no {kind} `{name}`"), help);
        false
    }

    fn repository_exists(&mut self, name: &str, bytes: &Range<usize>) {
        let rules = self.rules;
        self.exists("repository", name, rules.repositories.keys().map(|name| name.as_str()), bytes);
    }

    fn stage_exists(&mut self, name: &str, bytes: &Range<usize>) -> bool {
        let rules = self.rules;
        self.exists("stage", name, rules.stages.keys().map(|name| name.as_str()), bytes)
    }

    /// Checks the stages of a step or schedule: they exist, and the rule is for them.
    fn stages_of_rule(&mut self, stages: Option<&Vec<StageName>>, rule: &Rule, place: &Node) {
        for (index, stage) in stages.into_iter().flatten().enumerate() {
            let bytes = place.item(index).bytes.clone();
            if self.stage_exists(stage.as_str(), &bytes) && !rule.is_for(stage) {
                self.add_with_help(
                    bytes,
                    format!("the rule is not for stage `{stage}`"),
                    "add it to the `stages` of the rule, or take it out here",
                );
            }
        }
    }

    /// The stages in which a step of a rule runs, in their order.
    fn stages_of_step<'rules>(
        &'rules self,
        rule: &'rules Rule,
        step: &'rules Step,
    ) -> impl Iterator<Item = &'rules StageName> {
        let runs_in = |stage: &&StageName| {
            rule.is_for(stage) && step.stages.as_ref().is_none_or(|stages| stages.contains(*stage))
        };
        self.rules.stages.keys().filter(runs_in)
    }
}
