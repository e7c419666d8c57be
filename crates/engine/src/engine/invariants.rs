//! What always holds of a system's state, as predicates that tests and debug builds share. I2, I5 and I6 are about more
//! than one state; their tests are in `tests/`.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    effect::{Effect, EffectKind, Timer},
    explain,
    gate::approval::unseen,
    ids::EffectId,
    notice::{MOST_GIVEN_UP, MOST_UNTRIED},
    run::{Run, RunState},
    state::{Policy, System},
    step_run::{StepRun, StepState},
    target::{harsher, shown},
    task::Task,
};
use crate::rules::{RepositoryName, StageName, TargetLife};

/// What does not hold of this state: a sentence each. Empty for every state that the engine makes.
#[must_use]
pub fn broken(system: &System) -> Vec<String> {
    let mut broken = Vec::new();
    targets_have_one_holder(system, &mut broken);
    queues_hold_who_waits(system, &mut broken);
    places_have_one_writer(system, &mut broken);
    for run in system.live_runs() {
        approvals_are_of_what_is_deployed(run, &mut broken);
        waiting_is_explained(system, run, &mut broken);
        skipped_gates_may_be_skipped(run, &mut broken);
        acts_are_of_what_was_seen(system, run, &mut broken);
    }
    effects_are_accounted_for(system, &mut broken);
    notices_are_accounted_for(system, &mut broken);
    broken
}

/// I1: one run at a time holds a target.
fn targets_have_one_holder(system: &System, broken: &mut Vec<String>) {
    for (key, target) in &system.targets {
        let on_it = |run: &&Run| run.target.as_ref() == Some(key) && works_on_target(run);
        let working: Vec<&Run> = system.live_runs().filter(on_it).collect();
        if target.policy != Policy::Parallel && working.iter().any(|run| target.holder != Some(run.number)) {
            let runs: Vec<&str> = working.iter().map(|run| run.id.as_str()).collect();
            broken.push(format!("I1: {} work on {key}, which is held by {:?}", runs.join(", "), target.holder));
        }
        let ended = target.holder.filter(|number| system.runs.get(number).is_none_or(|run| run.state.is_ended()));
        if let Some(number) = ended {
            broken.push(format!("I1: {key} is held by run {number}, which has ended"));
        }
    }
}

/// I1: a queue holds runs that wait, each once and in order; a target says truly whether it is held or broken.
fn queues_hold_who_waits(system: &System, broken: &mut Vec<String>) {
    for (key, target) in &system.targets {
        for number in &target.queue {
            let waits = system.runs.get(number).is_some_and(|run| {
                matches!(run.state, RunState::Queued | RunState::Running) && run.target.as_ref() == Some(key)
            });
            if !waits || target.holder == Some(*number) {
                broken.push(format!("I1: run {number} is in the queue of {key} and does not wait for it"));
            }
        }
        let places = target.queue.iter().filter_map(|number| system.runs.get(number)).map(|run| run.place_in_queue());
        if !places.is_sorted_by(|before, after| before < after) {
            broken.push(format!("I1: the queue of {key} is out of order: {:?}", target.queue));
        }
        if target.holder.is_some() != target.life.is_held() {
            broken.push(format!("I1: {key} is {:?} and held by {:?}", target.life, target.holder));
        }
        if target.broken.is_some() != (target.life == TargetLife::Broken) {
            broken.push(format!("I7: {key} is {:?} because of {:?}", target.life, target.broken));
        }
    }
}

/// One step at a time commits to a repository in a stage.
fn places_have_one_writer(system: &System, broken: &mut Vec<String>) {
    let mut writers: BTreeMap<(&StageName, &RepositoryName), &Run> = BTreeMap::new();
    for run in system.live_runs() {
        for step in run.steps.iter().filter(|step| step.state == StepState::Active) {
            let Some(repository) = step.task.writes_to() else { continue };
            if let Some(other) = writers.insert((&run.stage, repository), run) {
                broken.push(format!("{} and {} both commit to {repository} {}", other.id, run.id, run.stage));
            }
        }
    }
}

fn works_on_target(run: &Run) -> bool {
    let works = |step: &StepRun| *step.task != Task::FanIn && (run.holds_from_start || step.task.kind().holds_target);
    run.steps.iter().any(|step| step.state == StepState::Active && works(step))
}

/// I4: nothing is deployed whose digest is not the one that was approved.
fn approvals_are_of_what_is_deployed(run: &Run, broken: &mut Vec<String>) {
    let deploys = run.steps.iter().filter(|step| step.task.kind().deploys());
    for deploy in deploys.filter(|step| step.state == StepState::Active) {
        if let Some((made, asked)) = unseen(run, deploy) {
            broken.push(format!("I4: {} deploys what {} made, which nobody saw at {}", run.id, made.id, asked.id));
        }
        for asked in run.before(deploy) {
            let digest = run.digest(asked);
            if asked.answers.iter().any(|answer| answer.digest != digest) {
                broken.push(format!("I4: {} deploys what was not approved at {}", run.id, asked.id));
            }
        }
    }
}

