//! What is told: a function for each notice, which says what happened, with a fact for every name that its templates may use.

use super::Happened;
use crate::engine::{
    ids::TargetKey,
    made::Service,
    moment,
    run::{Run, RunState, Subject},
    state::{Freeze, Pause, Veto},
    step_run::{Answer, StepRun},
    target::Difference,
    turn::Turn,
    version::rollback::decided,
};
use crate::rules::{Notice, Quorum, StepId};

/// How many digits of a digest are enough to approve just that.
const DIGEST_DIGITS: usize = 12;

impl Turn<'_> {
    /// People are asked to approve what a run shows.
    pub(in crate::engine) fn tell_approval_wanted(&mut self, number: u64, id: &StepId, quorum: &Quorum) {
        if !self.is_wished(Notice::ApprovalWanted) {
            return;
        }
        let run = self.run(number);
        let Some(step) = run.step(id) else { return };
        let asked = if quorum.from.is_empty() { "anybody".to_owned() } else { quorum.from.join(", ") };
        let digest = run.digest(step);
        let digits = digest.as_str().trim_start_matches("sha256:").get(..DIGEST_DIGITS).unwrap_or_default();
        let command = format!("tidegate approve {} --digest {digits}", run.id);
        let before = run.before(step);
        let expires = quorum.expires.map_or_else(String::new, |after| moment::time(self.at_ms + after.as_ms()));
        let summary = format!("{} in {} waits for approval", run.id, run.stage);
        let happened = Happened::of_run(Notice::ApprovalWanted, &self.system, run, summary)
            .with("step", id.as_str())
            .with("asked", asked)
            .with("needed", quorum.count.to_string())
            .with("digest", digest.as_str())
            .with("verdict", output(&before, "verdict"))
            .with("report", output(&before, "report"))
            .with("expires", expires)
            .with("command", command);
        self.tell(happened);
    }

    /// A run ended. Of one that somebody ended, or whose place another took, nobody needs to be told.
    pub(in crate::engine) fn tell_ended(&mut self, run: &Run) {
        let (id, stage) = (&run.id, &run.stage);
        let is_told = match (run.state, &run.subject) {
            (RunState::Failed, _) => self.is_wished(Notice::RunFailed),
            (RunState::Done, Subject::Rule(_)) => self.is_wished(Notice::RunDone),
            (RunState::Done, Subject::Promotion { .. }) => self.is_wished(Notice::Promoted),
            _ => true,
        };
        if !is_told {
            return;
        }
        let of_run = |notice, summary| Happened::of_run(notice, &self.system, run, summary);
        let happened = match (run.state, &run.subject) {
            (RunState::Failed, _) => {
                let hint = run.steps.iter().find_map(|step| step.hint.clone()).unwrap_or_default();
                of_run(Notice::RunFailed, format!("{id} failed in {stage}"))
                    .with("reason", run.reason.clone().unwrap_or_default())
                    .with("hint", hint)
                    .with("command", format!("tidegate retry {id}"))
            }
            (RunState::Done, Subject::Promotion { from }) => {
                of_run(Notice::Promoted, format!("{id} promoted {from} to {stage}")).with("from", from.as_str())
            }
            (RunState::Done, Subject::Rollback | Subject::TakeBack) => {
                let (by, reason) = decided(run);
                let summary = match run.subject {
                    Subject::TakeBack => format!("{id} took back in {stage} what was half-way"),
                    _ => format!("{id} took {stage} back to an earlier version"),
                };
                of_run(Notice::RolledBack, summary).with("by", by).with("reason", reason)
            }
            (RunState::Done, Subject::Rule(_)) => of_run(Notice::RunDone, format!("{id} is done in {stage}")),
            // That they are in force is said where they come into force.
            (RunState::Done, Subject::Rules) => return,
            // Whoever asked for it sees it at the target.
            (RunState::Done, Subject::Operation(_)) => return,
            (RunState::Queued | RunState::Running | RunState::Ending, _) => return,
            (RunState::Aborted | RunState::Superseded | RunState::Rejected, _) => return,
        };
        self.tell(happened);
    }

    /// A deploy step put something on its target.
    pub(in crate::engine) fn tell_deployed(&mut self, number: u64, id: &StepId) {
        if !self.is_wished(Notice::Deployed) {
            return;
        }
        let run = self.run(number);
        let (Some(key), Some(step)) = (&run.target, run.step(id)) else { return };
        let target = key.target().map_or("", |(target, _)| target.as_str());
        let Service { address, image } = step.made.deployed().cloned().unwrap_or_default();
        let summary = format!("{} was deployed to {target} in {}", run.id, run.stage);
        let happened = Happened::of_run(Notice::Deployed, &self.system, run, summary)
            .with("target", target)
            .with("address", address.unwrap_or_default())
            .with("image", image.unwrap_or_default());
        self.tell(happened);
    }

    /// Another hand changed what a target is.
    pub(in crate::engine) fn tell_drift(&mut self, key: &TargetKey, differences: &[Difference]) {
        let Some((target, stage)) = key.target().filter(|_| !differences.is_empty()) else { return };
        let change = |difference: &Difference| format!("{}: {} was {}", difference.name, difference.is, difference.was);
        let changes: Vec<String> = differences.iter().map(change).collect();
        let summary = format!("{target} in {stage} is not as the last run left it");
        let happened = Happened { stage: Some(stage.clone()), ..Happened::new(Notice::TargetDrifted, summary) }
            .with("target", target.as_str())
            .with("changes", changes.join("\n"))
            .with("command", format!("tidegate target show {target} --stage {stage}"));
        self.tell(happened);
    }

    /// A run failed on its target and leaves it broken.
    pub(in crate::engine) fn tell_target_broken(&mut self, run: &Run, key: &TargetKey) {
        let Some((target, stage)) = key.target() else { return };
        let summary = format!("{target} in {stage} is broken: {} failed on it", run.id);
        let happened = Happened::of_run(Notice::TargetBroken, &self.system, run, summary)
            .with("target", target.as_str())
            .with("reason", run.reason.clone().unwrap_or_default())
            .with("command", format!("tidegate unlock {target} --stage {stage}"));
        self.tell(happened);
    }

    /// Somebody paused the system.
    pub(in crate::engine) fn tell_paused(&mut self, by: &str, reason: &str) {
        let happened = Happened::new(Notice::Paused, format!("{by} paused the system"))
            .with("by", by)
            .with("reason", reason)
            .with("command", "tidegate resume");
        self.tell(happened);
    }

    /// Somebody froze a stage, or all of them.
    pub(in crate::engine) fn tell_frozen(&mut self, name: &str, freeze: &Freeze) {
        let Freeze { stage, by, reason, until_ms, .. } = freeze;
        let frozen = stage.as_ref().map_or("every stage", |stage| stage.as_str());
        let happened =
            Happened { stage: stage.clone(), ..Happened::new(Notice::Frozen, format!("{by} froze {frozen}")) };
        let happened = happened
            .with("freeze", name)
            .with("frozen", frozen)
            .with("until", moment::time(*until_ms))
            .with("by", by)
            .with("reason", reason)
            .with("command", format!("tidegate thaw {name}"));
        self.tell(happened);
    }

    /// Somebody vetoed a version or an artifact.
    pub(in crate::engine) fn tell_vetoed(&mut self, name: &str, veto: &Veto) {
        let Veto { by, reason, .. } = veto;
        let happened = Happened::new(Notice::Vetoed, format!("{by} vetoed {name}"))
            .with("vetoed", name)
            .with("by", by)
            .with("reason", reason)
            .with("command", format!("tidegate veto --lift {name} --reason WHY"));
        self.tell(happened);
    }

    /// A rules file was refused.
    pub(in crate::engine) fn tell_rules_refused(&mut self, source: &str, mistakes: &str) {
        let happened = Happened::new(Notice::RulesRefused, "a change of the rules was refused".to_owned())
            .with("source", source)
            .with("mistakes", mistakes);
        self.tell(happened);
    }

    /// Somebody ended the pause.
    pub(in crate::engine) fn tell_resumed(&mut self, by: &str, pause: &Pause) {
        let happened = Happened::new(Notice::Resumed, format!("{by} ended the pause by {}", pause.by))
            .with("by", by)
            .with("reason", &pause.reason);
        self.tell(happened);
    }

    /// Somebody ended a freeze before its time.
    pub(in crate::engine) fn tell_thawed(&mut self, by: &str, name: &str, freeze: &Freeze) {
        let Freeze { stage, reason, until_ms, .. } = freeze;
        let frozen = stage.as_ref().map_or("every stage", |stage| stage.as_str());
        let summary = format!("{by} ended {name}, the freeze of {frozen}");
        let happened = Happened { stage: stage.clone(), ..Happened::new(Notice::Thawed, summary) };
        let happened = happened
            .with("freeze", name)
            .with("frozen", frozen)
            .with("until", moment::time(*until_ms))
            .with("by", by)
            .with("reason", reason);
        self.tell(happened);
    }

    /// Somebody let a run pass a freeze.
    pub(in crate::engine) fn tell_overridden(&mut self, by: &str, name: &str, number: u64, reason: &str) {
        let run = self.run(number);
        let summary = format!("{by} let {} pass {name} in {}", run.id, run.stage);
        let happened = Happened::of_run(Notice::Overridden, &self.system, run, summary)
            .with("freeze", name)
            .with("by", by)
            .with("reason", reason);
        self.tell(happened);
    }

    /// Somebody marked a run or commit as a hotfix.
    pub(in crate::engine) fn tell_hotfix(&mut self, by: &str, what: &str, reason: &str) {
        let happened = Happened::new(Notice::Hotfix, format!("{by} marked {what} as a hotfix"))
            .with("marked", what)
            .with("by", by)
            .with("reason", reason);
        self.tell(happened);
    }

    /// Somebody approved what a run shows.
    pub(in crate::engine) fn tell_approved(&mut self, number: u64, id: &StepId, answer: &Answer) {
        if !self.is_wished(Notice::Approved) {
            return;
        }
        let run = self.run(number);
        let Some(step) = run.step(id) else { return };
        let needed = step.task.quorum(&run.stage).map_or(1, |quorum| quorum.count);
        let (by, given) = (&answer.by.name, step.answers.len() + 1);
        let in_place_of = answer.in_place_of.as_deref().unwrap_or_default();
        let summary = format!("{by} approved {} in {}", run.id, run.stage);
        let happened = Happened::of_run(Notice::Approved, &self.system, run, summary)
            .with("step", id.as_str())
            .with("by", by)
            .with("in_place_of", in_place_of)
            .with("given", given.to_string())
            .with("needed", needed.to_string())
            .with("digest", answer.digest.as_str());
        self.tell(happened);
    }

    /// Somebody rejected what a run shows.
    pub(in crate::engine) fn tell_rejected(&mut self, number: u64, id: &StepId, by: &str, reason: &str) {
        let run = self.run(number);
        let summary = format!("{by} rejected {} in {}", run.id, run.stage);
        let happened = Happened::of_run(Notice::Rejected, &self.system, run, summary)
            .with("step", id.as_str())
            .with("by", by)
            .with("reason", reason);
        self.tell(happened);
    }

    /// Somebody took an approval back.
    pub(in crate::engine) fn tell_withdrawn(&mut self, number: u64, id: &StepId, by: &str) {
        let run = self.run(number);
        let summary = format!("{by} took back the approval of {} in {}", run.id, run.stage);
        let happened =
            Happened::of_run(Notice::Withdrawn, &self.system, run, summary).with("step", id.as_str()).with("by", by);
        self.tell(happened);
    }
}

/// The last output of this name, as a text; empty when no step has it.
fn output(steps: &[&StepRun], name: &str) -> String {
    let found = steps.iter().rev().find_map(|step| step.outputs.get(name));
    found.map_or_else(String::new, |value| value.as_str().map_or_else(|| value.to_string(), str::to_owned))
}
