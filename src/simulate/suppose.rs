//! How what is supposed comes about: by the same events as in earnest.

use std::{path::Path, sync::Arc};

use tokio::sync::Notify;

use super::{
    people::MOST_PEOPLE,
    question::{Supposed, Unpredictable},
    report::What,
    simulation::Simulation,
};
use crate::{
    engine::{
        Command, Compiled, Effect, EffectId, EffectKind, Event, Principal, Recorded, Refused, StartOn, WatchWork, Work,
        explain, step, work,
    },
    providers::git::{self, Standing},
    rules::{RepositoryName, RuleName, StageName},
    steps::Tools,
    watch::{PlaceKind, Places, Watching, watch},
};

impl Simulation {
    /// Lets happen what is supposed; returns it as a clause.
    pub(super) async fn suppose(&mut self, supposed: &Supposed, by: &Principal) -> Result<String, Unpredictable> {
        self.resume_if_paused(by).await?;
        match supposed {
            Supposed::Push { repository, stage, commit: Some(commit), force } => {
                self.pushed(repository, stage, commit, *force).await
            }
            Supposed::Push { repository, stage, commit: None, .. } => self.carried_again(repository, stage, by).await,
            Supposed::Asked { command } => {
                let clause = clause(command);
                self.suppose_that(&clause);
                if let Command::Retry { run } = command
                    && let Some(run) = self.system.run(run).cloned()
                {
                    self.record.run_again(self.at_ms, &run);
                }
                self.asked(by, command.clone()).await?;
                Ok(clause)
            }
            Supposed::Until { until_ms } => {
                let clause = format!("it were {}", explain::time(*until_ms));
                self.suppose_that(&clause);
                Ok(clause)
            }
        }
    }

    /// People are supposed to do at once what waits for them: they end a pause as well.
    async fn resume_if_paused(&mut self, by: &Principal) -> Result<(), Unpredictable> {
        if let Some(pause) = &self.system.paused {
            let note =
                format!("it is paused, by {}: {}; `tidegate resume` is supposed at once", pause.by, pause.reason);
            self.notes.push(note);
            self.asked(by, Command::Resume).await?;
        }
        Ok(())
    }

    fn suppose_that(&mut self, clause: &str) {
        self.record.root(self.at_ms, What::Supposed { what: clause.to_owned() });
    }

    /// Somebody asks for something. Looking is no asking: where whoever wants to know may not ask for it, it is supposed that
    /// somebody does who may.
    async fn asked(&mut self, by: &Principal, command: Command) -> Result<(), Unpredictable> {
        let asks = |by: &Principal| Event::Command { by: by.clone(), command: command.clone(), key: None };
        let (seq, at_ms) = (self.system.seq + 1, self.at_ms.max(self.system.at_ms));
        let would_be = |by: &Principal| step(&mut self.system.clone(), &Recorded { seq, at_ms, event: asks(by) });
        let Err(refused @ Refused::NotAllowed { .. }) = would_be(by) else { return self.take_in(asks(by)).await };
        let people = self.system.access.as_ref().map(|in_force| &in_force.access.people).into_iter().flatten();
        let mut others = people.take(MOST_PEOPLE).map(|(name, person)| Principal {
            name: name.clone(),
            groups: person.groups.clone(),
            emails: person.emails.clone(),
            asked_by: None,
        });
        let may = others.find(|other| !matches!(would_be(other), Err(Refused::NotAllowed { .. })));
        let Some(may) = may else { return Err(refused.into()) };
        let note = format!("{refused}; it is supposed that {} asks for it", may.name);
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
        self.take_in(asks(&may)).await
    }

