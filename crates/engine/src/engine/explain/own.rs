//! What a stage has by itself: which of its artifacts were made there, from commits that no stage before it has verified; and
//! whether what runs there has what its branches have.

use crate::{
    engine::{
        content::CommitSet,
        ids::CommitId,
        origin::Wanted,
        run::Run,
        state::{Head, System},
    },
    rules::{RepositoryName, RuleName, StageName},
};

impl System {
    /// The commits of a run's stage from which the artifacts that it works on were made there: no stage before has made them
    /// from its own. Empty in a stage that nothing is promoted to, and where it is not known.
    #[must_use]
    pub fn made_here(&self, run: &Run) -> CommitSet {
        let mut made = CommitSet::default();
        let Some(source) = run.source.as_ref().filter(|_| !self.stages_before(&run.stage).is_empty()) else {
            return made;
        };
        let records = run.origin.pinned.values().filter_map(|pins| self.provenance_of(&source.repository, pins));
        for (root, points) in records.flat_map(|record| &record.of) {
            let is_own = points.iter().all(|point| point.stage == run.stage && point.order > 0);
            let newest = points.iter().max_by_key(|point| point.order).filter(|_| is_own);
            if let Some(newest) = newest.filter(|newest| !self.is_of_a_rule(root, &run.stage, &newest.commit)) {
                made.insert(root.clone(), newest.commit.clone());
            }
        }
        made
    }

    /// Whether what runs in a stage has the head of a repository there, or makes the same of it. Nothing where no target of the
    /// stage was deployed to yet, or what runs there is not made of that repository.
    #[must_use]
    pub fn runs_head(&self, repository: &RepositoryName, stage: &StageName) -> Option<bool> {
        let head = self.head(repository, stage)?;
        let of_stage = self.targets.iter().filter(|(key, _)| key.target().is_some_and(|(_, at)| at == stage));
        let running = of_stage.filter_map(|(_, target)| target.deployed.as_ref()?.set.get(repository));
        running.map(|commit| self.makes_the_same(head, commit)).reduce(|all, one| all && one)
    }

    /// Whether no rule has anything new to make of a head since this commit of its branch.
    fn makes_the_same(&self, head: &Head, commit: &CommitId) -> bool {
        let points = || self.provenance.values().flatten().flat_map(|record| record.of.values().flatten());
        let order = || points().filter(|point| point.commit == *commit).map(|point| point.order).max();
        let wanted = &head.origin.wanted;
        let is_in = |wanted: &Wanted| wanted.commit == *commit || order().is_some_and(|order| order >= wanted.order);
        head.commit == *commit || (!wanted.is_empty() && wanted.values().all(is_in))
    }

    /// Whether a head is a commit of ours by which a rule pinned what it had made: that says of what it is.
    fn is_of_a_rule(&self, repository: &RepositoryName, stage: &StageName, commit: &CommitId) -> bool {
        let by = self.head(repository, stage).filter(|head| head.commit == *commit).and_then(|head| head.by.as_ref());
        let rule = by.and_then(|by| RuleName::new(by.name()).ok());
        rule.zip(self.rules()).is_some_and(|(rule, rules)| rules.rules.contains_key(&rule))
    }

    fn stages_before(&self, stage: &StageName) -> Vec<&StageName> {
        let promotions = self.rules().into_iter().flat_map(|rules| &rules.promotions);
        promotions.filter(|promotion| promotion.to == *stage).map(|promotion| &promotion.from).collect()
    }
}

/// Which artifacts of a run were made in its own stage, as a clause for people; `None` where all came from the stage before.
#[must_use]
pub fn made_here(system: &System, run: &Run) -> Option<String> {
    let deployed = system.targets.values().filter_map(|target| target.deployed.as_ref());
    let deployed = deployed.map(|deployed| (&deployed.run, &deployed.made_here));
    let verified = system.versions.all().map(|version| (&version.verified.run, &version.verified.made_here));
    let known = deployed.chain(verified).find(|(by, _)| **by == run.id).map(|(_, made)| made.clone());
    let made = known.unwrap_or_else(|| if run.state.is_ended() { CommitSet::default() } else { system.made_here(run) });
    made_in(system, &run.stage, &made)
}

/// That something was made in a stage from these commits of its own, as a clause for people.
#[must_use]
pub fn made_in(system: &System, stage: &StageName, made: &CommitSet) -> Option<String> {
    let before: Vec<&str> = system.stages_before(stage).into_iter().map(StageName::as_str).collect();
    let from: Vec<String> =
        made.iter().map(|(repository, commit)| format!("{repository} {}", commit.short())).collect();
    let (from, before) = (from.join(" and "), before.join(" and "));
    (!made.is_empty()).then(|| format!("made in {stage} from {from}, which {before} has not verified"))
}
