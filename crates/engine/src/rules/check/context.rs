//! The rules under check, where everything in them stands, and where what is found goes.

use std::{fmt::Display, ops::Range};

use super::super::{
    document::Node,
    here::Here,
    matching::check_pattern,
    mistake::{Findings, did_you_mean},
    model::{Rule, Rules, Step},
    names::StageName,
};

/// The most path patterns in one list. Each is an automaton of its own.
const MOST_PATTERNS: usize = 200;

/// The rules under check and where what is found goes.
pub(super) struct Check<'check> {
    pub(super) rules: &'check Rules,
    pub(super) document: &'check Node,
    pub(super) text: &'check str,
    /// What `tidegate.toml` has, where it is known.
    pub(super) here: Option<&'check Here>,
    pub(super) findings: &'check mut Findings,
}

impl Check<'_> {
    pub(super) fn add(&mut self, bytes: Range<usize>, message: impl Into<String>) {
        self.findings.add(bytes, message);
    }

    pub(super) fn add_with_help(&mut self, bytes: Range<usize>, message: impl Into<String>, help: impl Into<String>) {
        self.findings.add_with_help(bytes, message, help);
    }

    /// Checks a list of path patterns.
    pub(super) fn path_patterns(&mut self, patterns: &[String], place: &Node) {
        if patterns.len() > MOST_PATTERNS {
            return self
                .add(place.bytes.clone(), format!("there are more than {MOST_PATTERNS} patterns; name folders"));
        }
        for (index, pattern) in patterns.iter().enumerate() {
            self.demand(&place.item(index).bytes, check_pattern(pattern));
        }
    }

    /// Adds the text of an error.
    pub(super) fn demand<Failure: Display>(&mut self, bytes: &Range<usize>, result: Result<(), Failure>) {
        if let Err(error) = result {
            self.findings.add(bytes.clone(), error.to_string());
        }
    }

    /// Adds a mistake unless the name is among those that are known. `kind` is what it is the name of, as in "stage".
    pub(super) fn exists<'name>(
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

    pub(super) fn repository_exists(&mut self, name: &str, bytes: &Range<usize>) {
        let rules = self.rules;
        self.exists("repository", name, rules.repositories.keys().map(|name| name.as_str()), bytes);
    }

    pub(super) fn stage_exists(&mut self, name: &str, bytes: &Range<usize>) -> bool {
        let rules = self.rules;
        self.exists("stage", name, rules.stages.keys().map(|name| name.as_str()), bytes)
    }

    /// Checks the stages of a step or schedule: they exist, and the rule is for them.
    pub(super) fn stages_of_rule(&mut self, stages: Option<&Vec<StageName>>, rule: &Rule, place: &Node) {
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
    pub(super) fn stages_of_step<'rules>(
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
