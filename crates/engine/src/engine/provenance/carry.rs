//! What becomes known of an artifact is carried on to all that was made from it, without making it anew.

use std::collections::BTreeSet;

use crate::engine::{
    compiled::Compiled,
    fact::RepositoryFact,
    ids::{PinnerId, Place},
    origin::{Pins, Point, Points, Provenance, Record},
    provenance::{
        before::of_before,
        behind, fan_in, meet,
        points::{has_point, join_all, join_points},
        set_of,
    },
    shared::Shared,
    state::Head,
    turn::Turn,
};
use crate::rules::{RepositoryName, RuleName, StageName};

impl Turn<'_> {
    /// What is pinned in repositories is known to be of more than before: so is all that was made from it. Runs that wait at
    /// their fan-in look again.
    pub(in crate::engine) fn provenance_grew<'name>(&mut self, of: impl IntoIterator<Item = &'name RepositoryName>) {
        let Some(rules) = self.system.rules().cloned() else { return };
        let of: BTreeSet<RepositoryName> = of.into_iter().cloned().collect();
        for stage in rules.stages.keys() {
            let mut grown = of.clone();
            while let Some(repository) = grown.pop_first() {
                self.take_sets_anew(&Place { repository: repository.clone(), stage: stage.clone() });
                let of_it = rules.rules.iter().filter(|(_, rule)| rule.repository() == Some(&repository));
                for (name, _) in of_it.filter(|(_, rule)| rule.is_for(stage)) {
                    grown.extend(self.carry_on(&rules, name, &repository, stage));
                }
            }
        }
        let open: Vec<u64> =
            self.system.live_runs().filter(|run| run.waits_at_fan_in()).map(|run| run.number).collect();
        self.awake.extend(open);
    }

    fn take_sets_anew(&mut self, place: &Place) {
        let Some(head) = self.system.head(&place.repository, &place.stage) else { return };
        let set = set_of(&self.system, place, head, head.set.clone());
        if set != head.set {
            self.set_head(&place.repository, &place.stage, Head { set, ..head.clone() });
        }
    }

    /// Carries on from a head to what a rule made of it, if that is still what the rule would make. Returns the repositories
    /// in which that is pinned.
    fn carry_on(
        &mut self,
        rules: &Compiled,
        name: &RuleName,
        repository: &RepositoryName,
        stage: &StageName,
    ) -> Vec<RepositoryName> {
        let place = Place { repository: repository.clone(), stage: stage.clone() };
        let pinned = self.pinned_by(rules, name, stage);
        let Some(head) = self.system.head(repository, stage).filter(|_| !pinned.is_empty()) else { return Vec::new() };
        let more = behind(&self.system, &place, Some(name), &head.origin);
        if more.is_empty() || !fan_in::awaited_by(&self.system, &place, name, &head.origin).is_empty() {
            return Vec::new();
        }
        let here = Point::of(head, stage);
        let mut grown = Vec::new();
        for (into, pinner, pins) in pinned {
            let is_of_it =
                meet::fits(&self.system, &into, Some(&pins), (repository, &here), std::slice::from_ref(name));
            if !is_of_it {
                continue;
            }
            if self.system.provenance_of(&into, &pins).is_none() {
                // What lay there before Tidegate came is of the head that there is.
                let mut of = Provenance::from([(repository.clone(), vec![here.clone()].into())]);
                let place = Place { repository: into.clone(), stage: stage.clone() };
                join_all(&mut of, of_before(&self.system, &place, &pinner, &pins));
                self.learn(&into, Record { pins: pins.clone(), of, artifacts: BTreeSet::new(), order: 0 });
            }
            if self.is_also_of(&into, &pins, &more) {
                grown.push(into);
            }
        }
        grown
    }

    /// What is pinned in a stage at the places of a rule's commit steps, with the repository of each.
    pub(super) fn pinned_by(
        &self,
        rules: &Compiled,
        rule: &RuleName,
        stage: &StageName,
    ) -> Vec<(RepositoryName, PinnerId, Shared<Pins>)> {
        let pins = rules.at(rule, stage).into_iter().flat_map(|at| &at.pins);
        let pinned = pins.filter_map(|(repository, pinner)| {
            let pins = self.system.head(repository, stage)?.origin.pinned.get(pinner)?;
            Some((repository.clone(), pinner.clone(), pins.clone()))
        });
        pinned.collect()
    }

    /// Adds to what pins are of; says whether that was news.
    pub(super) fn is_also_of(&mut self, repository: &RepositoryName, pins: &Shared<Pins>, more: &Provenance) -> bool {
        let Some(known) = self.system.provenance_of(repository, pins) else { return false };
        let has = |root: &RepositoryName, points: &Points| {
            let mut place = 0;
            known.of.get(root).is_some_and(|known| {
                known.is_same(points) || points.iter().all(|point| has_point(known, point, &mut place))
            })
        };
        if more.iter().all(|(root, points)| has(root, points)) {
            return false;
        }
        let mut record = known.clone();
        for (root, points) in more {
            join_points(record.of.entry(root.clone()).or_default(), points);
        }
        self.record_repository(repository, RepositoryFact::ProvenanceSet(record));
        true
    }
}
