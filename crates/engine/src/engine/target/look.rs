//! What a run makes of a look at its target: it waits, it plans, or it ends. The look is an effect, so it is in the log, and the
//! same log gives the same plan.

use serde_json::{Map, Value};

use super::{
    kinds::{cancels_updates, plan_of},
    life::LifeMove,
    plan::{ActPlan, Change, Class, PlannedAct, Unplannable, harsher},
    standing::{Observation, Seen, Standing},
};
use crate::engine::{
    fact::{RunFact, StepFact, TargetFact},
    ids::TargetKey,
    made::Made,
    run::{Run, RunState},
    shared::Shared,
    state::System,
    step_run::{Planned, StepRun, StepState},
    task::{Task, Wanted},
    turn::Turn,
};
use crate::rules::{AtTarget, Operation, StepId, Target, TargetName};

/// When to look again at a target at which something moves, in milliseconds; the engine lets more time pass when it takes long.
const LOOK_AGAIN_MS: i64 = 1_000;
/// What a look goes by outside: there is nothing to find but the target itself.
const LOOK: &str = "look";

impl System {
    /// What the rules say of a target; of one that they do not have any more, its kind.
    #[must_use]
    pub fn target_settings(&self, key: &TargetKey) -> Option<(TargetName, Target)> {
        let (name, _) = key.target()?;
        if let Some(target) = self.rules().and_then(|rules| rules.targets.get(name)) {
            return Some((name.clone(), target.clone()));
        }
        let outside = self.targets.get(key)?.outside.as_ref()?;
        Some((name.clone(), Target { kind: outside.kind, ..Target::default() }))
    }
}

