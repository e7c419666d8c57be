//! From what happens to what is told of it.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{
    report::{FileChange, Foreseen, Gate, StillWaits, What},
    simulation::Simulation,
};
use crate::{
    engine::{
        Made, Message, Moved, NoticeWork, Observation, Run, RunId, RunState, StepOutcome, StepState, StepWork, explain,
        plan::Task, target::plan_of,
    },
    rules::RepositoryName,
    steps::{
        self,
        foresight::{Certainty, Told, text},
    },
};

/// As much of differences as is kept of one commit.
const MOST_DIFF_BYTES: usize = 32 * 1024;

impl Simulation {
    /// Writes down what came of a step.
    pub(super) async fn tell_step(&mut self, work: &StepWork, outcome: &StepOutcome, certainty: Certainty) {
        let Some(run) = self.system.run(&work.run).cloned() else { return };
        let what = match outcome {
            // It is looked at again; or tried again, which is told when it is given up.
            StepOutcome::Pending { .. } | StepOutcome::Retry { .. } | StepOutcome::Cancelled => return,
            StepOutcome::Failed { error, hint } => What::Failure {
                step: work.step.to_string(),
                error: self.record.told(error),
                hint: self.record.told(hint),
            },
            StepOutcome::Observed(observation) => {
                let Some(says) = planned(work, &run, observation) else { return };
                What::Step { step: work.step.to_string(), says }
            }
            StepOutcome::Done { outputs, made, .. } => self.done(work, outputs, made).await,
        };
        self.record.of_run(self.at_ms, &run, certainty, what);
    }

    async fn done(&mut self, work: &StepWork, outputs: &serde_json::Map<String, Value>, made: &Made) -> What {
        match steps::tell(work, outputs) {
            Told::Package { tag, sha256, reused } => What::Package { tag, sha256, reused },
            Told::Image { amis, reused } => What::Image { amis, reused },
            Told::Commit { repository, merge } => self.committed(work, &repository, made, merge).await,
            Told::Template { digest } => What::Template { digest },
            Told::Lint { verdict, errors, warnings } => What::Lint { verdict, errors, warnings },
            Told::Deployment { template_digest, image } => {
                let target = self.system.run(&work.run).and_then(|run| run.target.as_ref());
                What::Deployment { target: target.map(ToString::to_string).unwrap_or_default(), template_digest, image }
            }
            Told::Passes(says) => What::Step { step: work.step.to_string(), says },
        }
    }

    /// A commit with what it changes, read from the copy.
    async fn committed(&mut self, work: &StepWork, repository: &RepositoryName, made: &Made, merge: bool) -> What {
        let (name, branch) = (repository.to_string(), work.branch.clone());
        let Some(Moved { commit, parent, subject, .. }) = made.moved().map(|moved| &**moved) else {
            return What::NothingToCommit { repository: name, branch };
        };
        let (commit, parent) = (commit.as_str(), parent.as_ref().map_or("", |parent| parent.as_str()));
        // Before it gets a number itself: a commit does not name itself.
        let subject = self.record.told(subject);
        let mirror = work.urls.get(repository).and_then(|url| self.scratch.tools.mirrors.mirror(url).ok());
        let (mut tree, mut files, mut files_left_out) = (String::new(), Vec::new(), 0);
        if let Some(mirror) = mirror {
            let info = mirror.commit_info(commit).await;
            tree = info.map(|info| info.tree).unwrap_or_default();
            match mirror.patch(parent, commit, MOST_DIFF_BYTES).await {
                Ok(patch) => {
                    files_left_out = patch.left_out;
                    files = patch.files.into_iter().map(|file| self.file(file)).collect();
                }
                Err(fault) => self.notes.push(format!("what {subject} changes could not be read: {fault}")),
            }
        }
        let commit = self.record.commit(commit);
        What::Commit { commit, repository: name, branch, subject, tree, merge, files, files_left_out }
    }

    fn file(&self, file: crate::providers::git::ChangedFile) -> FileChange {
        let crate::providers::git::ChangedFile { path, added, removed, hunks, cut } = file;
        FileChange { path, added, removed, hunks: self.record.told(&hunks), cut }
    }

    /// Writes down the gates that have opened, and when those that the clock ends have passed.
    pub(super) fn tell_gates(&mut self) {
        let live: Vec<Run> = self.system.live_runs().cloned().collect();
        for run in &live {
            self.tell_hold(run);
            for step in run.steps.iter().filter(|step| step.task.kind().is_gate()) {
                let place = (step.id.as_str(), step.round);
                match step.state {
                    StepState::Active => self.tell_gate(run, place),
                    StepState::Done => {
                        let at_ms = self.at_ms;
                        let gate = self.record.gate_mut(run.number, place.0, place.1);
                        if let Some(gate) = gate.filter(|gate| gate.passes_ms.is_none()) {
                            gate.passes_ms = Some(at_ms);
                        }
                    }
                    StepState::Blocked | StepState::Ready | StepState::Failed | StepState::Cancelled => {}
                }
            }
        }
    }

