//! Writes down what happens in a simulation, each thing under what it comes of.

use std::collections::BTreeMap;

use super::{
    report::{Certainty, Foreseen, Gate, What},
    scratch::Scratch,
};
use crate::{
    engine::{Cause, CommitId, Run, Subject},
    rules::RepositoryName,
};

/// What has happened so far.
#[derive(Default)]
pub(super) struct Record {
    pub(super) events: Vec<Foreseen>,
    /// The run's number → the number of the event with which it begins.
    runs: BTreeMap<u64, usize>,
    /// The commits made, in order: a commit that depends on the simulated time is told by its place here.
    commits: Vec<(CommitId, usize)>,
    /// The numbers of the gates' events, by run and step.
    gates: BTreeMap<(u64, String, u32), usize>,
}

impl Record {
    /// Adds what does not belong to a run.
    pub(super) fn root(&mut self, at_ms: i64, what: What) {
        self.push(at_ms, None, 0, Certainty::Assumed, None, what);
    }

    /// Adds the beginning of a run, unless it is there.
    pub(super) fn run(&mut self, at_ms: i64, run: &Run, under_way: bool) -> usize {
        if let Some(number) = self.runs.get(&run.number) {
            return *number;
        }
        let because = if under_way { None } else { self.cause_of(run) };
        let depth = match because.and_then(|number| self.events.get(number - 1)) {
            Some(cause) => self.depth_of_run(cause) + 1,
            None => 0,
        };
        let what = What::Run {
            rule: run.subject.name().to_owned(),
            repository: run.source.as_ref().map(|source| source.repository.to_string()),
            commit: run.source.as_ref().map(|source| self.told(source.commit.as_str())),
            why: if under_way { "it is under way already".to_owned() } else { why(run, |text| self.told(text)) },
            under_way,
        };
        let number = self.push(at_ms, because, depth, Certainty::Done, Some(run), what);
        self.runs.insert(run.number, number);
        number
    }

    /// Adds that a run that had ended goes on, because that is supposed.
    pub(super) fn run_again(&mut self, at_ms: i64, run: &Run) {
        let what = What::Run {
            rule: run.subject.name().to_owned(),
            repository: run.source.as_ref().map(|source| source.repository.to_string()),
            commit: run.source.as_ref().map(|source| source.commit.to_string()),
            why: "it is tried again".to_owned(),
            under_way: false,
        };
        let number = self.push(at_ms, self.supposed(), 1, Certainty::Done, Some(run), what);
        self.runs.insert(run.number, number);
    }

    /// Adds what happens in a run.
    pub(super) fn of_run(&mut self, at_ms: i64, run: &Run, certainty: Certainty, what: What) -> usize {
        let begun = self.run(at_ms, run, true);
        let depth = self.events[begun - 1].depth + 1;
        self.push(at_ms, Some(begun), depth, certainty, Some(run), what)
    }

    /// Adds a gate, and notes where, so that it can be said later how it went.
    pub(super) fn gate(&mut self, at_ms: i64, run: &Run, (step, round): (&str, u32), gate: Gate) {
        let key = (run.number, step.to_owned(), round);
        if !self.gates.contains_key(&key) {
            let number = self.of_run(at_ms, run, Certainty::Assumed, What::Gate(gate));
            self.gates.insert(key, number);
        }
    }

    /// The gate of a step, when it has been added.
    pub(super) fn gate_mut(&mut self, run: u64, step: &str, round: u32) -> Option<&mut Gate> {
        let number = *self.gates.get(&(run, step.to_owned(), round))?;
        match &mut self.events.get_mut(number - 1)?.what {
            What::Gate(gate) => Some(gate),
            _ => None,
        }
    }

    /// Counts a commit that a step made; from now on it is told by its number.
    pub(super) fn commit(&mut self, commit: &str) -> usize {
        let number = self.commits.len() + 1;
        self.commits.push((CommitId::new(commit), number));
        number
    }

    /// A text with the ids of simulated commits replaced: they depend on the time, and the real ones will be others.
    pub(super) fn told(&self, text: &str) -> String {
        self.commits.iter().fold(text.to_owned(), |text, (commit, number)| {
            let name = format!("commit-{number}");
            text.replace(commit.as_str(), &name).replace(commit.short(), &name)
        })
    }

