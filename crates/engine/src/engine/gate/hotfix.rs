//! The hotfix lane: a change that somebody marks skips the gates that the rules name, never an approval, and carries the
//! mark with it for ever: in its runs, in their commits, in the log.

use serde_json::{Map, Value};

use crate::engine::{
    access::Principal,
    fact::{CommitFact, RunFact, StepFact},
    gate::hold::demand_reason,
    ids::{CommitId, RunId},
    refused::Refused,
    run::{Hotfix, Run},
    step_run::{StepRun, StepState},
    turn::Turn,
};
use crate::rules::StepId;

/// How many marked commits are remembered; a mark matters until its change has gone through all stages.
const MOST_MARKS: usize = 500;
/// The fewest digits that name a commit.
const FEWEST_DIGITS: usize = 7;

impl Turn<'_> {
    /// Marks a run that goes on, or a commit, with all runs that work on it or come of it.
    pub(in crate::engine) fn hotfix_command(
        &mut self,
        by: &Principal,
        what: &str,
        reason: &str,
    ) -> Result<(), Refused> {
        let rules = self.rules_in_force()?;
        let lane = rules.hotfix.as_ref().ok_or_else(|| {
            Refused::unknown("the rules have no hotfix lane", "add `hotfix: { skips: [soak, window] }` to them")
        })?;
        if !lane.from.is_empty() && !lane.from.iter().any(|name| by.is(name)) {
            return Err(Refused::NotAllowed {
                who: by.name.clone(),
                what: format!("mark {what} as a hotfix"),
                reason: format!("the rules leave that to {}", lane.from.join(", ")),
            });
        }
        demand_reason(reason, "a hotfix")?;
        let mark = Hotfix { by: by.said(), reason: reason.to_owned(), at_ms: self.at_ms };
        let run = RunId::new(what);
        if self.system.run(&run).is_some() {
            let number = self.live_run(&run)?.number;
            self.tell_hotfix(&by.name, what, reason);
            self.mark_run(number, &mark);
            return Ok(());
        }
        let commit = self.known_commit(what)?;
        self.tell_hotfix(&by.name, commit.short(), reason);
        self.mark_commit(&commit, &mark);
        let of_it = |run: &&Run| run.source.as_ref().is_some_and(|source| source.commit == commit);
        let runs: Vec<u64> = self.system.live_runs().filter(of_it).map(|run| run.number).collect();
        for number in runs {
            self.mark_run(number, &mark);
        }
        Ok(())
    }

    /// The mark of what a new run works on.
    pub(in crate::engine) fn hotfix_of(&self, run: &Run) -> Option<Hotfix> {
        let marked = run.source.as_ref().and_then(|source| self.system.hotfixes.get(&source.commit));
        marked.cloned().or_else(|| run.hotfix.clone())
    }

    /// A commit of a hotfix is one itself.
    pub(in crate::engine) fn mark_commit(&mut self, commit: &CommitId, mark: &Hotfix) {
        self.record_commit(commit, CommitFact::Marked(mark.clone()));
        while self.system.hotfixes.len() > MOST_MARKS {
            let oldest = self.system.hotfixes.iter().min_by_key(|(_, mark)| mark.at_ms);
            let Some(oldest) = oldest.map(|(commit, _)| commit.clone()) else { return };
            self.record_commit(&oldest, CommitFact::MarkForgotten);
        }
    }

    fn mark_run(&mut self, number: u64, mark: &Hotfix) {
        self.record_run(number, RunFact::Marked(mark.clone()));
        let run = self.run(number);
        let source = run.source.as_ref().map(|source| source.commit.clone());
        let waits = |step: &&StepRun| step.state == StepState::Active && step.skippable;
        let open: Vec<StepId> = run.steps.iter().filter(waits).map(|step| step.id.clone()).collect();
        if let Some(commit) = source {
            self.mark_commit(&commit, mark);
        }
        for id in open {
            self.skip(number, &id);
        }
        self.awake.insert(number);
    }

    /// A step that is skipped while it asks outside goes on nowhere else: what is pending for it is dropped.
    pub(in crate::engine) fn skip(&mut self, number: u64, id: &StepId) {
        let Some(Hotfix { by, reason, .. }) = self.run(number).hotfix.clone() else { return };
        if self.step_of(number, id).started_ms.is_none() {
            self.record_step(number, id, StepFact::Started { at_ms: self.at_ms });
        }
        self.record_step(number, id, StepFact::Skipped { because: format!("a hotfix by {by}: {reason}") });
        self.pass_gate(number, id, Map::from_iter([("answer".to_owned(), Value::from("skipped"))]));
    }

    /// The one commit that is a head, or in a run that goes on, and begins so.
    fn known_commit(&self, prefix: &str) -> Result<CommitId, Refused> {
        let unknown = |message: String| {
            Refused::unknown(message, "name a run that goes on, or a commit that is a head or in such a run")
        };
        if prefix.len() < FEWEST_DIGITS {
            return Err(unknown(format!("`{prefix}` is no run, and too short for a commit")));
        }
        let heads = self.system.repositories.values().flat_map(|watched| watched.heads.values());
        let heads = heads.map(|head| &head.commit);
        let sources = self.system.live_runs().filter_map(|run| run.source.as_ref()).map(|source| &source.commit);
        let found: std::collections::BTreeSet<&CommitId> =
            heads.chain(sources).filter(|commit| commit.as_str().starts_with(prefix)).collect();
        match found.into_iter().collect::<Vec<_>>().as_slice() {
            [one] => Ok((*one).clone()),
            [] => Err(unknown(format!("there is no run or commit `{prefix}`"))),
            several => Err(unknown(format!("{} commits begin with `{prefix}`", several.len()))),
        }
    }
}
