//! What people ask of a target: to provision, delete or recover it, and to look at it now.

use std::collections::BTreeSet;

use super::life::{LifeMove, after};
use crate::engine::{
    access::Principal,
    command::{known_stage, unknown},
    compiled::Compiled,
    content::CommitSet,
    ids::{Digest, RunId, TargetKey},
    plan,
    refused::Refused,
    run::{Cause, Run, RunState, Subject},
    shared::Shared,
    turn::Turn,
};
use crate::rules::{Operation, StageName, Target, TargetLife, TargetName};

impl Turn<'_> {
    pub(in crate::engine) fn operate_command(
        &mut self,
        by: &Principal,
        operation: Operation,
        (name, stage): (&TargetName, &StageName),
    ) -> Result<(), Refused> {
        let rules = self.rules_in_force()?;
        let (key, target) = self.known_target(&rules, name, stage)?;
        let life = self.system.targets.get(&key).map_or(TargetLife::Unprovisioned, |target| target.life);
        let refuse = |why: String, hint: &str| Err(Refused::unknown(why, hint));
        match (operation, life) {
            (Operation::Provision, TargetLife::Available | TargetLife::Broken) => {
                return refuse(format!("{key} is {}", life.name()), "what is there already is not provisioned");
            }
            (Operation::Delete, TargetLife::Deleted) => {
                return refuse(format!("{key} is deleted already"), "there is nothing to delete");
            }
            _ => {}
        }
        let subject = Subject::Operation(operation);
        let is_same = |run: &&Run| run.subject == subject && run.target.as_ref() == Some(&key);
        if let Some(going) = self.system.live_runs().find(is_same) {
            return refuse(
                format!("{} is on its way", going.id),
                "look at it with `tidegate run show`, or end it with `tidegate abort`",
            );
        }
        let run = self.operation_run(by, operation, (&key, stage, &target));
        let policy = target.queue.into();
        let id = self.begin_run(run, policy);
        self.say_kind(&key);
        if operation == Operation::Delete && self.is_live(&id) && after(life, LifeMove::DeletionAsked).is_ok() {
            self.live(&key, LifeMove::DeletionAsked);
        }
        Ok(())
    }

    pub(in crate::engine) fn observe_command(&mut self, name: &TargetName, stage: &StageName) -> Result<(), Refused> {
        let rules = self.rules_in_force()?;
        let (key, target) = self.known_target(&rules, name, stage)?;
        if let Some(holder) = self.system.targets.get(&key).and_then(|target| target.holder) {
            let run = &self.run(holder).id;
            return Err(Refused::unknown(
                format!("{run} has {key}, and looks at it itself"),
                "`tidegate target show` says what it saw",
            ));
        }
        self.prepare_target(&key, target.queue.into(), 0);
        self.say_kind(&key);
        self.look_at(&key, self.at_ms);
        Ok(())
    }

    /// A target that the rules have, or that is kept although they do not have it any more.
    fn known_target(
        &self,
        rules: &Compiled,
        name: &TargetName,
        stage: &StageName,
    ) -> Result<(TargetKey, Target), Refused> {
        known_stage(rules, stage)?;
        let key = TargetKey::Target(name.clone(), stage.clone());
        let known = self.system.target_settings(&key);
        known.map(|(_, target)| (key, target)).ok_or_else(|| unknown("target", name.as_str(), rules.targets.keys()))
    }

    fn operation_run(
        &self,
        by: &Principal,
        operation: Operation,
        (key, stage, target): (&TargetKey, &StageName, &Target),
    ) -> Run {
        Run {
            id: RunId::new(""),
            number: 0,
            subject: Subject::Operation(operation),
            stage: stage.clone(),
            cause: Cause::Command { by: by.said() },
            source: None,
            set: CommitSet::default(),
            authors: signed(by).into(),
            others_wrote: false,
            origin: Shared::default(),
            hotfix: None,
            rules: self.system.rules.as_ref().map_or_else(|| Digest::new(""), |in_force| in_force.digest.clone()),
            state: RunState::Queued,
            target: Some(key.clone()),
            holds_from_start: false,
            steps: plan::of_operation(target, operation, stage, &signed(by)).into(),
            created_ms: self.at_ms,
            ended_ms: None,
            ends_as: None,
            reason: None,
        }
    }

    fn is_live(&self, id: &RunId) -> bool {
        self.system.run(id).is_some_and(|run| !run.state.is_ended())
    }
}

/// Whoever asks, as an author is written: they wrote the question, and do not answer it.
fn signed(by: &Principal) -> BTreeSet<String> {
    let signed = |name: &String, email: Option<&String>| match email {
        Some(email) => format!("{name} <{email}>"),
        None => name.clone(),
    };
    std::iter::once(signed(&by.name, by.emails.first())).chain(by.asked_by.clone()).collect()
}