    /// Replaces the names of copies everywhere.
    pub(super) fn into_events(mut self, scratch: &Scratch) -> Vec<Foreseen> {
        for event in &mut self.events {
            if let What::Failure { error, hint, .. } = &mut event.what {
                (*error, *hint) = (scratch.told(error), scratch.told(hint));
            }
            if let What::End { reason: Some(reason), .. } = &mut event.what {
                *reason = scratch.told(reason);
            }
        }
        self.events
    }

    /// The event that a run comes of.
    fn cause_of(&self, run: &Run) -> Option<usize> {
        match &run.cause {
            Cause::Push { by: Some(by), .. } => {
                let repository = run.source.as_ref().map(|source| &source.repository);
                self.commit_by(by.as_str(), repository).or_else(|| self.last_of(by.as_str()))
            }
            Cause::Upstream { run: by }
            | Cause::Verified { run: by }
            | Cause::HalfWay { run: by }
            | Cause::NotVerified { run: by } => self.last_of(by.as_str()),
            Cause::Push { by: None, .. } | Cause::Command { .. } | Cause::Decision { .. } => self.supposed(),
            Cause::Release { .. } => self.supposed(),
            Cause::Schedule { .. } | Cause::Tag { .. } | Cause::Workflow { .. } => None,
        }
    }

    fn supposed(&self) -> Option<usize> {
        self.events.iter().find(|event| matches!(event.what, What::Supposed { .. })).map(|event| event.number)
    }

    fn commit_by(&self, run: &str, wanted: Option<&RepositoryName>) -> Option<usize> {
        let is_it = |what: &What| matches!(what, What::Commit { repository, .. } if wanted.is_some_and(|it| it.as_str() == repository));
        let mut newest = self.events.iter().rev();
        newest.find(|event| event.run.as_deref() == Some(run) && is_it(&event.what)).map(|event| event.number)
    }

    fn last_of(&self, run: &str) -> Option<usize> {
        self.events.iter().rev().find(|event| event.run.as_deref() == Some(run)).map(|event| event.number)
    }

    /// The depth of the run that an event is in; of one that is in none, its own.
    fn depth_of_run(&self, event: &Foreseen) -> usize {
        let begins = matches!(event.what, What::Run { .. } | What::Supposed { .. });
        if begins { event.depth } else { event.depth.saturating_sub(1) }
    }

    fn push(
        &mut self,
        at_ms: i64,
        because: Option<usize>,
        depth: usize,
        certainty: Certainty,
        run: Option<&Run>,
        what: What,
    ) -> usize {
        let number = self.events.len() + 1;
        let (stage, run) = (run.map(|run| run.stage.to_string()), run.map(|run| run.id.to_string()));
        self.events.push(Foreseen { number, at_ms, because, depth, certainty, run, stage, what });
        number
    }
}

/// Why there is a run, for people.
fn why(run: &Run, told: impl Fn(&str) -> String) -> String {
    let name = |author: &str| author.split_once(" <").map_or(author, |(name, _)| name).to_owned();
    let in_stage = match &run.subject {
        Subject::Promotion { from } => format!(" in {from}"),
        _ => String::new(),
    };
    match &run.cause {
        Cause::Push { by: Some(run), subject, .. } => format!("{run} committed \"{}\"", told(subject)),
        Cause::Push { author, subject, by: None } => format!("{} pushed \"{subject}\"", name(author)),
        Cause::Schedule { instant_ms } => format!("the schedule of {}", crate::engine::explain::time(*instant_ms)),
        Cause::Tag { tag } => format!("tag {}", told(tag)),
        Cause::Workflow { workflow } => format!("{workflow} succeeded"),
        Cause::Release { by, bundle } => format!("{by} brought {}", told(&bundle.name)),
        Cause::Upstream { run } => format!("{run} succeeded"),
        Cause::Verified { run } => format!("{run} verified it{in_stage}"),
        Cause::Command { by } => format!("{by} asked for it"),
        Cause::Decision { by, reason } => format!("{by} decided it: {reason}"),
        Cause::HalfWay { run } => format!("{run} ended half-way"),
        Cause::NotVerified { run } => format!("what {run} deployed was not verified"),
    }
}
