//! Lineages: which commits of the repositories before it an artifact was made from. A head carries one for every commit
//! step that pins into its repository, so that artifacts that meet there can be told to be of the same origin or not.

pub(super) mod by_value;
pub mod fan_in;
pub(super) mod unseen;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::engine::{
    event::CommitSet,
    ids::{CommitId, PinnerId, Place},
    run::{Run, Subject},
    system::{Head, System},
    turn::Turn,
};
use crate::rules::{Action, Commit, RepositoryName, Rule, RuleName, Rules, StageName, StepId, matches_any};

/// What is known of where a head, or a run on it, comes from. What is absent is from before Tidegate saw it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Origin {
    /// Per commit step that pins into the repository: what the pinned artifact was made from.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub pinned: BTreeMap<PinnerId, Lineage>,
    /// Per rule that pushes to the repository start: the last of them that its `paths` let through.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub wanted: BTreeMap<RuleName, Point>,
}

impl Origin {
    /// Whether nothing is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pinned.is_empty() && self.wanted.is_empty()
    }

    fn wanted_order(&self, rule: &RuleName) -> u64 {
        self.wanted.get(rule).map_or(0, |point| point.order)
    }
}

/// The commit of every repository that an artifact was made from.
pub type Lineage = BTreeMap<RepositoryName, Ancestor>;

/// A commit that something was made from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ancestor {
    /// The commit.
    pub commit: CommitId,
    /// When it became the head, as a place in the log.
    pub order: u64,
    /// Per rule that pushes to its repository start, the last push up to this commit that the rule's `paths` let through:
    /// an artifact that came through that rule from then on is as new as this commit.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub wanted: BTreeMap<RuleName, Point>,
}

/// A head that there was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Point {
    /// The commit.
    pub commit: CommitId,
    /// When it became the head, as a place in the log.
    pub order: u64,
}

/// A commit step whose pins a rule takes in.
pub(in crate::engine) struct Pinner<'rules> {
    pub(in crate::engine) id: PinnerId,
    /// The repository that its rule works on.
    pub(in crate::engine) from: &'rules RepositoryName,
    /// Its rule, and then those whose pushes lead to it, nearest first.
    pub(in crate::engine) leads: Vec<(&'rules RuleName, &'rules Rule)>,
}

impl<'rules> Pinner<'rules> {
    pub(in crate::engine) fn rule(&self) -> &'rules RuleName {
        self.leads[0].0
    }

    /// The repositories whose pushes come through it, each once.
    pub(in crate::engine) fn roots(&self) -> Vec<&'rules RepositoryName> {
        let mut roots: Vec<_> = self.leads.iter().filter_map(|(_, rule)| rule.on.push.as_ref()).collect();
        roots.sort();
        roots.dedup();
        roots
    }
}

/// The commit steps of a rule at a stage.
pub(in crate::engine) fn commits<'rules>(
    rule: &'rules Rule,
    stage: &StageName,
) -> impl Iterator<Item = (StepId, &'rules Commit)> {
    let in_stage = move |stages: &Option<Vec<StageName>>| stages.as_ref().is_none_or(|stages| stages.contains(stage));
    let steps = rule.steps.iter().filter(move |step| rule.is_for(stage) && in_stage(&step.stages));
    steps.filter_map(|step| match &step.action {
        Action::Commit(commit) => Some((step.id(), commit)),
        _ => None,
    })
}

/// Whether a push of this commit step is one that the rule's `paths` let through.
fn lets_through(rule: &Rule, commit: &Commit) -> bool {
    rule.on.paths.is_empty() || matches_any(&rule.on.paths, &[&commit.file])
}

