//! Folds facts into the state, and is all that writes to it. Total: a fact about something that is not there changes nothing.
//! It knows nothing but what a fact says: no rules, bounds or defaults, no clock, no texts. What it makes of a fact never
//! changes, for old logs are full of them.

mod place;
mod run;

use super::{
    effect::{Effect, EffectKind, Timer},
    fact::{CommitFact, Fact, NoticeFact},
    ids::{CommitId, EffectId, RunId},
    state::{GivenUp, Message, Notices, System, Undelivered},
    step_run::StepRun,
};
use crate::rules::StepId;

/// All facts of an event are folded.
pub(super) const fn passed(system: &mut System, seq: u64, at_ms: i64) {
    (system.seq, system.at_ms) = (seq, at_ms);
}

/// Folds one fact.
pub(super) fn apply(system: &mut System, fact: &Fact) {
    match fact {
        Fact::RulesInForce(rules) => {
            (system.rules, system.refused_rules, system.offered) = (Some(rules.clone()), None, None);
        }
        Fact::RulesOffered(offered) => (system.offered, system.refused_rules) = (Some(offered.clone()), None),
        Fact::RulesRefused(refused) => system.refused_rules = Some(refused.clone()),
        Fact::AccessInForce(access) => system.access = Some(access.clone()),
        Fact::EffectDue(effect) => due(system, effect),
        Fact::EffectDropped(id) => dropped(system, id),
        // Provenance is a table of the store.
        Fact::Linked(_) => {}
        Fact::RunMade(run) => run::made(system, run),
        Fact::Run { run, what } => run::apply(system, *run, what),
        Fact::Step { run, step, what } => run::apply_step(system, *run, step, what),
        Fact::Target { target, what } => place::apply_target(system, target, what),
        Fact::Repository { repository, what } => place::apply_repository(system, repository, what),
        Fact::Stage { stage, what } => place::apply_stage(system, stage, what),
        Fact::Commit { commit, what } => apply_commit(system, commit, what),
        Fact::Notice { notice, what } => apply_notice(&mut system.notices, *notice, what),
        Fact::Paused(pause) => system.paused = Some(pause.clone()),
        Fact::Resumed => system.paused = None,
        Fact::RunsLost { highest } => {
            system.runs_lost = *highest;
            system.runs_made = system.runs_made.max(*highest);
        }
        Fact::Frozen { freeze, terms } => {
            system.freezes_made += 1;
            system.freezes.insert(freeze.clone(), terms.clone());
        }
        Fact::Thawed { freeze } => drop(system.freezes.remove(freeze)),
        Fact::Overridden { freeze, run, said } => {
            if let Some(freeze) = system.freezes.get_mut(freeze) {
                freeze.overrides.insert(run.clone(), said.clone());
            }
        }
        Fact::Vetoed { what, veto } => drop(system.versions.vetoes.insert(what.clone(), veto.clone())),
        Fact::VetoLifted { what } => drop(system.versions.vetoes.remove(what)),
        Fact::Delivered { delivery } => system.deliveries.push_back(delivery.clone()),
        Fact::DeliveryForgotten => drop(system.deliveries.pop_front()),
        Fact::AskedOnce(once) => system.asked_once.push_back(once.clone()),
        Fact::KeyForgotten => drop(system.asked_once.pop_front()),
        Fact::Succeeded { rule, stage, commit } => {
            system.succeeded.entry(rule.clone()).or_default().insert(stage.clone(), commit.clone());
        }
        Fact::PinSet { at, pin } => drop(system.pins.insert(at.clone(), pin.clone())),
    }
}

fn due(system: &mut System, effect: &Effect) {
    match &effect.kind {
        EffectKind::Step { run, step, .. } => {
            if let Some(step) = step_of(system, run, step) {
                step.ticks += 1;
                step.effect = Some(effect.id.clone());
                step.nudged = false;
            }
        }
        EffectKind::Timer(Timer::Gate { run, step }) => {
            if let Some(step) = step_of(system, run, step) {
                step.effect = Some(effect.id.clone());
            }
        }
        EffectKind::Timer(Timer::Schedule { .. } | Timer::Freeze { .. }) => {}
        EffectKind::Watch { .. } | EffectKind::Notify { .. } | EffectKind::Authors { .. } => {}
        EffectKind::Observe { .. } => {}
    }
    system.due.insert(effect.id.clone(), effect.clone());
}

fn dropped(system: &mut System, id: &EffectId) {
    let Some(effect) = system.due.remove(id) else { return };
    if let EffectKind::Step { run, step, .. } | EffectKind::Timer(Timer::Gate { run, step }) = &effect.kind
        && let Some(step) = step_of(system, run, step)
    {
        step.effect.take_if(|pending| pending == id);
    }
}

fn step_of<'system>(system: &'system mut System, run: &RunId, step: &StepId) -> Option<&'system mut StepRun> {
    let number = system.run(run)?.number;
    run::step_mut(system, number, step)
}

fn apply_commit(system: &mut System, commit: &CommitId, fact: &CommitFact) {
    match fact {
        CommitFact::Marked(mark) => drop(system.hotfixes.insert(commit.clone(), mark.clone())),
        CommitFact::MarkForgotten => drop(system.hotfixes.remove(commit)),
        CommitFact::Carries(carried) => drop(system.versions.carried.insert(commit.clone(), carried.clone())),
        CommitFact::CarriedForgotten => drop(system.versions.carried.remove(commit)),
    }
}

fn apply_notice(notices: &mut Notices, number: u64, fact: &NoticeFact) {
    match fact {
        NoticeFact::Made { message, effect } => {
            notices.made = number;
            let (message, effect) = (Message::clone(message), effect.clone());
            notices.undelivered.insert(number, Undelivered { message, tries: 0, effect, error: None });
        }
        NoticeFact::Tried { error, effect } => {
            if let Some(undelivered) = notices.undelivered.get_mut(&number) {
                undelivered.tries += 1;
                undelivered.effect = effect.clone();
                undelivered.error = Some(error.clone());
            }
        }
        NoticeFact::Delivered => {
            let Some(Undelivered { message, .. }) = notices.undelivered.remove(&number) else { return };
            notices.given_up.retain(|given_up| (&given_up.via, &given_up.to) != (&message.via, &message.to));
            if notices.given_up.is_empty() {
                notices.more_given_up = 0;
            }
        }
        NoticeFact::GivenUp { error, hint, at_ms } => {
            let Some(Undelivered { message, .. }) = notices.undelivered.remove(&number) else { return };
            let Message { notice, via, to, subject, .. } = message;
            let (at_ms, error, hint) = (*at_ms, error.clone(), hint.clone());
            notices.given_up.push_back(GivenUp { number, notice, via, to, subject, at_ms, error, hint });
        }
        NoticeFact::Forgotten => {
            let before = notices.given_up.len();
            notices.given_up.retain(|given_up| given_up.number != number);
            notices.more_given_up += (before - notices.given_up.len()) as u64;
        }
    }
}
