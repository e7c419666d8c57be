//! What is true of what is built and of what runs, whatever the engine thinks.

use std::collections::BTreeSet;

use tidegate_engine::{
    engine::{Cause, CommitId, Run, StepRun, Subject, explain::Verdict, plan::Task},
    rules::{RepositoryName, StageName},
};

use super::told::{Lattice, pushed_to};
use crate::support::{Made, bytes::Bytes, exact::number, repository, stage};

impl Lattice {
    /// I12: of every repository there is one commit that gave all that came from there.
    pub(super) fn nothing_is_built_of_what_no_commit_gave(&mut self) {
        let begins = |step: &StepRun| *step.task != Task::FanIn && step.started_ms.is_some();
        let of_rule = |run: &&Run| matches!(run.subject, Subject::Rule(_)) && run.steps.iter().any(begins);
        let new = self.world.system.live_runs().filter(of_rule).filter(|run| !self.begun.contains(run.id.as_str()));
        for run in new.cloned().collect::<Vec<_>>() {
            self.begun.insert(run.id.to_string());
            let pins = self.pins_in(self.world.made(&run.source.as_ref().unwrap().commit));
            let all = self.artifacts.closure(pins.into_values());
            for name in self.repositories().iter().map(|name| repository(name)) {
                let from_it = all.iter().map(|artifact| self.artifacts.get(*artifact));
                let from_it: Vec<&Bytes> = from_it.filter(|bytes| bytes.from == name).collect();
                let gave = |made: &Made| from_it.iter().all(|bytes| self.gave(&name, made, bytes));
                let branches = self.world.remotes.iter().filter(|((of, _), _)| *of == name);
                let one = branches.flat_map(|(_, branch)| branch).flatten().any(gave);
                assert!(
                    one,
                    "I12: {} in {} is built from {from_it:#?}, which no commit of {name} gave",
                    run.id, run.stage
                );
            }
        }
    }

    fn gave(&self, of: &RepositoryName, made: &Made, bytes: &Bytes) -> bool {
        self.made_of(of, made, &bytes.rule) == Bytes { night: None, ..bytes.clone() }
    }

    /// All that runs in a stage is made of; nothing where nothing was deployed.
    fn runs_in(&self, at: &StageName) -> Option<(BTreeSet<usize>, BTreeSet<CommitId>)> {
        let running = self.running.get(at)?;
        let pins = self.pins_in(self.world.made(&running.commit));
        Some((self.artifacts.closure(pins.into_values()), self.world.contents.of(&running.commit)))
    }

    /// Whether what runs in a stage contains a commit; none where the rules do not carry it, or nothing runs.
    fn contains(&self, of: &RepositoryName, commit: &CommitId, at: &StageName) -> Option<bool> {
        let (all, own) = self.runs_in(at)?;
        let changed = &self.world.made(commit).changed;
        let rules = self.world.system.rules()?.rules.iter();
        let carry = rules.filter(|(_, rule)| rule.repository() == Some(of) && rule.on.paths.match_any(changed));
        let has = carry.map(|(name, rule)| {
            let made = all.iter().map(|artifact| self.artifacts.get(*artifact)).filter(|bytes| bytes.rule == *name);
            let of_it: Vec<&Bytes> = made.collect();
            let is_in = |bytes: &&Bytes| bytes.own.contains(&number(commit));
            if rule.target.is_some() { own.contains(commit) } else { !of_it.is_empty() && of_it.iter().all(is_in) }
        });
        has.reduce(|one, other| one && other)
    }

    /// I13: what runs in a stage contains every commit of its heads that the rules carry, or the explanation of a commit says
    /// that it is missing, and of none that is there. Says which of the two; none where there is nothing to say.
    pub(super) fn is_explained(&self, commit: &CommitId, at: &StageName) -> Option<bool> {
        let mut branches = self.world.remotes.iter();
        let ((of, _), branch) =
            branches.find(|(_, branch)| branch.iter().flatten().any(|made| made.commit == *commit))?;
        let is_first = branch.first()?.as_ref()?.commit == *commit;
        let head = &self.last(of, at).commit;
        let is_known = self.world.system.head(of, at).is_some_and(|known| known.commit == *head);
        let is_there = self.world.contents.of(head).contains(commit);
        if is_first || !is_known || !is_there || self.world.made(commit).key.is_some() {
            return None;
        }
        let contains = self.contains(of, commit, at)?;
        let journey = self.world.journey(of.as_str(), commit, at.as_str());
        let by = &self.running[at].by;
        let is_said = journey.verdict != Verdict::Passed;
        assert!(contains || is_said, "I13: {by} lacks {commit} of {of}: {journey:?}, after {:#?}", self.story());
        let missing = journey.conditions.iter().any(|condition| {
            condition.name == format!("in {of} {at}") && condition.what.contains("which does not have it")
        });
        assert!(!contains || !missing, "I13: {by} has {commit} of {of}: {journey:#?}");
        Some(contains)
    }