/// The commit steps whose pins a rule's runs take in, in the order of the rules.
pub(in crate::engine) fn pinners<'rules>(rules: &'rules Rules, stage: &StageName, rule: &Rule) -> Vec<Pinner<'rules>> {
    let Some(repository) = rule.repository() else { return Vec::new() };
    let mut pinners = Vec::new();
    for (name, pinning) in &rules.rules {
        let Some(from) = pinning.repository() else { continue };
        let into = commits(pinning, stage).filter(|(_, commit)| commit.repository == *repository);
        for (step, _) in into.filter(|(_, commit)| lets_through(rule, commit)) {
            let leads = leads(rules, stage, (name, pinning));
            pinners.push(Pinner { id: PinnerId::of(name, &step), from, leads });
        }
    }
    pinners
}

/// A rule and those that start it with their commits or their success on the same repository, and so on, nearest first.
fn leads<'rules>(
    rules: &'rules Rules,
    stage: &StageName,
    last: (&'rules RuleName, &'rules Rule),
) -> Vec<(&'rules RuleName, &'rules Rule)> {
    let mut found = vec![last];
    let mut at = 0;
    while let Some((_, next)) = found.get(at).copied() {
        at += 1;
        for (name, rule) in rules.rules.iter().filter(|(_, rule)| rule.is_for(stage)) {
            let follows = next.on.upstream.as_ref() == Some(name) && next.repository() == rule.repository();
            let pushes = |commit: &Commit| next.on.push.as_ref() == Some(&commit.repository);
            let leads = || commits(rule, stage).any(|(_, commit)| pushes(commit) && lets_through(next, commit));
            if (follows || leads()) && !found.iter().any(|(known, _)| *known == name) {
                found.push((name, rule));
            }
        }
    }
    found
}

/// The newest commit of every repository among these lineages.
fn newest<'lineage>(lineages: impl Iterator<Item = &'lineage Lineage>) -> Lineage {
    let mut newest = Lineage::new();
    for (repository, ancestor) in lineages.flatten() {
        if newest.get(repository).is_none_or(|known| known.order < ancestor.order) {
            newest.insert(repository.clone(), ancestor.clone());
        }
    }
    newest
}

/// What a rule's work on a head is made from, but for the head itself.
fn taken_in(rules: &Rules, stage: &StageName, rule: &Rule, pinned: &BTreeMap<PinnerId, Lineage>) -> Lineage {
    newest(pinners(rules, stage, rule).iter().filter_map(|pinner| pinned.get(&pinner.id)))
}

/// All that is behind a commit, itself left out.
pub(in crate::engine) fn behind(origin: &Origin) -> Lineage {
    newest(origin.pinned.values())
}

/// The head that a run works on, or one that differs from it in nothing that the run's rule asks for.
pub(in crate::engine) fn present_head<'system>(system: &'system System, run: &Run) -> Option<&'system Head> {
    let (Subject::Rule(rule), Some(source)) = (&run.subject, &run.source) else { return None };
    let head = system.head(&source.repository, &run.stage)?;
    (head.commit == source.commit || head.origin.wanted_order(rule) <= source.order).then_some(head)
}

/// What an artifact of this run, made now, is made from: its own commit and all behind that.
pub(in crate::engine) fn of_run(system: &System, run: &Run) -> Lineage {
    let (Subject::Rule(name), Some(source)) = (&run.subject, &run.source) else { return Lineage::new() };
    let origin = present_head(system, run).map_or(&run.origin, |head| &head.origin);
    let rules = system.rules();
    let mut lineage = match rules.and_then(|rules| Some((rules, rules.rules.get(name)?))) {
        Some((rules, rule)) => taken_in(rules, &run.stage, rule, &origin.pinned),
        None => behind(origin),
    };
    let own = Ancestor { commit: source.commit.clone(), order: source.order, wanted: origin.wanted.clone() };
    lineage.insert(source.repository.clone(), own);
    lineage
}

impl Head {
    /// Corrects the set by the lineages, where they are known: they say which commits the pins are really of.
    pub(in crate::engine) fn agree_with_lineages(&mut self, own: &RepositoryName) {
        let behind = behind(&self.origin);
        self.set.extend(behind.into_iter().map(|(repository, ancestor)| (repository, ancestor.commit)));
        self.set.insert(own.clone(), self.commit.clone());
    }
}

