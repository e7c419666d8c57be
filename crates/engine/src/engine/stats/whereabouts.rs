//! Where every commit has been, learnt from the log: which heads followed one another at each place, which promotion
//! carried them on, and which deployment had them. The state forgets what is over; this does not. It decides nothing.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

use crate::engine::{
    decision::Decision,
    event::{Event, Outcome, Recorded},
    ids::{CommitId, Place, RunId, TargetKey},
    run::{Run, RunState, Subject},
    state::{Head, System},
    step_run::StepState,
    task::Task,
};
use crate::rules::{RepositoryName, StageName, StepId};

/// What became of every commit of a system.
#[derive(Debug, Clone, Default)]
pub struct Whereabouts {
    /// The heads that followed one another at each place, oldest first.
    stops: BTreeMap<Place, Vec<Stop>>,
    /// What promotions carried on, in the order in which they ended.
    carried: BTreeMap<RepositoryName, Vec<Carried>>,
    deployments: Vec<Deployment>,
    /// The rounds of the deploying steps that are in `deployments`, by the run's number.
    counted: BTreeMap<u64, (usize, BTreeSet<(StepId, u32)>)>,
    /// The stages that had been looked at before the last event.
    seen: BTreeMap<RepositoryName, BTreeSet<StageName>>,
    first_ms: Option<i64>,
}

/// A commit that was the head of a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stop {
    /// The commit.
    pub commit: CommitId,
    /// When it became the head: milliseconds since 1970, UTC.
    pub at_ms: i64,
    /// Whether it is a change: people wrote it, and it was not there already when the branch was first seen.
    pub is_change: bool,
    /// How often the branch had been force-pushed: what the head before a force-push brought may be lost.
    epoch: u32,
    /// The position whose content it has: its own, but of a rollback that of the head that it went back to.
    holds: usize,
    /// The positions before it that rollbacks have taken away, and that nothing has brought again.
    taken_away: Vec<Range<usize>>,
}

/// A merge of a promotion.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Carried {
    from: (StageName, usize),
    to: (StageName, usize),
    run: RunId,
    at_ms: i64,
}

/// Where a commit has come to: a stage in whose branch it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrival {
    /// The first head at that stage that brings it, as a position among the heads of the place.
    pub position: usize,
    /// When it came there: milliseconds since 1970, UTC.
    pub at_ms: i64,
}

/// A run in which a `deploy` step began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deployment {
    /// The run.
    pub run: RunId,
    /// Its stage.
    pub stage: StageName,
    /// What it deployed to.
    pub target: TargetKey,
    /// Whether something was put into service. Where no `deploy` step of the run was done, what ran before still runs.
    pub took_place: bool,
    /// When the run ended for the first time after that: milliseconds since 1970, UTC.
    pub at_ms: i64,
    /// Whether it then ended in any other way than well.
    pub failed: bool,
    /// When it ended well; later than `at_ms` when a retry mended it without deploying again.
    pub good_ms: Option<i64>,
    /// When a deployment of something older took its place.
    pub rolled_back_ms: Option<i64>,
    /// What was in it: per repository, the position among the heads of its stage.
    has: BTreeMap<RepositoryName, usize>,
}

impl Whereabouts {
    /// Takes in an event that the engine has taken in, what came of it, and the state after it; one after another, from
    /// the first.
    pub fn take(&mut self, recorded: &Recorded<Event>, decision: &Decision, system: &System) {
        self.first_ms.get_or_insert(recorded.at_ms);
        self.heads(recorded, system);
        for run in &decision.ended {
            match &run.subject {
                Subject::Promotion { from } => self.promoted(run, from),
                Subject::Rule(_) => self.deployed(run),
                // What they bring back is pushed like anything else.
                Subject::Rollback | Subject::TakeBack | Subject::Rules | Subject::Operation(_) => {}
            }
        }
    }

    /// When the log begins: milliseconds since 1970, UTC. `None` before the first event.
    #[must_use]
    pub const fn first_ms(&self) -> Option<i64> {
        self.first_ms
    }

    /// All deployments, in the order in which their runs first ended.
    #[must_use]
    pub fn deployments(&self) -> &[Deployment] {
        &self.deployments
    }

    /// All heads that there have been, place by place, each place's oldest first.
    pub fn stops(&self) -> impl Iterator<Item = (&Place, &[Stop])> {
        self.stops.iter().map(|(place, stops)| (place, stops.as_slice()))
    }

    /// Where a commit is among the heads of a place; the last time, when it was the head more than once.
    #[must_use]
    pub fn position(&self, place: &Place, commit: &CommitId) -> Option<usize> {
        self.stops.get(place)?.iter().rposition(|stop| stop.commit == *commit)
    }

    fn stop(&self, place: &Place, position: usize) -> Option<&Stop> {
        self.stops.get(place)?.get(position)
    }

