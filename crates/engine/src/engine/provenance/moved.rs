//! Sets that are moved into a stage. A pin comes along exactly where what it was made of has, after the move, the content
//! that it was made from: then it is the artifact that was verified, and nothing makes it anew. Else the stage makes its own.

use std::{collections::BTreeMap, sync::Arc};

use crate::engine::{
    compiled::Compiled,
    fact::{Fact, StageFact},
    ids::{CommitId, PinAt, PinnerId, Place},
    leads::{commits, makes_only},
    made::Made,
    origin::{Pins, Point, Points, Provenance, Wanted},
    provenance::meet,
    run::{Cause, Run, Subject},
    shared::Shared,
    state::{Pin, System},
    step_run::{StepRun, StepState},
    task::{Merge, Task},
    turn::Turn,
};
use crate::rules::{Moves, RepositoryName, Rule, RuleName, Rules, StageName};

impl Made {
    /// The rules that see the same in what a move made as in what it was to bring.
    fn carried(&self) -> &[RuleName] {
        self.brought().map_or(&[], |brought| &brought.carried)
    }
}

impl Turn<'_> {
    /// The places of a merge's pins at which the stage keeps what it has: what the source's artifact was made of is not what
    /// the stage will have, as the checks before the merges found, and the stage's own rule makes it.
    pub(in crate::engine) fn kept_pins(&self, number: u64, merge: &Merge) -> Vec<(String, String)> {
        let (run, mut kept) = (self.run(number), Vec::new());
        let Some(rules) = self.system.rules() else { return kept };
        for step in run.steps.iter().filter(|step| step.state == StepState::Done) {
            let Task::CheckMerge(upstream) = &*step.task else { continue };
            let carried = step.made.carried();
            for (name, rule) in rules.rules.iter().filter(|(_, rule)| rule.repository() == Some(&upstream.repository)) {
                let into = commits(rule, &run.stage).filter(|(_, commit)| commit.repository == merge.repository);
                for (_, commit) in into.filter(|_| !carried.contains(name)) {
                    kept.extend(commit.set.keys().map(|pointer| (commit.file.clone(), pointer.clone())));
                }
            }
        }
        kept.extend(self.kept_of_others(run, rules, merge));
        kept
    }

    /// The same for what is made of repositories that the set does not have: there the stage keeps what was made of commits
    /// that the source does not have. Nothing is known of the source's pin then, for what it is of would be in the set.
    fn kept_of_others(&self, run: &Run, rules: &Rules, merge: &Merge) -> Vec<(String, String)> {
        let mut kept = Vec::new();
        let Subject::Promotion { from: source } = &run.subject else { return kept };
        let moves = |of: &RepositoryName| run.steps.iter().any(|step| step.task.moves() == Some(of));
        let head = self.system.head(&merge.repository, &run.stage);
        for (name, rule) in &rules.rules {
            let Some(from) = rule.repository().filter(|from| !moves(from)) else { continue };
            let into = commits(rule, &run.stage).filter(|(_, commit)| commit.repository == merge.repository);
            for (step, commit) in into {
                let pins = head.and_then(|head| head.origin.pinned.get(&PinnerId::of(name, &step)));
                let points = self.system.points(&merge.repository, pins, from);
                let is_others = |points: &Points| points.iter().all(|point| point.stage != *source);
                if points.is_some_and(|points| !points.is_empty() && is_others(points)) {
                    kept.extend(commit.set.keys().map(|pointer| (commit.file.clone(), pointer.clone())));
                }
            }
        }
        kept
    }

    /// A run that moved a set is over: what came along is of the stage's own commits from now on.
    pub(in crate::engine) fn set_moved(&mut self, run: &Run) {
        let Some(rules) = self.system.rules().cloned() else { return };
        let moved: Vec<&StepRun> = run
            .steps
            .iter()
            .filter(|step| {
                step.state == StepState::Done && matches!(step.task.kind().moves, Moves::Merge | Moves::Back)
            })
            .collect();
        for step in &moved {
            let Some(repository) = step.task.moves() else { continue };
            let to = match &*step.task {
                Task::Merge(merge) => Some(&merge.commit),
                _ => step.made.brought().and_then(|brought| brought.to.as_ref()),
            };
            let (Some(to), Some(now)) = (to, step.made.head()) else { continue };
            for rule in step.made.carried() {
                self.came_along(&rules, (repository, to, now), rule, &run.stage, &moved);
            }
        }
        self.provenance_grew(moved.iter().filter_map(|step| step.task.moves()));
    }

    /// What a rule made of `to` is as well of `now`, which is the same to it.
    fn came_along(
        &mut self,
        rules: &Compiled,
        (repository, to, now): (&RepositoryName, &CommitId, &CommitId),
        rule: &RuleName,
        stage: &StageName,
        moved: &[&StepRun],
    ) {
        let place = Place { repository: repository.clone(), stage: stage.clone() };
        let head = self.system.head(repository, stage).filter(|head| head.commit == *now);
        let floor = self.system.moved.get(stage).and_then(|moved| moved.get(repository));
        let floor = floor.filter(|floor| floor.commit == *now).cloned();
        let Some(point) = head.map(|head| Point::of(head, &place.stage)).or(floor) else { return };
        for (into, _, pins) in self.pinned_by(rules, rule, stage) {
            let head = self.system.head(&into, stage).map(|head| &head.commit);
            let kept = |step: &StepRun| match &*step.task {
                Task::Merge(merge) => {
                    pins.values.keys().any(|at| merge.kept.contains(&(pins.file.clone(), at.clone())))
                }
                _ => false,
            };
            let is_there = |step: &StepRun| step.made.head() == head;
            let brings = |step: &&&StepRun| step.task.moves() == Some(&into) && is_there(step) && !kept(step);
            let brought = moved.iter().any(|step| brings(&step));
            let mut known = self.system.points(&into, Some(&pins), repository).into_iter().flatten();
            let is_of_it = known.any(|known| known.commit == *to);
            if brought || is_of_it {
                let more = Provenance::from([(repository.clone(), vec![point.clone()].into())]);
                self.is_also_of(&into, &pins, &more);
            }
        }
    }

    /// A place was moved as one with others: what is pinned from it must not be older from now on. `by` is what the step made that did.
    pub(in crate::engine) fn raise_floor(&mut self, place: &Place, commit: &CommitId, order: u64, by: Option<&Made>) {
        let head = self.system.head(&place.repository, &place.stage).filter(|head| head.commit == *commit);
        let carried = by.map_or(&[][..], Made::carried);
        let wanted = head.map_or_else(
            || self.wanted_unseen(place, (commit, order), carried).into(),
            |head| head.origin.wanted.clone(),
        );
        let point = Arc::new(Point { commit: commit.clone(), stage: place.stage.clone(), order, wanted });
        self.record_stage(&place.stage, StageFact::Moved { repository: place.repository.clone(), head: point });
    }

    /// Which rules a move is for that came on top of what no watch has shown: all that do not see the same as its source.
    fn wanted_unseen(
        &self,
        place: &Place,
        (commit, order): (&CommitId, u64),
        carried: &[RuleName],
    ) -> BTreeMap<RuleName, Wanted> {
        let rules = self.system.rules().into_iter().flat_map(|rules| &rules.rules);
        let wanting = rules.filter(|(name, rule)| {
            rule.on.push.as_ref() == Some(&place.repository) && rule.is_for(&place.stage) && !carried.contains(name)
        });
        wanting.map(|(name, _)| (name.clone(), Wanted { commit: commit.clone(), order })).collect()
    }

    /// A look that was asked for after a set was moved shows the head of before: somebody has thrown the move away, and what
    /// is made of that head is not too old.
    pub(in crate::engine) fn lower_floor(&mut self, place: &Place, asked: u64) {
        let Some(head) = self.system.head(&place.repository, &place.stage).cloned() else { return };
        let floor = self.system.moved.get(&place.stage).and_then(|floors| floors.get(&place.repository));
        let Some(floor) = floor.filter(|floor| floor.order > head.order && floor.order <= asked) else { return };
        let pins = self.system.pins.iter().filter(|(_, pin)| pin.source == floor.commit);
        let pins =
            pins.map(|(at, pin)| (at.clone(), Pin { source: head.commit.clone(), order: head.order, ..pin.clone() }));
        let pins: Vec<(PinAt, Pin)> = pins.collect();
        self.raise_floor(place, &head.commit, head.order, None);
        for (at, pin) in pins {
            self.record(Fact::PinSet { at, pin });
        }
    }
}