impl Turn<'_> {
    /// A pin was found to say already what a run would have it say: the head stays, and what it is known to be made from
    /// is newer, and so is what was made from it.
    pub(in crate::engine) fn lineage_changed(&mut self, place: &Place) {
        let open = self.system.live_runs().filter(|run| run.stage == place.stage && run.waits_at_fan_in());
        let open: Vec<u64> = open.map(|run| run.number).collect();
        self.awake.extend(open);
        let Some(rules) = self.system.rules().cloned() else { return };
        let mut changed = vec![place.repository.clone()];
        while let Some(repository) = changed.pop() {
            let of_it = rules.rules.iter().filter(|(_, rule)| rule.repository() == Some(&repository));
            for (name, rule) in of_it {
                changed.extend(self.carry_on(&rules, (name, rule), &repository, &place.stage));
            }
        }
    }

    /// Carries what a head is made from on to the heads that pin what a rule made of it, if that is still what the rule
    /// would make. Returns the repositories of those heads.
    fn carry_on(
        &mut self,
        rules: &Rules,
        (name, rule): (&RuleName, &Rule),
        repository: &RepositoryName,
        stage: &StageName,
    ) -> Vec<RepositoryName> {
        let Some(head) = self.system.head(repository, stage) else { return Vec::new() };
        if !fan_in::awaited_by(rules, stage, rule, &head.origin.pinned).is_empty() {
            return Vec::new();
        }
        let (since, source) = (head.origin.wanted_order(name), head.commit.clone());
        let behind = taken_in(rules, stage, rule, &head.origin.pinned);
        let own = Ancestor { commit: head.commit.clone(), order: head.order, wanted: head.origin.wanted.clone() };
        let mut reached = Vec::new();
        for (step, commit) in commits(rule, stage) {
            let Some(mut next) = self.system.head(&commit.repository, stage).cloned() else { continue };
            let id = PinnerId::of(name, &step);
            let known = next.origin.pinned.get(&id).cloned().unwrap_or_default();
            if known.get(repository).map_or(0, |made_from| made_from.order) < since {
                continue;
            }
            let mut carried = newest([&known, &behind].into_iter());
            carried.entry(repository.clone()).or_insert_with(|| own.clone());
            if carried != known {
                next.origin.pinned.insert(id, carried);
                next.agree_with_lineages(&commit.repository);
                let made = next.commit.clone();
                self.set_head(&commit.repository, stage, next);
                self.takes_in_commits(&made, [&source]);
                reached.push(commit.repository.clone());
            }
        }
        reached
    }

    /// A promotion's merges belong together: whatever is pinned in them is taken to be made from one another.
    pub(in crate::engine) fn join_lineages(&mut self, stage: &StageName, merged: &CommitSet) {
        let Some(rules) = self.system.rules().cloned() else { return };
        let ancestor = |system: &System, repository: &RepositoryName| {
            let commit = merged.get(repository)?.clone();
            let head = system.head(repository, stage).filter(|head| head.commit == commit);
            let wanted = head.map(|head| head.origin.wanted.clone()).unwrap_or_default();
            Some((repository.clone(), Ancestor { commit, order: head.map_or(0, |head| head.order), wanted }))
        };
        for repository in merged.keys() {
            let pinned = rules.rules.values().filter(|rule| rule.repository() == Some(repository)).flat_map(|rule| {
                let lineage = |pinner: &Pinner<'_>| -> Lineage {
                    let all = pinner.roots().into_iter().chain([pinner.from]);
                    all.filter_map(|repository| ancestor(&self.system, repository)).collect()
                };
                pinners(&rules, stage, rule).into_iter().map(move |pinner| (pinner.id.clone(), lineage(&pinner)))
            });
            let pinned: BTreeMap<PinnerId, Lineage> = pinned.collect();
            if let Some(mut head) = self.system.head(repository, stage).cloned() {
                head.origin.pinned = pinned;
                self.set_head(repository, stage, head);
            }
        }
    }
}