    /// Whether the head at `later` brings what the head at `position` of the same place brought. After a force-push that
    /// is not known, and taken to be false; after a rollback, only what was there before, or was brought again, counts.
    fn brings(&self, place: &Place, position: usize, later: usize) -> bool {
        let (Some(stop), Some(at)) = (self.stop(place, position), self.stop(place, later)) else { return false };
        let is_taken_away = at.taken_away.iter().any(|range| range.contains(&position));
        later >= position && stop.epoch == at.epoch && !is_taken_away
    }

    /// Whether a deployment had the head at that position of a place.
    #[must_use]
    pub fn deployment_brings(&self, deployment: &Deployment, place: &Place, position: usize) -> bool {
        let has = deployment.has.get(&place.repository).filter(|_| deployment.stage == place.stage);
        has.is_some_and(|later| self.brings(place, position, *later))
    }

    /// The stages that the head at that position of a place has come to, its own among them.
    #[must_use]
    pub fn arrivals(&self, place: &Place, position: usize) -> BTreeMap<StageName, Arrival> {
        let Some(stop) = self.stop(place, position) else { return BTreeMap::new() };
        let begins = Arrival { position, at_ms: stop.at_ms };
        let mut arrivals = BTreeMap::from([(place.stage.clone(), begins)]);
        let mut open = vec![place.stage.clone()];
        let carried = self.carried.get(&place.repository).map(Vec::as_slice).unwrap_or_default();
        while let Some(stage) = open.pop() {
            let (here, at_ms) = (arrivals[&stage].position, arrivals[&stage].at_ms);
            let place = Place { repository: place.repository.clone(), stage };
            let later = &carried[carried.partition_point(|carried| carried.at_ms < at_ms)..];
            for carried in later.iter().filter(|carried| carried.from.0 == place.stage) {
                let (to, position) = &carried.to;
                let is_first = arrivals.get(to).is_none_or(|known| known.at_ms > carried.at_ms);
                if is_first && self.brings(&place, here, carried.from.1) {
                    arrivals.insert(to.clone(), Arrival { position: *position, at_ms: carried.at_ms });
                    open.push(to.clone());
                }
            }
        }
        arrivals
    }

    /// Notes the heads that moved with this event.
    fn heads(&mut self, recorded: &Recorded<Event>, system: &System) {
        let told = match &recorded.event {
            Event::Outcome { outcome: Outcome::Heads { heads, .. }, .. } => Some(heads),
            _ => None,
        };
        for (repository, watched) in &system.repositories {
            let moved = watched.heads.iter().filter(|(_, head)| head.order == recorded.seq);
            for (stage, head) in moved {
                let was_seen = self.seen.get(repository).is_some_and(|seen| seen.contains(stage));
                let told = told.and_then(|heads| heads.get(stage)?.as_ref()).filter(|told| told.commit == head.commit);
                let by_people = told.is_some_and(|told| !told.authors.is_empty() || told.keys.is_empty());
                let place = Place { repository: repository.clone(), stage: stage.clone() };
                let stops = self.stops.entry(place).or_default();
                let (holds, taken_away) = content(system, stops, head);
                let epoch = stops.last().map_or(0, |last| last.epoch) + u32::from(head.forced);
                if stops.last().is_none_or(|last| last.commit != head.commit) {
                    let (commit, at_ms) = (head.commit.clone(), head.since_ms);
                    let is_change = by_people && was_seen;
                    stops.push(Stop { commit, at_ms, is_change, epoch, holds, taken_away });
                }
            }
            if self.seen.get(repository) != Some(&watched.seen) {
                self.seen.insert(repository.clone(), watched.seen.clone());
            }
        }
    }

    /// Notes what a promotion has merged. One that failed half way counts as far as it came.
    fn promoted(&mut self, run: &Run, from: &StageName) {
        for step in run.steps.iter().filter(|step| step.state == StepState::Done) {
            let Task::Merge(merge) = &*step.task else { continue };
            let Some(made) = step.made.head().cloned() else { continue };
            let place = |stage: &StageName| Place { repository: merge.repository.clone(), stage: stage.clone() };
            let Some(position) = self.position(&place(from), &merge.commit) else { continue };
            let at_ms = step.ended_ms.unwrap_or(run.created_ms);
            let carried = self.carried.entry(merge.repository.clone()).or_default();
            let again = |known: &&Carried| known.run == run.id && known.from == (from.clone(), position);
            if carried.iter().rev().any(|known| again(&known)) {
                continue;
            }
            let to = place(&run.stage);
            let to = (run.stage.clone(), self.landed(&to, made, at_ms));
            let carried = self.carried.entry(merge.repository.clone()).or_default();
            let after = carried.partition_point(|known| known.at_ms <= at_ms);
            carried.insert(after, Carried { from: (from.clone(), position), to, run: run.id.clone(), at_ms });
        }
    }

