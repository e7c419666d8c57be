//! Provenance: of which commits an artifact is the right one. A pin is known by its value, wherever it is and whoever set it;
//! what the value is of was recorded by the step that made it, or is read from that step's commit.

mod before;
mod carry;
pub mod fan_in;
mod meet;
mod moved;
mod points;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde_json::Value;
use smol_str::SmolStr;

use crate::engine::{
    content::{CommitSet, PinsSeen},
    fact::RepositoryFact,
    ids::{CommitId, PinnerId, Place},
    leads::Pinner,
    run::{Run, Subject},
    shared::Shared,
    state::{Head, System},
    task::Task,
    turn::Turn,
};
use crate::rules::{Action, RepositoryName, RuleName, StageName, StepId};

pub use crate::engine::origin::{Origin, Pins, Point, Points, Provenance, Record, Wanted};
use meet::{Met, meet};
pub(in crate::engine) use moved::brought_by;
use points::join_all;

/// How many values of a repository's pins are remembered beside those that a head or a run has. Any other is found again
/// in the history of its branch.
const MOST_RECORDS: usize = 16;

impl Point {
    pub(in crate::engine) fn of(head: &Head, stage: &StageName) -> Arc<Self> {
        let Head { commit, order, origin, .. } = head;
        Arc::new(Self { commit: commit.clone(), stage: stage.clone(), order: *order, wanted: origin.wanted.clone() })
    }
}

impl System {
    /// What is known of pins in a repository.
    #[must_use]
    pub fn provenance_of(&self, repository: &RepositoryName, pins: &Shared<Pins>) -> Option<&Shared<Record>> {
        self.provenance.get(repository)?.iter().rev().find(|record| record.pins == *pins)
    }

    /// The names of the artifacts that are pinned in a commit of a repository: those that the pins are known to be of, and
    /// what they say.
    pub(in crate::engine) fn artifacts_in(&self, repository: &RepositoryName, origin: &Origin) -> BTreeSet<SmolStr> {
        let of = |pins: &Shared<Pins>| {
            let known = self.provenance_of(repository, pins).map(|record| record.artifacts.clone());
            known.into_iter().flatten().chain(pins.values.values().flat_map(texts)).collect::<Vec<_>>()
        };
        origin.pinned.values().flat_map(of).collect()
    }

    /// The names of the artifacts that are pinned in the commits of a set.
    pub(in crate::engine) fn artifacts_of(&self, set: &CommitSet) -> BTreeSet<SmolStr> {
        let versions = self.versions.all().map(|version| &version.verified).chain(self.verified.values());
        let of_versions = versions.filter(|verified| verified.set == *set).flat_map(|verified| &*verified.artifacts);
        let mut artifacts: BTreeSet<SmolStr> = of_versions.cloned().collect();
        for (repository, commit) in set {
            let heads = self.repositories.get(repository).into_iter().flat_map(|watched| watched.heads.values());
            let heads = heads.filter(|head| head.commit == *commit).map(|head| &head.origin);
            let is_of = |run: &&Run| {
                run.source.as_ref().is_some_and(|own| own.repository == *repository && own.commit == *commit)
            };
            // Runs have the origin of the head that they were made on.
            let mut looked_at: Vec<&Shared<Origin>> = Vec::new();
            for origin in heads.chain(self.all_runs().filter(is_of).map(|run| &run.origin)) {
                if !looked_at.iter().any(|other| other.is_same(origin)) {
                    artifacts.extend(self.artifacts_in(repository, origin));
                    looked_at.push(origin);
                }
            }
        }
        artifacts
    }

    /// The heads of `root` for which pins in a repository are right; none where that is not known.
    fn points(
        &self,
        repository: &RepositoryName,
        pins: Option<&Shared<Pins>>,
        root: &RepositoryName,
    ) -> Option<&Points> {
        pins.and_then(|pins| self.provenance_of(repository, pins))?.of.get(root)
    }
}

/// The head that a run works on, or one that differs from it in nothing that the run's rule asks for.
pub(in crate::engine) fn present_head<'system>(system: &'system System, run: &Run) -> Option<&'system Head> {
    let (Subject::Rule(rule), Some(source)) = (&run.subject, &run.source) else { return None };
    let head = system.head(&source.repository, &run.stage)?;
    if system.is_of_older_tag(run) {
        return None;
    }
    (head.commit == source.commit || head.origin.wanted_order(rule) <= source.order).then_some(head)
}