    /// I13 of all commits in all stages: how many run, and how many are said to be missing.
    pub(super) fn whatever_runs_is_explained(&self) -> (usize, usize) {
        let all: Vec<&CommitId> = self.world.remotes.values().flatten().flatten().map(|made| &made.commit).collect();
        let places = all.iter().flat_map(|commit| ["dev", "qa", "main"].map(|at| (*commit, stage(at))));
        let told: Vec<bool> = places.filter_map(|(commit, at)| self.is_explained(commit, &at)).collect();
        let contained = told.iter().filter(|contained| **contained).count();
        (contained, told.len() - contained)
    }

    /// I14: of what is deployed in a later stage, everything was verified in the stage before or made from commits that were
    /// pushed to this stage; or somebody had it made here, or it was there before Tidegate came. What the stage before has
    /// taken back is this stage's own.
    pub(super) fn comes_from_where_it_may(&self, run: &Run) {
        let before = match run.stage.as_str() {
            "qa" => stage("dev"),
            "main" => stage("qa"),
            _ => return,
        };
        let verified = self.verified.get(&before);
        let (all, _) = self.runs_in(&run.stage).unwrap();
        for artifact in all {
            let is_verified = verified.is_some_and(|verified| verified.contains(&artifact));
            let may = is_verified || self.is_of_before(artifact) || self.is_of_stage(artifact, &run.stage);
            let bytes = self.artifacts.get(artifact);
            let made: Vec<&String> = self.made.get(&artifact).into_iter().flatten().collect();
            let story = self.story();
            assert!(may, "I14: {} deploys {bytes:?} in {}, made by {made:?}, after {story:#?}", run.id, run.stage);
        }
    }

    fn is_of_before(&self, artifact: usize) -> bool {
        let mut all = self.artifacts.closure([artifact]).into_iter().map(|artifact| self.artifacts.get(artifact));
        all.all(|bytes| bytes.own.is_empty() && bytes.night.is_none())
    }

    /// Whether it was made in this stage: of what was pushed there, of what was made there so, or because somebody said so.
    fn is_of_stage(&self, artifact: usize, at: &StageName) -> bool {
        let bytes = self.artifacts.get(artifact);
        let runs = self.made.get(&artifact).into_iter().flatten().map(|run| self.world.run(run));
        let here: Vec<Run> = runs.filter(|run| run.stage == *at).collect();
        let by_hand = here.iter().any(|run| matches!(run.cause, Cause::Command { .. } | Cause::Schedule { .. }));
        let of_pushes = bytes.own.iter().any(|commit| pushed_to(&self.world, *commit, at));
        let of_lost = || self.is_of_what_was_lost(artifact, at);
        !here.is_empty()
            && (by_hand || of_pushes || of_lost() || bytes.pins.values().any(|pin| self.is_of_stage(*pin, at)))
    }

    /// Whether it is made of what the stage before had, and has taken back: the stage itself keeps that, as its own.
    fn is_of_what_was_lost(&self, artifact: usize, at: &StageName) -> bool {
        let before = stage(if at.as_str() == "main" { "qa" } else { "dev" });
        let own = self.artifacts.closure([artifact]);
        let own: BTreeSet<u64> = own.iter().flat_map(|artifact| self.artifacts.get(*artifact).own.clone()).collect();
        let branches = self.world.remotes.iter().filter(|((_, stage), _)| *stage == before);
        branches.map(|(_, branch)| branch).any(|branch| {
            let held = branch.iter().flatten().map(|made| self.world.contents.of(&made.commit));
            let held: Vec<BTreeSet<CommitId>> = held.collect();
            held.windows(2).any(|pair| pair[0].difference(&pair[1]).any(|lost| own.contains(&number(lost))))
        })
    }

    /// What happened last, for who reads why something is not as it should be.
    pub(super) fn story(&self) -> Vec<String> {
        let tell = |run: &Run| {
            let source = run.source.as_ref().map(|source| number(&source.commit));
            let made = run.steps.iter().filter_map(|step| step.made.head().map(number)).collect::<Vec<_>>();
            let Run { id, stage, state, cause, reason, .. } = run;
            format!("{id} in {stage} of {source:?} is {state:?}, made {made:?}: {cause:?} {reason:?}")
        };
        let ended = self.world.ended.iter().rev().take(24).rev().map(tell);
        ended.chain(self.world.system.live_runs().map(tell)).collect()
    }
}
