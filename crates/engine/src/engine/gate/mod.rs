//! Gates: steps that the engine itself decides. They hold no target, and a newer run that reaches one takes the place
//! of older runs that still wait. Where what let a run pass does not hold any more, the gate is open again, and what came
//! after it is put back behind it.

pub mod approval;
pub mod hold;
pub(super) mod hotfix;
pub(super) mod judge;
mod voice;

use serde_json::{Map, Value};

use crate::engine::{
    effect::{Effect, Timer},
    fact::{RunFact, StepFact},
    ids::Digest,
    made::Made,
    shared::Shared,
    step_run::{Answer, StepRun, StepState},
    task::Task,
    turn::Turn,
};
use crate::rules::{Action, Quorum, StepId};

impl Turn<'_> {
    /// A gate's turn has come: it passes, or waits with a timer for the moment at which that can change.
    pub(in crate::engine) fn open_gate(&mut self, number: u64, id: &StepId) {
        self.record_step(number, id, StepFact::Started { at_ms: self.at_ms });
        let task = self.step_of(number, id).task.clone();
        match &*task {
            Task::Action(Action::Approve(approve)) => {
                let quorum = approve.stages.get(&self.run(number).stage).cloned();
                let step = self.step_of(number, id);
                if approve.pass_if_unchanged && self.system.nothing_differs(self.run(number), step) {
                    let digest = self.run(number).digest(step);
                    let because = "nothing differs from what is deployed".to_owned();
                    self.record_step(number, id, StepFact::Skipped { because });
                    self.answered_yes(number, id, Vec::new(), &digest);
                } else {
                    self.ask(number, id, quorum.as_ref());
                }
            }
            Task::Consent(quorum) => self.ask(number, id, Some(quorum)),
            Task::Soak { .. } => self.look_at_gate(number, id),
            Task::Window { .. } => {
                self.supersede_older(number);
                self.pass_gate(number, id, Map::new());
            }
            Task::FanIn => drop(self.waits_at_fan_in(number)),
            Task::Action(_) | Task::Require(_) | Task::Release(_) => unreachable!("only gates are opened"),
            Task::CheckMerge(_) | Task::Merge(_) | Task::CheckRestore(_) | Task::Restore(_) => {
                unreachable!("only gates are opened")
            }
            Task::Plan(_) | Task::Operate(_) | Task::Act(_) => unreachable!("only gates are opened"),
            Task::Bundle => unreachable!("it was there before the run"),
        }
    }

    fn ask(&mut self, number: u64, id: &StepId, quorum: Option<&Quorum>) {
        let Some(quorum) = quorum else {
            self.pass_gate(number, id, Map::new());
            return;
        };
        self.supersede_older(number);
        if let Some(expires) = quorum.expires {
            self.wait_until(number, id, self.at_ms + expires.as_ms());
        }
        self.ask_git(number, id);
    }

    pub(in crate::engine) fn wait_until(&mut self, number: u64, id: &StepId, due_ms: i64) {
        let timer = Timer::Gate { run: self.run(number).id.clone(), step: id.clone() };
        let effect = Effect::timer(timer, self.seq, due_ms);
        self.emit(effect);
    }

    /// A gate's timer has fired, or the alarm of a window.
    pub(in crate::engine) fn gate_fired(&mut self, number: u64, id: &StepId) {
        let step = self.step_of(number, id);
        match (step.state, &*step.task) {
            (StepState::Active, _) => self.look_at_gate(number, id),
            // What was checked before the window shut is checked again: nothing has been merged yet, and much may have come.
            (StepState::Done, Task::Window { .. }) => self.put_back_after(number, id, "its window was shut since then"),
            _ => {}
        }
        self.awake.insert(number);
    }

    /// Whether a gate passes by the recorded time.
    fn look_at_gate(&mut self, number: u64, id: &StepId) {
        match *self.step_of(number, id).task {
            Task::Soak { until_ms } if self.at_ms >= until_ms => self.pass_gate(number, id, Map::new()),
            Task::Soak { until_ms } => self.wait_until(number, id, until_ms),
            Task::Action(_) | Task::Consent(_) => {
                let asked_ms = self.step_of(number, id).started_ms.unwrap_or(self.at_ms);
                let waited = crate::rules::Span::from_ms(self.at_ms - asked_ms);
                self.fail_step(
                    number,
                    id,
                    format!("nobody decided within {waited}"),
                    "ask again with `tidegate retry`",
                );
            }
            Task::Window { .. } => unreachable!("a window passes in the moment in which it is opened"),
            Task::FanIn | Task::Require(_) | Task::Release(_) => unreachable!("only gates of time have timers"),
            Task::CheckMerge(_) | Task::Merge(_) | Task::CheckRestore(_) | Task::Restore(_) => {
                unreachable!("only gates of time have timers")
            }
            Task::Bundle | Task::Plan(_) | Task::Operate(_) | Task::Act(_) => {
                unreachable!("only gates of time have timers")
            }
        }
    }

    /// Somebody who may approves. Of those who approved before, only whoever still may counts.
    pub(in crate::engine) fn approved(&mut self, number: u64, id: &StepId, answer: Answer) {
        let (run, step) = (self.run(number), self.step_of(number, id));
        let quorum = step.task.quorum(&run.stage);
        let needed = quorum.map_or(1, |quorum| quorum.count);
        let lapsed = |answer: &Answer| {
            let because = approval::lapsed(&self.system, run, quorum?, answer, self.at_ms)?;
            Some((answer.by.name.clone(), because))
        };
        let lapsed: Vec<(String, String)> = step.answers.iter().filter_map(lapsed).collect();
        let digest = answer.digest.clone();
        self.void(number, id, lapsed);
        self.record_step(number, id, StepFact::Answered(answer));
        let answers = &self.step_of(number, id).answers;
        if answers.len() >= needed as usize {
            let names = answers.iter().map(|answer| Value::from(answer.by.name.clone())).collect();
            self.answered_yes(number, id, names, &digest);
        }
    }

    /// A question that was closed is open again, for what is left of its answers; what came after it is put back.
    pub(in crate::engine) fn ask_again(&mut self, number: u64, id: &StepId, because: &str) {
        self.put_back_after(number, id, because);
        let quorum = self.step_of(number, id).task.quorum(&self.run(number).stage).cloned();
        self.record_step(number, id, StepFact::Started { at_ms: self.at_ms });
        self.ask(number, id, quorum.as_ref());
    }

    /// The question is answered with yes: by these people, or by nobody where nothing differs.
    fn answered_yes(&mut self, number: u64, id: &StepId, by: Vec<Value>, digest: &Digest) {
        let digest = Value::from(digest.as_str());
        self.pass_gate(
            number,
            id,
            Map::from_iter([("by".to_owned(), Value::Array(by)), ("digest".to_owned(), digest)]),
        );
    }

    /// A gate lets its run pass.
    pub(in crate::engine) fn pass_gate(&mut self, number: u64, id: &StepId, outputs: Map<String, Value>) {
        self.record_step(
            number,
            id,
            StepFact::Done {
                outputs: outputs.into(),
                artifacts: Shared::default(),
                made: Made::Nothing,
                at_ms: self.at_ms,
            },
        );
        self.drop_effect_of(number, id);
        self.stop_asking_git(number, id);
        self.awake.insert(number);
    }

    /// Makes a gate's turn come again, and puts back what came after it.
    pub(in crate::engine) fn reopen(&mut self, number: u64, id: &StepId, because: &str) {
        self.put_back_after(number, id, because);
        self.put_back(number, id, because);
        self.awake.insert(number);
    }

    /// Puts back what came after a step: it is done again when its turn comes. What it needs of the target is given back.
    pub(in crate::engine) fn put_back_after(&mut self, number: u64, id: &StepId, because: &str) {
        let run = self.run(number);
        let is_after = |step: &&StepRun| run.before(step).iter().any(|before| before.id == *id);
        let after = run.steps.iter().filter(|step| step.task.planned_by().is_none());
        let after: Vec<StepId> = after.filter(is_after).map(|step| step.id.clone()).collect();
        for id in after {
            self.drop_effect_of(number, &id);
            self.put_back(number, &id, because);
            self.stop_asking_git(number, &id);
        }
        self.give_back_target(number);
    }

    /// Puts a step back to where it was before its turn came: the next time is a new round, and what was approved on its
    /// ground is void.
    pub(in crate::engine) fn put_back(&mut self, number: u64, id: &StepId, because: &str) {
        self.void_answers(number, id, because);
        let step = self.step_of(number, id);
        let state = if step.needs.is_empty() { StepState::Ready } else { StepState::Blocked };
        let round = step.round + u32::from(step.started_ms.is_some());
        let drops_plan = step.planned.is_some();
        self.record_step(number, id, StepFact::PutBack { state, round });
        if drops_plan {
            self.record_run(number, RunFact::PlanDropped { step: id.clone() });
        }
    }
}