impl Turn<'_> {
    /// A step looked at its run's target.
    pub(in crate::engine) fn observed(&mut self, number: u64, id: &StepId, observation: &Observation) {
        let task = self.step_of(number, id).task.clone();
        let key = self.run(number).target.clone();
        let known = key.and_then(|key| Some((self.system.target_settings(&key)?, key)));
        let Some(((name, target), key)) =
            known.filter(|_| matches!(task.kind().at_target, AtTarget::Plans | AtTarget::Shows))
        else {
            let error = "it answered with a look at a target, and has none".to_owned();
            return self.fail_step(number, id, error, "name a target in the rules that is there");
        };
        let holder = self.system.targets.get(&key).and_then(|target| target.holder);
        // What the run saw that has it is not overwritten by one that only plans.
        if holder.is_none_or(|holder| holder == number) {
            self.see(&key, observation, holder.map(|_| self.run(number).id.clone()));
        }
        if let Task::Plan(of) = &*task {
            return self.plan_shown(number, id, of, observation);
        }
        let Some(wanted) = task.wanted() else { return };
        let acted = self.step_of(number, id).planned.as_ref().map(|planned| planned.then_again);
        if self.run(number).state == RunState::Ending {
            return self.ends_as_seen(number, id, observation);
        }
        if acted == Some(false) {
            return self.left(number, id, (&key, &wanted), observation);
        }
        match self.next_plan((number, id), (&name, &target), observation, &wanted) {
            Next::Wait(why) => self.look_later(number, id, &why),
            Next::Fail(Unplannable { why, hint }) => self.fail_step(number, id, why, &hint),
            Next::Act(plan) => self.begin_acts((number, id), (&key, &wanted), observation, &plan),
        }
    }

    /// Notes how a target stands.
    pub(super) fn see(&mut self, key: &TargetKey, observation: &Observation, by: Option<crate::engine::ids::RunId>) {
        let seen = Seen { observation: observation.clone(), at_ms: self.at_ms, by };
        self.record_target(key, TargetFact::Seen(Box::new(seen)));
    }

    /// What comes next for a run that has its target and nothing planned.
    fn next_plan(
        &self,
        (number, id): (u64, &StepId),
        (name, target): (&TargetName, &Target),
        observation: &Observation,
        wanted: &Wanted,
    ) -> Next {
        let ends_stuck = matches!(wanted, Wanted::Operation(Operation::Recover | Operation::Delete));
        match &observation.standing {
            Standing::Stuck { why, way_out } if !ends_stuck => {
                return Next::Fail(Unplannable { why: format!("{name} is stuck: {why}"), hint: way_out.clone() });
            }
            standing => {
                if let Some(moves) = standing.in_the_way() {
                    let cancel = cancels_updates(target.kind).filter(|_| target.cancel_updates);
                    let is_new = |act: &&str| self.run(number).acts(id).all(|step| act_name(step) != Some(act));
                    let cancel = cancel.filter(|_| matches!(standing, Standing::Moving { .. })).filter(is_new);
                    return cancel.map_or(Next::Wait(format!("{name}: {moves}")), |act| {
                        let act = PlannedAct::named(act).that(Change::OutOfService, name.as_str());
                        Next::Act(ActPlan { acts: vec![act], then_again: true })
                    });
                }
            }
        }
        plan_of((name, target), observation, wanted).map_or_else(Next::Fail, Next::Act)
    }

    /// Looks again in a while; what is in the way is told meanwhile.
    fn look_later(&mut self, number: u64, id: &StepId, why: &str) {
        let polled = StepFact::Polled { handle: LOOK.to_owned(), progress: Some(why.to_owned()) };
        self.record_step(number, id, polled);
        self.poll_later(number, id, LOOK_AGAIN_MS);
    }

    /// The plan is made before people are asked, for them to see: of the target as it stands, whoever else is at it now.
    fn plan_shown(&mut self, number: u64, id: &StepId, of: &StepId, observation: &Observation) {
        let run = self.run(number);
        let known = run.target.as_ref().and_then(|key| self.system.target_settings(key));
        let wanted = run.step(of).and_then(|step| step.task.wanted());
        let (Some((name, target)), Some(wanted)) = (known, wanted) else { return };
        let settled = observation
            .standing
            .in_the_way()
            .map(|_| Observation { standing: Standing::Stable, saw: observation.saw.clone() });
        match self.next_plan((number, of), (&name, &target), settled.as_ref().unwrap_or(observation), &wanted) {
            Next::Wait(why) => self.look_later(number, id, &why),
            Next::Fail(Unplannable { why, hint }) => self.fail_step(number, id, why, &hint),
            Next::Act(plan) => {
                let (outputs, made) = (said(&plan), Made::Planned(plan.class()));
                self.done(number, id, &outputs.into(), &Shared::default(), &made);
            }
        }
    }

    /// What a run is going to do is planned: it begins, unless it is harsher than what people saw.
    fn begin_acts(
        &mut self,
        (number, id): (u64, &StepId),
        (key, wanted): (&TargetKey, &Wanted),
        observation: &Observation,
        plan: &ActPlan,
    ) {
        let class = plan.class();
        let shown = shown(self.run(number), id).map(|(step, approved)| (step.id.clone(), harsher(&class, approved)));
        if let Some((shown, harsher)) = shown.filter(|(_, harsher)| !harsher.is_empty()) {
            let because = format!("{} was seen otherwise since: now {}", key, harsher.join(", "));
            return self.reopen(number, &shown, &because);
        }
        let creates = class.values().any(|change| *change == Change::Created);
        if observation.standing == Standing::Absent && creates {
            self.live(key, LifeMove::FoundAbsent);
        }
        if *wanted == Wanted::Operation(Operation::Delete) {
            self.live(key, LifeMove::DeletionBegun);
        }
        let acts = self.act_steps((number, id), wanted, plan);
        let is_empty = acts.is_empty();
        let planned = Planned { class, then_again: plan.then_again };
        self.record_run(number, RunFact::Planned { step: id.clone(), plan: planned, acts: acts.into() });
        if is_empty {
            return self.left(number, id, (key, wanted), observation);
        }
        self.awake.insert(number);
    }

    /// How the target stands when all acts are done: that is what the run leaves.
    fn left(&mut self, number: u64, id: &StepId, (key, wanted): (&TargetKey, &Wanted), observation: &Observation) {
        let deletes = *wanted == Wanted::Operation(Operation::Delete);
        let (is_there, hint) = (observation.standing != Standing::Absent, "look at it outside, then `tidegate retry`");
        match &observation.standing {
            Standing::Stuck { why, way_out } => {
                self.fail_step(number, id, format!("{key} is stuck: {why}"), way_out);
            }
            standing if standing.in_the_way().is_some() => {
                let why = standing.in_the_way().unwrap_or_default();
                self.look_later(number, id, &why);
            }
            _ if deletes && is_there => self.fail_step(number, id, format!("{key} is still there"), hint),
            _ if !deletes && !is_there => self.fail_step(number, id, format!("{key} is not there"), hint),
            _ => {
                self.record_target(key, TargetFact::Settled { saw: observation.saw.clone() });
                let acts = || self.run(number).acts(id);
                let outputs = acts().flat_map(|act| act.outputs.clone()).collect();
                let artifacts = acts().flat_map(|act| act.artifacts.clone()).collect();
                let made = acts().filter(|act| !act.made.is_nothing()).last().map(|act| act.made.clone());
                self.done(number, id, &outputs, &artifacts, &made.unwrap_or_default());
            }
        }
    }

    /// How the target stands when a run that failed or was ended has nothing active any more.
    fn ends_as_seen(&mut self, number: u64, id: &StepId, observation: &Observation) {
        if let Some(moves) = observation.standing.in_the_way() {
            return self.look_later(number, id, &moves);
        }
        let (run, at_ms) = (self.run(number), self.at_ms);
        let hint = match &observation.standing {
            Standing::Stuck { way_out, .. } => Some(way_out.clone()),
            _ => None,
        };
        let ended = if run.ends_as == Some(RunState::Failed) {
            let error = run.acts(id).find_map(|act| act.error.clone()).or_else(|| run.reason.clone());
            let hint = hint.or_else(|| run.acts(id).find_map(|act| act.hint.clone()));
            StepFact::Failed { error, hint, at_ms }
        } else {
            StepFact::Cancelled { hint, at_ms }
        };
        self.record_step(number, id, ended);
    }
}

/// What comes next for a run that has looked.
enum Next {
    Wait(String),
    Fail(Unplannable),
    Act(ActPlan),
}

/// The step that showed people a plan for this one, and what they saw of it.
pub(in crate::engine) fn shown<'run>(run: &'run Run, id: &StepId) -> Option<(&'run StepRun, &'run Class)> {
    let shows = |step: &&StepRun| matches!(&*step.task, Task::Plan(of) if of == id) && step.state == StepState::Done;
    run.steps.iter().find(shows).and_then(|step| Some((step, step.made.planned()?)))
}

/// The name of an act.
fn act_name(step: &StepRun) -> Option<&str> {
    match &*step.task {
        Task::Act(act) => Some(&act.name),
        _ => None,
    }
}

/// A plan as people see it.
fn said(plan: &ActPlan) -> Map<String, Value> {
    let acts: Vec<Value> = plan.acts.iter().map(|act| Value::from(act.name.clone())).collect();
    let class = plan.class().into_iter().map(|(to, change)| Value::from(format!("{to} {}", change.said())));
    Map::from_iter([("acts".to_owned(), Value::Array(acts)), ("changes".to_owned(), class.collect())])
}