    /// A branch moves, and a watch sees it.
    async fn pushed(
        &mut self,
        repository: &RepositoryName,
        stage: &StageName,
        commit: &str,
        force: bool,
    ) -> Result<String, Unpredictable> {
        let (rules, url) = self.known(repository, stage)?;
        let commit = would_be_taken((repository, stage), (&url, rules.branch(stage)), commit, force)?;
        git::point(Path::new(&url), rules.branch(stage), &commit)?;
        let short = short(&commit).to_owned();
        let clause = format!("{short} were pushed to {repository} {stage}");
        self.suppose_that(&clause);
        if self.system.head(repository, stage).is_some_and(|head| head.commit.as_str() == commit) {
            self.notes.push(format!("{short} is the head of {repository} {stage} already: there is nothing to push"));
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
            let Tools { mirrors, quarantine, .. } = &self.scratch.tools;
            let (looks, fetches) = (&Places::new(PlaceKind::Looks, 1), &Places::new(PlaceKind::Fetches, 1));
            let nudged = &Notify::new();
            let with = Watching { mirrors, looks, fetches, quarantine, nudged, no_news: &|| {} };
            let outcome = watch(&look, with).await;
            self.take_in(Event::Outcome { effect, outcome, waited_ms: 0 }).await?;
            if let Some(why) = self.not_taken(repository, stage, &commit) {
                // Another look would wait until that changes.
                self.notes.push(format!("{short} is not taken: {why}"));
                break;
            }
        }
        Ok(clause)
    }

    /// Why a head cannot be read, if that is so.
    fn not_taken(&self, repository: &RepositoryName, stage: &StageName, commit: &str) -> Option<String> {
        let unread = self.system.repositories.get(repository)?.unread.get(stage)?;
        (unread.commit.as_str() == commit).then(|| unread.error.clone())
    }

    /// The pending watch of a repository.
    fn watch_of(&self, repository: &RepositoryName) -> Result<(EffectId, WatchWork), Refused> {
        let is_its =
            |effect: &&Effect| matches!(&effect.kind, EffectKind::Watch { repository: of } if of == repository);
        let effect = self.system.due.values().find(is_its);
        match effect.and_then(|effect| Some((effect.id.clone(), work(&self.system, effect).ok()?))) {
            Some((id, Work::Watch(look))) => Ok((id, *look)),
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
            self.asked(by, Command::Run { rule, stage: stage.clone(), on: None }).await?;
        }
        Ok(clause)
    }

    /// The rules and the copy's URL of a repository, when there is such a repository and stage.
    fn known(&self, repository: &RepositoryName, stage: &StageName) -> Result<(Arc<Compiled>, String), Refused> {
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

/// The commit that is pushed, in full, when git would take it.
fn would_be_taken(
    (repository, stage): (&RepositoryName, &StageName),
    (url, branch): (&str, &str),
    commit: &str,
    force: bool,
) -> Result<String, Unpredictable> {
    let (commit, standing) = git::standing(Path::new(url), branch, commit)?;
    let name = short(&commit);
    let (what, hint) = match &standing {
        Standing::Before(head) if !force => (
            format!(
                "there is nothing to push: {repository} {stage} has {name} already, before its head {}",
                short(head)
            ),
            "`--force` simulates a forced push, which takes the branch back to it",
        ),
        Standing::Apart(head) if !force => (
            format!(
                "{name} is not a descendant of the head {} of {repository} {stage}: a plain push is refused",
                short(head)
            ),
            "`--force` simulates a forced one",
        ),
        Standing::NoBranch | Standing::Head | Standing::After(_) | Standing::Before(_) | Standing::Apart(_) => {
            return Ok(commit);
        }
    };
    Err(Unpredictable::NotPushed { what, hint: hint.to_owned() })
}

fn short(commit: &str) -> &str {
    commit.get(..10).unwrap_or(commit)
}

/// What is asked for, as a clause.
fn clause(command: &Command) -> String {
    match command {
        Command::Promote { from, to, .. } => format!("what was verified in {from} were promoted to {to}"),
        Command::Rollback { stage, to: Some(run), .. } => format!("{stage} were rolled back to what {run} verified"),
        Command::Rollback { stage, to: None, .. } => format!("{stage} were rolled back to the version before"),
        Command::Retry { run } => format!("{run} were tried again"),
        Command::Run { rule, stage, on: None } => format!("{rule} were run in {stage}"),
        Command::Run { rule, stage, on: Some(StartOn::Tag(tag)) } => {
            format!("{rule} were run in {stage} for tag {tag}")
        }
        other => format!("somebody asked to {}", other.clause()),
    }
}
