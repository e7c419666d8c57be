//! How what is supposed comes about: by the same events as in earnest.

use std::{path::Path, sync::Arc};

use tokio::sync::Semaphore;

use super::{Simulation, Supposed, Unpredictable, report::What};
use crate::{
    engine::{Command, Effect, EffectId, EffectKind, Event, Principal, Refused, WatchWork, Work, explain, work},
    providers::git,
    rules::{RepositoryName, RuleName, Rules, StageName},
    watch::watch,
};

impl Simulation {
    /// Lets happen what is supposed; returns it as a clause.
    pub(super) async fn suppose(&mut self, supposed: &Supposed, by: &Principal) -> Result<String, Unpredictable> {
        match supposed {
            Supposed::Push { repository, stage, commit: Some(commit) } => self.pushed(repository, stage, commit).await,
            Supposed::Push { repository, stage, commit: None } => self.carried_again(repository, stage, by).await,
            Supposed::Promote { from, to } => {
                let clause = format!("what was verified in {from} were promoted to {to}");
                self.suppose_that(&clause);
                let command = Command::Promote { from: from.clone(), to: to.clone(), version: None, release: None };
                self.take_in(Event::Command { by: by.clone(), command }).await?;
                Ok(clause)
            }
            Supposed::Until { until_ms } => {
                let clause = format!("it were {}", explain::time(*until_ms));
                self.suppose_that(&clause);
                Ok(clause)
            }
        }
    }

    fn suppose_that(&mut self, clause: &str) {
        self.record.root(self.at_ms, What::Supposed { what: clause.to_owned() });
    }

    /// A branch moves, and a watch sees it.
    async fn pushed(
        &mut self,
        repository: &RepositoryName,
        stage: &StageName,
        commit: &str,
    ) -> Result<String, Unpredictable> {
        let (rules, url) = self.known(repository, stage)?;
        let commit = git::point(Path::new(&url), rules.branch(stage), commit)?;
        let short = commit.get(..10).unwrap_or(&commit).to_owned();
        let clause = format!("{short} were pushed to {repository} {stage}");
        self.suppose_that(&clause);
        if self.system.head(repository, stage).is_some_and(|head| head.commit.as_str() == commit) {
            self.notes.push(format!("{short} is the head of {repository} {stage} already: a push of it is none"));
            return Ok(clause);
        }
        if !self.system.repositories.get(repository).is_some_and(|watched| watched.seen.contains(stage)) {
            self.notes.push(format!(
                "{repository} {stage} has not been seen yet; the first sight of a branch starts nothing"
            ));
        }
        // A watch that was asked for before a commit of ours says nothing of that branch, and another looks at once.
        for _ in 0..2 {
            let (effect, look) = self.watch_of(repository)?;
            if look.known.get(stage).is_some_and(|head| head.as_str() == commit) {
                break;
            }
            let outcome = watch(&look, &self.scratch.tools.mirrors, &Arc::new(Semaphore::new(1))).await;
            self.take_in(Event::Outcome { effect, outcome }).await?;
        }
        Ok(clause)
    }

    /// The pending watch of a repository.
    fn watch_of(&self, repository: &RepositoryName) -> Result<(EffectId, WatchWork), Refused> {
        let is_its =
            |effect: &&Effect| matches!(&effect.kind, EffectKind::Watch { repository: of } if of == repository);
        let effect = self.system.due.values().find(is_its);
        match effect.and_then(|effect| Some((effect.id.clone(), work(&self.system, effect).ok()?))) {
            Some((id, Work::Watch(look))) => Ok((id, look)),
            _ => Err(Refused::Unknown {
                what: format!("{repository} is not watched"),
                hint: "`tidegate serve` watches it".to_owned(),
            }),
        }
    }

    /// The present head is carried forward again: every rule for pushes to it is started by hand.
    async fn carried_again(
        &mut self,
        repository: &RepositoryName,
        stage: &StageName,
        by: &Principal,
    ) -> Result<String, Unpredictable> {
        let (rules, _) = self.known(repository, stage)?;
        let clause = format!("the present head of {repository} {stage} were pushed again");
        self.suppose_that(&clause);
        let names: Vec<RuleName> = rules
            .rules
            .iter()
            .filter(|(_, rule)| rule.on.push.as_ref() == Some(repository) && rule.is_for(stage))
            .map(|(name, _)| name.clone())
            .collect();
        for rule in names {
            let command = Command::Run { rule, stage: stage.clone() };
            self.take_in(Event::Command { by: by.clone(), command }).await?;
        }
        Ok(clause)
    }

    /// The rules and the copy's URL of a repository, when there is such a repository and stage.
    fn known(&self, repository: &RepositoryName, stage: &StageName) -> Result<(Arc<Rules>, String), Refused> {
        let rules = self.system.rules().cloned().ok_or(Refused::NoRules)?;
        let there = |names: Vec<&str>| format!("there are: {}", names.join(", "));
        let Some(found) = rules.repositories.get(repository) else {
            let hint = there(rules.repositories.keys().map(RepositoryName::as_str).collect());
            return Err(Refused::Unknown { what: format!("there is no repository `{repository}`"), hint });
        };
        if !rules.stages.contains_key(stage) {
            let hint = there(rules.stages.keys().map(StageName::as_str).collect());
            return Err(Refused::Unknown { what: format!("there is no stage `{stage}`"), hint });
        }
        let url = found.url.clone();
        Ok((rules, url))
    }
}