/// What an artifact of this run, made now, is of: its own commit and all that is behind its pins.
pub(in crate::engine) fn of_run(system: &System, run: &Run) -> Provenance {
    let (Subject::Rule(name), Some(source)) = (&run.subject, &run.source) else { return Provenance::new() };
    let origin = present_head(system, run).map_or(&run.origin, |head| &head.origin);
    let place = Place { repository: source.repository.clone(), stage: run.stage.clone() };
    let mut of = behind(system, &place, Some(name), origin);
    // A newer head may differ in what other rules see: of that, the artifact is not.
    let (commit, stage, wanted) = (source.commit.clone(), run.stage.clone(), run.origin.wanted.clone());
    of.insert(place.repository, vec![Arc::new(Point { commit, stage, order: source.order, wanted })].into());
    of
}

/// What is behind the pins of a head, the head itself left out: per repository the heads that all of them fit. Only what a
/// rule takes in, where one is given; else, where they fit no head, those that any of them is of.
fn behind(system: &System, place: &Place, rule: Option<&RuleName>, origin: &Origin) -> Provenance {
    let mut behind = Provenance::new();
    each_behind(system, place, rule, origin, |root, met| {
        met.join_into(behind.entry(root.clone()).or_default());
    });
    behind
}

fn each_behind(
    system: &System,
    place: &Place,
    rule: Option<&RuleName>,
    origin: &Origin,
    mut take: impl FnMut(&RepositoryName, Met),
) {
    let Some(rules) = system.rules() else { return };
    let taken_in = rules.rules.iter().filter(|(name, taking)| match rule {
        Some(rule) => rule == *name,
        None => taking.repository() == Some(&place.repository) && taking.is_for(&place.stage),
    });
    for taken in taken_in.filter_map(|(name, _)| rules.at(name, &place.stage)) {
        for root in &taken.roots {
            let met = meet(system, place, &taken.pinners, root, origin);
            let met = if rule.is_none() { met.or_any() } else { met };
            if !met.is_empty() {
                take(root, met);
            }
        }
    }
}

/// The commits of all repositories that led to a head: of each the newest of the stage's own heads that its pins are of.
pub(in crate::engine) fn set_of(system: &System, place: &Place, head: &Head, before: CommitSet) -> CommitSet {
    let mut newest: BTreeMap<RepositoryName, Arc<Point>> = BTreeMap::new();
    let age = |point: &Arc<Point>| (point.stage == place.stage, point.order);
    each_behind(system, place, None, &head.origin, |root, met| {
        let all = newest.get(root).into_iter().chain(met.common());
        if let Some(point) = all.max_by_key(|point| age(point)).cloned() {
            newest.insert(root.clone(), point);
        }
    });
    let mut set = before;
    let mut put = |repository: &RepositoryName, commit: &CommitId| {
        if set.get(repository) != Some(commit) {
            set.insert(repository.clone(), commit.clone());
        }
    };
    newest.iter().for_each(|(repository, point)| put(repository, &point.commit));
    put(&place.repository, &head.commit);
    set
}

/// The repositories of which nothing is known to be in a head any more: what is pinned from there is another value than before,
/// and nobody knows of what.
pub(in crate::engine) fn not_known_any_more(system: &System, place: &Place, origin: &Origin) -> Vec<RepositoryName> {
    let (Some(rules), Some(before)) = (system.rules(), system.head(&place.repository, &place.stage)) else {
        return Vec::new();
    };
    let taking = rules.rules.iter().filter(|(_, rule)| rule.repository() == Some(&place.repository));
    let taking: Vec<_> = taking.filter_map(|(name, _)| rules.at(name, &place.stage)).collect();
    let pinners = || taking.iter().flat_map(|at| &at.pinners);
    let is_unknown = |root: &&RepositoryName| {
        let of_root = || pinners().filter(|pinner| !pinner.through(root).is_empty());
        let pins = |pinner: &Pinner| origin.pinned.get(&pinner.id);
        let is_new = |pinner: &Pinner| pins(pinner) != before.origin.pinned.get(&pinner.id);
        of_root().any(is_new)
            && of_root().all(|pinner| {
                system.points(&place.repository, pins(pinner), root).is_none_or(|points| points.is_empty())
            })
    };
    let roots: BTreeSet<&RepositoryName> = taking.iter().flat_map(|at| &at.roots).collect();
    roots.into_iter().filter(is_unknown).cloned().collect()
}

/// All texts within a value: an artifact may be named by one of them.
fn texts(value: &Value) -> Vec<SmolStr> {
    match value {
        Value::String(text) => vec![text.as_str().into()],
        Value::Array(items) => items.iter().flat_map(texts).collect(),
        Value::Object(fields) => fields.values().flat_map(texts).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) => Vec::new(),
    }
}

