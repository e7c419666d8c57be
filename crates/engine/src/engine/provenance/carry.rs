//! What becomes known of an artifact is carried on to all that was made from it, without making it anew.

use std::{collections::BTreeSet, sync::Arc};

use crate::engine::{
    fact::RepositoryFact,
    ids::{PinnerId, Place},
    leads::commits,
    origin::{Pins, Point, Provenance, Record},
    provenance::{behind, fan_in, has_point, join, meet, set_of},
    state::Head,
    turn::Turn,
};
use crate::rules::{RepositoryName, RuleName, Rules, StageName};

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
        rules: &Rules,
        name: &RuleName,
        repository: &RepositoryName,
        stage: &StageName,
    ) -> Vec<RepositoryName> {
        let place = Place { repository: repository.clone(), stage: stage.clone() };
        let Some(head) = self.system.head(repository, stage) else { return Vec::new() };
        if !fan_in::awaited_by(&self.system, &place, name, &head.origin).is_empty() {
            return Vec::new();
        }
        let (here, more) = (Point::of(head, stage), behind(&self.system, &place, Some(name), &head.origin));
        let mut grown = Vec::new();
        for pins in self.pinned_by(rules, name, stage) {
            let (into, pins) = pins;
            let is_of_it =
                meet::fits(&self.system, &into, Some(&pins), (repository, &here), std::slice::from_ref(name));
            if !is_of_it || more.is_empty() {
                continue;
            }
            if self.system.provenance_of(&into, &pins).is_none() {
                // What lay there before Tidegate came is of the head that there is.
                let of = Provenance::from([(repository.clone(), vec![here.clone()])]);
                self.learn(&into, Record { pins: pins.clone(), of, artifacts: BTreeSet::new(), order: 0 });
            }
            if self.is_also_of(&into, &pins, &more) {
                grown.push(into);
            }
        }
        grown
    }

    /// What is pinned in a stage at the places of a rule's commit steps, with the repository of each.
    pub(super) fn pinned_by(&self, rules: &Rules, rule: &RuleName, stage: &StageName) -> Vec<(RepositoryName, Pins)> {
        let steps = rules.rules.get(rule).into_iter().flat_map(|rule| commits(rule, stage));
        let pinned = steps.filter_map(|(step, commit)| {
            let head = self.system.head(&commit.repository, stage)?;
            let pins = head.origin.pinned.get(&PinnerId::of(rule, &step))?;
            Some((commit.repository.clone(), pins.clone()))
        });
        pinned.collect()
    }

    /// Adds to what pins are of; says whether that was news.
    pub(super) fn is_also_of(&mut self, repository: &RepositoryName, pins: &Pins, more: &Provenance) -> bool {
        let Some(record) = self.system.provenance_of(repository, pins) else { return false };
        let is_known = |root: &RepositoryName, point: &Arc<Point>| {
            record.of.get(root).is_some_and(|known| has_point(known, point))
        };
        if more.iter().all(|(root, points)| points.iter().all(|point| is_known(root, point))) {
            return false;
        }
        let mut record = record.clone();
        for (root, points) in more {
            join(record.of.entry(root.clone()).or_default(), points);
        }
        self.record_repository(repository, RepositoryFact::ProvenanceSet(Box::new(record)));
        true
    }
}
