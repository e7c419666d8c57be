//! Something outside ended that works on a commit: a build of a forge, a job of another system. Where it succeeded with the head
//! of a stage it starts the rules that are for it. Its end may be told before any look has shown the commit: then it waits for that.

use super::{
    event::Nudge,
    fact::RepositoryFact,
    ids::{CommitId, Place},
    refused::Refused,
    run::{Cause, Subject},
    state::WorkflowEnd,
    turn::Turn,
};
use crate::rules::{RepositoryName, Rule, RuleName, Rules};

/// How many ends wait in one repository for a look that shows their commit; of more, the oldest are given up.
const MOST_AHEAD: usize = 50;

impl Turn<'_> {
    /// Checks that there are rules that an end is for.
    pub(super) fn known_workflow(&self, what: &Nudge) -> Result<(), Refused> {
        let Nudge::Workflow { workflow, repository, stage, .. } = what else { return Ok(()) };
        let rules = self.rules_in_force()?;
        super::command::known_stage(&rules, stage)?;
        if !rules.repositories.contains_key(repository) {
            return Err(super::command::unknown("repository", repository.as_str(), rules.repositories.keys()));
        }
        let is_for = |rule: &Rule| rule.on.workflow.is_some() && rule.repository() == Some(repository);
        if !rules
            .rules
            .values()
            .any(|rule| is_for(rule) && rule.on.workflow.as_ref() == Some(workflow) && rule.is_for(stage))
        {
            let others = rules.rules.values().filter(|rule| is_for(rule)).filter_map(|rule| rule.on.workflow.clone());
            let others: Vec<String> = others.collect();
            let hint = if others.is_empty() {
                format!(
                    "write `on: {{ workflow: {workflow}, repository: {repository} }}` in the rule that it is to start"
                )
            } else {
                format!("rules wait for: {}", others.join(", "))
            };
            return Err(Refused::unknown(format!("no rule waits for `{workflow}` of {repository} in {stage}"), hint));
        }
        Ok(())
    }

    /// Takes in that it ended. Only a success with the present head starts something now.
    pub(super) fn workflow_ended(&mut self, repository: &RepositoryName, end: &WorkflowEnd) {
        let place = Place { repository: repository.clone(), stage: end.stage.clone() };
        if self.system.head(repository, &end.stage).is_some_and(|head| head.commit == end.commit) {
            return self.start_after(&place, &end.workflow);
        }
        let known = self.system.repositories.get(repository).map(|watched| watched.ahead.clone()).unwrap_or_default();
        if known.contains(end) {
            return;
        }
        for oldest in known.iter().take((known.len() + 1).saturating_sub(MOST_AHEAD)) {
            self.record_repository(repository, RepositoryFact::WorkflowOver(oldest.clone()));
        }
        self.record_repository(repository, RepositoryFact::WorkflowAhead(end.clone()));
    }

    /// A commit became the head of a place: what ended with it before that starts its rules now.
    pub(super) fn workflows_caught_up(&mut self, place: &Place, commit: &CommitId) {
        let Some(watched) = self.system.repositories.get(&place.repository).filter(|watched| !watched.ahead.is_empty())
        else {
            return;
        };
        let of_it = watched.ahead.iter().filter(|end| end.stage == place.stage && end.commit == *commit);
        for end in of_it.cloned().collect::<Vec<_>>() {
            self.record_repository(&place.repository, RepositoryFact::WorkflowOver(end.clone()));
            self.start_after(place, &end.workflow);
        }
    }

    fn start_after(&mut self, place: &Place, workflow: &str) {
        let Some(rules) = self.system.rules().cloned() else { return };
        for name in started_by(&rules, place, workflow) {
            let cause = Cause::Workflow { workflow: workflow.to_owned() };
            self.make_run(&Subject::Rule(name.clone()), &place.stage, cause);
        }
    }
}

fn started_by<'rules>(
    rules: &'rules Rules,
    place: &'rules Place,
    workflow: &'rules str,
) -> impl Iterator<Item = &'rules RuleName> {
    let is_for = move |rule: &Rule| {
        rule.on.workflow.as_deref() == Some(workflow)
            && rule.repository() == Some(&place.repository)
            && rule.is_for(&place.stage)
    };
    rules.rules.iter().filter(move |(_, rule)| is_for(rule)).map(|(name, _)| name)
}