impl Turn<'_> {
    /// A commit step has written its pins, or found them as it would have written them: they are of what its run is of.
    /// Returns the pins.
    pub(in crate::engine) fn wrote_pins(&mut self, number: u64, id: &StepId) -> Option<(PinnerId, Shared<Pins>)> {
        let run = self.run(number);
        let Subject::Rule(rule) = &run.subject else { return None };
        let step = run.step(id)?;
        let (file, into) = match &*step.task {
            Task::Action(Action::Commit(commit)) => (commit.file.clone(), commit.repository.clone()),
            _ => return None,
        };
        let values = step.made.brought()?.pinned.clone();
        let names = run.before(step).into_iter().flat_map(|step| &step.artifacts).map(|artifact| artifact.name.clone());
        // What an artifact is made of is in it as well.
        let pinned = run.source.as_ref().map(|source| self.system.artifacts_in(&source.repository, &run.origin));
        let artifacts = names.chain(pinned.into_iter().flatten()).collect();
        let place = Place { repository: into.clone(), stage: run.stage.clone() };
        let pinner = PinnerId::of(rule, id);
        let (pins, mut of) = (Shared::from(Pins { file, values }), of_run(&self.system, run));
        join_all(&mut of, before::of_before(&self.system, &place, &pinner, &pins));
        self.learn(&into, Record { pins: pins.clone(), of, artifacts, order: self.seq });
        Some((pinner, pins))
    }

    /// A look shows what is pinned in a head: of a value that is not known yet, the commit that wrote it says what it is of.
    /// One that nobody wrote was chosen by whoever pushed it.
    pub(in crate::engine) fn pins_seen(&mut self, place: &Place, seen: &[PinsSeen], before: &Origin) {
        for PinsSeen { pinner, file, values, of } in seen {
            let pins = Shared::from(Pins { file: file.clone(), values: values.clone() });
            let is_new = before.pinned.get(pinner) != Some(&pins);
            if !is_new || self.system.provenance_of(&place.repository, &pins).is_some() {
                continue;
            }
            let of = of.iter().map(|(repository, commit)| {
                (repository.clone(), vec![self.point_of(repository, commit, &place.stage)].into())
            });
            let (of, artifacts) = (of.collect(), BTreeSet::new());
            self.learn(&place.repository, Record { pins, of, artifacts, order: self.seq });
        }
    }

    /// The head that a commit was, as far as that is known.
    fn point_of(&self, repository: &RepositoryName, commit: &CommitId, stage: &StageName) -> Arc<Point> {
        let heads = self.system.repositories.get(repository).into_iter().flat_map(|watched| &watched.heads);
        let head = heads.filter(|(_, head)| head.commit == *commit).map(|(stage, head)| Point::of(head, stage)).next();
        let recorded = self.system.provenance.values().flatten().filter_map(|record| record.of.get(repository));
        let known = || recorded.flat_map(|points| points.iter()).find(|point| point.commit == *commit).cloned();
        let (commit, stage) = (commit.clone(), stage.clone());
        let unknown = || Arc::new(Point { commit, stage, order: 0, wanted: Shared::default() });
        head.or_else(known).unwrap_or_else(unknown)
    }

    /// Adds what is known of pins to what was known of them.
    pub(in crate::engine) fn learn(&mut self, repository: &RepositoryName, mut record: Record) {
        if let Some(known) = self.system.provenance_of(repository, &record.pins) {
            join_all(&mut record.of, known.of.clone());
            record.artifacts.extend(known.artifacts.iter().cloned());
            if **known == record {
                return;
            }
        }
        self.record_repository(repository, RepositoryFact::ProvenanceSet(record.into()));
        self.forget_records(repository);
    }

    /// Forgets the oldest values that no head and no run has.
    fn forget_records(&mut self, repository: &RepositoryName) {
        let System { provenance, repositories, runs, .. } = &*self.system;
        let records = provenance.get(repository).filter(|records| records.len() > MOST_RECORDS);
        let Some(records) = records else { return };
        let heads = repositories.get(repository).into_iter().flat_map(|watched| watched.heads.values());
        let of_it = |run: &&Run| run.source.as_ref().is_some_and(|source| source.repository == *repository);
        let live = runs.values().map(|run| &**run).filter(|run| !run.state.is_ended()).filter(of_it);
        let origins = heads.map(|head| &head.origin).chain(live.map(|run| &run.origin));
        let named: Vec<&Shared<Pins>> = origins.flat_map(|origin| origin.pinned.values()).collect();
        let unnamed = records.iter().filter(|record| !named.contains(&&record.pins));
        let old: Vec<Shared<Pins>> =
            unnamed.take(records.len() - MOST_RECORDS).map(|record| record.pins.clone()).collect();
        for pins in old {
            self.record_repository(repository, RepositoryFact::ProvenanceForgotten(pins));
        }
    }
}