/// I10: no act starts for a target whose standing was not seen since the run took it. I11: what runs is never harsher than
/// what was approved.
fn acts_are_of_what_was_seen(system: &System, run: &Run, broken: &mut Vec<String>) {
    let target = run.target.as_ref().and_then(|key| system.targets.get(key));
    for act in run.steps.iter().filter(|step| step.state == StepState::Active) {
        let Some(by) = act.task.planned_by() else { continue };
        let holds = target.is_some_and(|target| target.holder == Some(run.number));
        if !holds || target.is_none_or(|target| target.seen_by(run).is_none()) {
            broken.push(format!("I10: {} {} acts on what the run has not looked at", run.id, act.id));
        }
        let class = run.step(by).and_then(|step| step.planned.as_ref()).map(|planned| &planned.class);
        let shown = shown(run, by).map(|(_, shown)| shown);
        if class.zip(shown).is_some_and(|(class, shown)| !harsher(class, shown).is_empty()) {
            broken.push(format!("I11: {} {} is harsher than what was approved", run.id, act.id));
        }
    }
}

/// I7: every waiting thing names what it waits for and who or what can end it.
fn waiting_is_explained(system: &System, run: &Run, broken: &mut Vec<String>) {
    // Of a run that ends nothing starts any more.
    let steps = run.steps.iter().filter(|step| run.state != RunState::Ending || step.state == StepState::Active);
    let waits = explain::run(system, run).into_iter().chain(steps.filter_map(|step| explain::step(system, run, step)));
    for waiting in waits {
        if waiting.for_what.is_empty() || waiting.ended_by.is_empty() {
            broken.push(format!("I7: {} waits for something that it does not name", run.id));
        }
        if waiting.ended_by == explain::BY_THE_NEXT_EVENT {
            broken.push(format!("I7: {} waits for nothing, and does not go on", run.id));
        }
    }
}

/// A hotfix skips no approval, and what is skipped says why.
fn skipped_gates_may_be_skipped(run: &Run, broken: &mut Vec<String>) {
    for step in run.steps.iter().filter(|step| step.skippable && step.task.quorum(&run.stage).is_some()) {
        broken.push(format!("{} {} asks people, and a hotfix would skip it", run.id, step.id));
    }
}

/// I9, within the state: every active step has its effect, and every step's effect belongs to an active step.
fn effects_are_accounted_for(system: &System, broken: &mut Vec<String>) {
    let mut known: BTreeSet<&EffectId> = BTreeSet::new();
    for run in system.live_runs() {
        for step in &run.steps {
            let pending = step.effect.as_ref().filter(|id| system.due.contains_key(*id));
            let acts = step.planned.is_some() && run.acts(&step.id).any(|act| act.state != StepState::Done);
            if step.state == StepState::Active && !step.task.kind().is_gate() && !acts && pending.is_none() {
                broken.push(format!("I9: {} {} is active and nothing is pending for it", run.id, step.id));
            }
            // A window's is the alarm for its opening.
            let may_have_one = step.state == StepState::Active || step.task.is_window();
            if step.effect.is_some() && (!may_have_one || pending.is_none()) {
                broken.push(format!("I9: {} {} names an effect that is not pending for it", run.id, step.id));
            }
            known.extend(pending);
            let asks = step.state == StepState::Active && step.task.quorum(&run.stage).is_some();
            let asked = step.authorship.as_ref().and_then(|authorship| authorship.effect.as_ref());
            if asks && step.written().is_some() == asked.is_some() {
                broken.push(format!("I9: {} {} asks, and git either is not asked or has answered", run.id, step.id));
            }
            if asked.is_some_and(|asked| !asks || !system.due.contains_key(asked)) {
                broken.push(format!("I9: {} {} waits for git, which is not asked", run.id, step.id));
            }
            known.extend(asked);
        }
    }
    for repository in system.rules().iter().flat_map(|rules| rules.repositories.keys()) {
        let watches =
            |effect: &&Effect| matches!(&effect.kind, EffectKind::Watch { repository: of } if of == repository);
        if system.due.values().filter(watches).count() != 1 {
            broken.push(format!("I9: {repository} does not have exactly one watch pending"));
        }
    }
    for name in system.freezes.keys() {
        let timer = Timer::Freeze { freeze: name.clone() };
        if system.due.values().filter(|effect| effect.is_timer(&timer)).count() != 1 {
            broken.push(format!("I9: {name} does not have exactly one timer pending"));
        }
    }
    for (id, effect) in &system.due {
        if is_of_step(effect) && !known.contains(id) {
            broken.push(format!("I9: {id} is pending for no active step"));
        }
    }
}

/// I9: every undelivered notice has its effect, every notice's effect an undelivered notice, and both are bounded.
fn notices_are_accounted_for(system: &System, broken: &mut Vec<String>) {
    for (number, undelivered) in &system.notices.undelivered {
        let pending = system.due.get(&undelivered.effect).map(|effect| &effect.kind);
        if pending != Some(&EffectKind::Notify { notice: *number }) {
            broken.push(format!("I9: notice {number} is undelivered and nothing is pending for it"));
        }
    }
    for (id, effect) in &system.due {
        let EffectKind::Notify { notice } = &effect.kind else { continue };
        if system.notices.undelivered.get(notice).is_none_or(|undelivered| undelivered.effect != *id) {
            broken.push(format!("I9: {id} is pending for no undelivered notice"));
        }
    }
    let (undelivered, given_up) = (system.notices.undelivered.len(), system.notices.given_up.len());
    if undelivered > MOST_UNTRIED || given_up > MOST_GIVEN_UP {
        broken.push(format!("{undelivered} notices are undelivered and {given_up} remembered, which is too many"));
    }
}

const fn is_of_step(effect: &Effect) -> bool {
    matches!(effect.kind, EffectKind::Step { .. } | EffectKind::Authors { .. } | EffectKind::Timer(Timer::Gate { .. }))
}
