//! Something outside may be news: what looks or polls for it is due now. A nudge says nothing of what happened; the look that
//! it hastens does. One that comes while a look proceeds has another follow at once, so that no news falls between them.

use super::{
    access::{AccessInForce, Permission, Principal},
    effect::{Effect, EffectKind, Phase},
    event::{DeliveryId, Nudge},
    fact::{Fact, RepositoryFact, StepFact},
    ids::TargetKey,
    refused::Refused,
    state::WorkflowEnd,
    turn::Turn,
};
use crate::rules::StepId;

/// How many deliveries are remembered: more than a forge repeats, and the state stays small.
const MOST_DELIVERIES: usize = 256;

impl Turn<'_> {
    /// Takes a nudge in. `by` is who asks, where somebody does by hand.
    ///
    /// # Errors
    /// [`Refused`] when it was delivered before, when there is no such thing, or when whoever asks may not.
    pub(super) fn nudged(
        &mut self,
        what: &Nudge,
        delivery: &DeliveryId,
        by: Option<&Principal>,
    ) -> Result<(), Refused> {
        self.may_nudge(what, by)?;
        if self.system.deliveries.contains(delivery) {
            return Err(Refused::Delivered { delivery: delivery.clone() });
        }
        self.known_workflow(what)?;
        let hastened = self.hastened(what)?;
        while self.system.deliveries.len() >= MOST_DELIVERIES {
            self.record(Fact::DeliveryForgotten);
        }
        self.record(Fact::Delivered { delivery: delivery.clone() });
        for effect in hastened {
            let kind = effect.kind.clone();
            // Under its own identity: whoever is at it stays at it, and is told.
            self.emit(Effect { due_ms: self.at_ms, ..effect });
            match kind {
                EffectKind::Watch { repository } => self.record_repository(&repository, RepositoryFact::Nudged),
                EffectKind::Step { run, step, .. } => {
                    if let Some(number) = self.system.run(&run).map(|run| run.number) {
                        self.record_step(number, &step, StepFact::Nudged);
                    }
                }
                _ => {}
            }
        }
        if let Nudge::Workflow { workflow, repository, stage, commit, succeeded: true } = what {
            let head = || self.system.head(repository, stage).map(|head| head.commit.clone());
            if let Some(commit) = commit.clone().or_else(head) {
                let end = WorkflowEnd { workflow: workflow.clone(), stage: stage.clone(), commit };
                self.workflow_ended(repository, &end);
            }
        }
        Ok(())
    }

    fn may_nudge(&self, what: &Nudge, by: Option<&Principal>) -> Result<(), Refused> {
        let Some(by) = by else { return Ok(()) };
        let stage = match what {
            Nudge::Run { run, .. } => self.system.run(run).map(|run| run.stage.clone()),
            Nudge::Target { stage, .. } | Nudge::Workflow { stage, .. } => Some(stage.clone()),
            Nudge::Repository { .. } | Nudge::Handle { .. } => None,
        };
        if let Some(AccessInForce { access, .. }) = &self.system.access {
            access.may_ask_for(by, stage.as_ref(), Some(&what.clause()))?;
        }
        // A look changes nothing; an end starts something.
        let demanded = if matches!(what, Nudge::Workflow { .. }) { Permission::Operate } else { Permission::View };
        self.system.demand(by, demanded, stage.as_ref(), &what.clause())
    }

    /// The pending effects that look for news of it.
    fn hastened(&self, what: &Nudge) -> Result<Vec<Effect>, Refused> {
        let due = self.system.due.values();
        let polls = |wanted: &dyn Fn(u64, &StepId) -> bool| -> Vec<Effect> {
            let is_wanted = |effect: &&Effect| match &effect.kind {
                EffectKind::Step { run, step, phase: Phase::Poll } => {
                    self.system.run(run).is_some_and(|run| wanted(run.number, step))
                }
                _ => false,
            };
            self.system.due.values().filter(is_wanted).cloned().collect()
        };
        Ok(match what {
            // Its commit may be one that no look has shown yet.
            Nudge::Repository { repository } | Nudge::Workflow { repository, .. } => {
                if !self.system.repositories.contains_key(repository) {
                    let known = self.system.repositories.keys().map(ToString::to_string).collect::<Vec<_>>().join(", ");
                    let hint = if known.is_empty() {
                        "no rules are in force".to_owned()
                    } else {
                        format!("there are: {known}")
                    };
                    return Err(Refused::unknown(format!("there is no repository `{repository}`"), hint));
                }
                let is_of =
                    |effect: &&Effect| matches!(&effect.kind, EffectKind::Watch { repository: of } if of == repository);
                due.filter(is_of).cloned().collect()
            }
            Nudge::Run { run: id, step } => {
                let Some(run) = self.system.run(id) else {
                    return Err(Refused::unknown(format!("there is no run `{id}`"), "`tidegate runs` lists them"));
                };
                if let Some(step) = step.as_ref().filter(|step| run.step(step).is_none()) {
                    let steps: Vec<&str> = run.steps.iter().map(|step| step.id.as_str()).collect();
                    let hint = format!("its steps are {}", steps.join(", "));
                    return Err(Refused::unknown(format!("{id} has no step `{step}`"), hint));
                }
                // What a step planned is its own.
                let is_its = |step: &StepId, polled: &StepId| {
                    step == polled || run.step(polled).and_then(|act| act.task.planned_by()) == Some(step)
                };
                polls(&|number, polled| number == run.number && step.as_ref().is_none_or(|step| is_its(step, polled)))
            }
            Nudge::Handle { handle } => polls(&|number, polled| {
                self.run(number).step(polled).is_some_and(|step| step.handle.as_ref() == Some(handle))
            }),
            Nudge::Target { target, stage } => {
                let key = TargetKey::Target(target.clone(), stage.clone());
                let Some(state) = self.system.targets.get(&key) else {
                    return Err(Refused::unknown(
                        format!("there is no target `{target}` in {stage}"),
                        "`tidegate status` shows them",
                    ));
                };
                let looks = |effect: &&Effect| matches!(&effect.kind, EffectKind::Observe { target } if *target == key);
                let mut hastened = polls(&|number, _| state.holder == Some(number));
                hastened.extend(due.filter(looks).cloned());
                hastened
            }
        })
    }
}