/// Why a rule has nothing to make of the head that a move made: all that it would pin came along. The run that brought it.
pub(in crate::engine) fn brought_by(system: &System, name: &RuleName, rule: &Rule, run: &Run) -> Option<String> {
    let source = run.source.as_ref().filter(|_| makes_only(rule, &run.stage))?;
    let by = match &run.cause {
        Cause::Push { by: Some(by), .. } => system.run(by).filter(|by| !matches!(by.subject, Subject::Rule(_)))?,
        Cause::Upstream { run } => system.run(run).filter(|by| by.steps.iter().all(|step| step.skipped.is_some()))?,
        _ => return None,
    };
    let here = Point {
        commit: source.commit.clone(),
        stage: run.stage.clone(),
        order: source.order,
        wanted: run.origin.wanted.clone(),
    };
    let pinned = |into: &RepositoryName, pinner: PinnerId| -> Option<&Shared<Pins>> {
        system.head(into, &run.stage)?.origin.pinned.get(&pinner)
    };
    let mut steps = commits(rule, &run.stage);
    let came = steps.all(|(step, commit)| {
        let pins = pinned(&commit.repository, PinnerId::of(name, &step));
        pins.is_some()
            && meet::fits(system, &commit.repository, pins, (&source.repository, &here), std::slice::from_ref(name))
    });
    came.then(|| by.id.to_string())
}