    /// Writes down what holds a run that could go on.
    fn tell_hold(&mut self, run: &Run) {
        let mut ready = run.steps.iter().filter(|step| step.state == StepState::Ready);
        let held = ready.find_map(|step| Some((step, explain::held(&self.system, run, step)?)));
        if let Some((step, waiting)) = held {
            let place = format!("{} held since {}", step.id, waiting.since_ms);
            let gate = gate(step.id.as_str(), waiting, None);
            self.record.gate(self.at_ms, run, (&place, step.round), gate);
        }
    }

    fn tell_gate(&mut self, run: &Run, (step, round): (&str, u32)) {
        let Some(found) = run.steps.iter().find(|found| found.id.as_str() == step) else { return };
        let Some(waiting) = explain::step(&self.system, run, found) else { return };
        let gate = gate(step, waiting, found.task.quorum(&run.stage).map(|quorum| quorum.count));
        self.record.gate(self.at_ms, run, (step, round), gate);
    }

    /// Writes down who is told of what. What was to be told before is no part of what is supposed.
    pub(super) fn tell_notice(&mut self, work: &NoticeWork) {
        if work.number <= self.told_before {
            return;
        }
        let Message { notice, via, to, subject, facts, .. } = &work.message;
        let what = What::Notice {
            of: notice.name().to_owned(),
            via: via.to_string(),
            to: to.clone(),
            subject: self.record.told(subject),
        };
        match self.system.run(&RunId::new(text(facts, "run"))).cloned() {
            Some(run) => drop(self.record.of_run(self.at_ms, &run, Certainty::Foreseen, what)),
            None => self.record.root(self.at_ms, what),
        }
    }

    /// Writes down how a run ends.
    pub(super) fn tell_end(&mut self, run: &Run) {
        let state = match run.state {
            RunState::Done => "DONE",
            RunState::Failed => "FAILED",
            RunState::Aborted => "ABORTED",
            RunState::Superseded => "SUPERSEDED",
            RunState::Rejected => "REJECTED",
            RunState::Queued | RunState::Running | RunState::Ending => "RUNNING",
        };
        let reason = run.reason.as_deref().map(|reason| self.record.told(reason));
        self.record.of_run(self.at_ms, run, Certainty::Done, What::End { state: state.to_owned(), reason });
    }

    /// The runs that still wait.
    pub(super) fn still_waiting(&self) -> Vec<StillWaits> {
        let waits = |run: &Run| {
            let waiting = explain::run(&self.system, run)?;
            Some(StillWaits {
                run: run.id.to_string(),
                stage: run.stage.to_string(),
                for_what: self.scratch.told(&self.record.told(&waiting.for_what)),
                until_ms: waiting.until_ms,
                ended_by: waiting.ended_by,
            })
        };
        self.system.live_runs().filter_map(waits).collect()
    }
}

fn gate(step: &str, waiting: explain::Waiting, asks: Option<u32>) -> Gate {
    Gate {
        step: step.to_owned(),
        for_what: waiting.for_what,
        ended_by: waiting.ended_by,
        asks,
        could_approve: Vec::new(),
        may_not_approve: BTreeMap::new(),
        passes_ms: waiting.until_ms,
        approved_by: Vec::new(),
        stuck: None,
    }
}

/// The placeholders that a reader meets.
pub(super) fn used(all: BTreeMap<String, String>, events: &[Foreseen]) -> BTreeMap<String, String> {
    let text = serde_json::to_string(events).expect("plain values always serialise");
    all.into_iter().filter(|(name, _)| text.contains(name.as_str())).collect()
}

/// The plan that people would be shown: of the target as it was last seen.
fn planned(work: &StepWork, run: &Run, observation: &Observation) -> Option<String> {
    let Task::Plan(of) = &work.task else { return None };
    let (target, wanted) = (work.target.as_ref()?, run.step(of)?.task.wanted()?);
    let plan = match plan_of((&target.name, &target.settings), observation, &wanted) {
        Ok(plan) => plan,
        Err(refused) => return Some(refused.why),
    };
    let acts: Vec<&str> = plan.acts.iter().map(|act| act.name.as_str()).collect();
    let changes = plan.class().into_iter().map(|(to, change)| format!("; {to} {}", change.said()));
    let seen = target.seen.as_ref().map_or_else(
        || "which was never looked at".to_owned(),
        |seen| format!("as it was seen at {}", explain::time(seen.at_ms)),
    );
    Some(format!("the plan for {}, {seen}: {}{}", target.name, acts.join(", "), changes.collect::<String>()))
}