    /// The position of a merge. One that was never seen as a head, because somebody pushed on top of it, is brought by the
    /// first head after it.
    fn landed(&mut self, place: &Place, made: CommitId, at_ms: i64) -> usize {
        if let Some(position) = self.position(place, &made) {
            return position;
        }
        let stops = self.stops.entry(place.clone()).or_default();
        if let Some(later) = stops.iter().position(|stop| stop.at_ms >= at_ms) {
            return later;
        }
        let epoch = stops.last().map_or(0, |last| last.epoch);
        let holds = stops.len();
        stops.push(Stop { commit: made, at_ms, is_change: false, epoch, holds, taken_away: Vec::new() });
        holds
    }

    /// Notes a run that deployed, or tried to.
    fn deployed(&mut self, run: &Run) {
        let began = run.steps.iter().filter(|step| step.task.kind().deploys() && step.started_ms.is_some());
        let rounds: BTreeSet<(StepId, u32)> = began.map(|step| (step.id.clone(), step.round)).collect();
        let (Some(target), false) = (&run.target, rounds.is_empty()) else { return };
        let at_ms = run.ended_ms.unwrap_or(run.created_ms);
        let good_ms = (run.state == RunState::Done).then_some(at_ms);
        let known = self.counted.get(&run.number).filter(|(_, counted)| rounds.is_subset(counted));
        let position = match known {
            // Tried again by hand without deploying again: the same deployment, perhaps mended.
            Some((position, _)) => {
                let position = *position;
                self.deployments[position].good_ms = self.deployments[position].good_ms.or(good_ms);
                position
            }
            None => {
                let has = run.set.iter().filter_map(|(repository, commit)| {
                    let place = Place { repository: repository.clone(), stage: run.stage.clone() };
                    Some((repository.clone(), self.position(&place, commit)?))
                });
                let deployment = Deployment {
                    run: run.id.clone(),
                    stage: run.stage.clone(),
                    target: target.clone(),
                    took_place: run
                        .steps
                        .iter()
                        .any(|step| step.task.kind().deploys() && step.state == StepState::Done),
                    at_ms,
                    failed: good_ms.is_none(),
                    good_ms,
                    rolled_back_ms: None,
                    has: has.collect(),
                };
                self.deployments.push(deployment);
                self.deployments.len() - 1
            }
        };
        let counted = &mut self.counted.entry(run.number).or_insert_with(|| (position, BTreeSet::new()));
        counted.0 = position;
        counted.1.extend(rounds);
        if good_ms.is_some() {
            self.take_back(position);
        }
    }

    /// When a good deployment is of something older than what it takes the place of, that one was rolled back.
    fn take_back(&mut self, position: usize) {
        let now = &self.deployments[position];
        let before = self.deployments[..position].iter().rposition(|before| {
            before.target == now.target && before.good_ms.is_some() && before.rolled_back_ms.is_none()
        });
        let Some(before) = before else { return };
        let content = |name: &RepositoryName, position: &usize| {
            let place = Place { repository: name.clone(), stage: now.stage.clone() };
            self.stop(&place, *position).map(|stop| stop.holds)
        };
        let pairs = self.deployments[before]
            .has
            .iter()
            .filter_map(|(name, had)| Some((content(name, had)?, content(name, now.has.get(name)?)?)));
        let (mut any_older, mut any_newer) = (false, false);
        for (had, has) in pairs {
            any_older |= has < had;
            any_newer |= has > had;
        }
        if any_older && !any_newer {
            let good_ms = now.good_ms;
            self.deployments[before].rolled_back_ms = good_ms;
        }
    }
}

/// What a new head of a place has: the position whose content it is, and what of the earlier ones is taken away.
fn content(system: &System, stops: &[Stop], head: &Head) -> (usize, Vec<Range<usize>>) {
    let here = stops.len();
    let inherited = || stops.last().map(|last| last.taken_away.clone()).unwrap_or_default();
    let run = head.by.as_ref().and_then(|by| system.run(by));
    let step = run.and_then(|run| run.steps.iter().find(|step| step.made.head() == Some(&head.commit)));
    let Some(step) = step else { return (here, inherited()) };
    match &*step.task {
        // A promotion brings all that its source has, also what was taken away here before.
        Task::Merge(_) if !step.made.moved().is_some_and(|moved| moved.back) => (here, Vec::new()),
        Task::Restore(_) => {
            let to = step.made.brought().and_then(|brought| brought.to.as_ref());
            let to = to.and_then(|to| stops.iter().rposition(|stop| stop.commit == *to));
            let Some(to) = to else { return (here, inherited()) };
            // What came after the head that it went back to is gone.
            let mut taken_away = stops[to].taken_away.clone();
            taken_away.push(to + 1..here);
            (stops[to].holds, taken_away)
        }
        _ => (here, inherited()),
    }
}
