//! Which rules lead where: the commit steps whose pins a rule takes in, and the rules whose pushes lead to them.

use std::collections::{BTreeMap, BTreeSet};

use super::ids::PinnerId;
use crate::rules::{Action, Commit, RepositoryName, Rule, RuleName, Rules, StageName, StepId};

/// A place whose pins a rule takes in.
#[derive(Debug, Clone)]
pub(super) struct Pinner {
    /// The commit step that pins there.
    pub(super) id: PinnerId,
    /// The repository that its rule works on.
    pub(super) from: RepositoryName,
    /// Its rule, and then those whose pushes lead to it, nearest first; of several rules that pin there, those of all.
    pub(super) leads: Vec<RuleName>,
    /// Per repository whose pushes come through it, the rules through which they come.
    through: BTreeMap<RepositoryName, Vec<RuleName>>,
    /// The file and the pointers.
    place: (String, BTreeSet<String>),
}

impl Pinner {
    pub(super) fn rule(&self) -> &RuleName {
        &self.leads[0]
    }

    /// The repositories whose pushes come through it, each once.
    pub(super) fn roots(&self) -> impl Iterator<Item = &RepositoryName> {
        self.through.keys()
    }

    /// The rules through which a push to a repository comes to it.
    pub(super) fn through(&self, root: &RepositoryName) -> &[RuleName] {
        self.through.get(root).map_or(&[], Vec::as_slice)
    }

    fn extend(&mut self, leads: Vec<(&RuleName, &Rule)>) {
        for (name, rule) in leads {
            self.leads.push(name.clone());
            if let Some(root) = &rule.on.push {
                self.through.entry(root.clone()).or_default().push(name.clone());
            }
        }
    }
}

/// The commit steps of a rule at a stage.
pub(super) fn commits<'rules>(rule: &'rules Rule, stage: &StageName) -> impl Iterator<Item = (StepId, &'rules Commit)> {
    let in_stage = move |stages: &Option<Vec<StageName>>| stages.as_ref().is_none_or(|stages| stages.contains(stage));
    let steps = rule.steps.iter().filter(move |step| rule.is_for(stage) && in_stage(&step.stages));
    steps.filter_map(|step| match &step.action {
        Action::Commit(commit) => Some((step.id(), commit)),
        _ => None,
    })
}

/// Whether a rule does nothing at a stage but make what it pins.
pub(super) fn makes_only(rule: &Rule, stage: &StageName) -> bool {
    rule.target.is_none() && commits(rule, stage).next().is_some()
}

/// Whether a push of this commit step is one that the rule's `paths` let through.
fn lets_through(rule: &Rule, commit: &Commit) -> bool {
    rule.on.paths.match_any(&[&commit.file])
}

/// The places whose pins a rule's runs take in, in the order of the rules.
pub(super) fn pinners(rules: &Rules, stage: &StageName, rule: &Rule) -> Vec<Pinner> {
    let Some(repository) = rule.repository() else { return Vec::new() };
    let mut pinners: Vec<Pinner> = Vec::new();
    for (name, pinning) in &rules.rules {
        let Some(from) = pinning.repository() else { continue };
        let into = commits(pinning, stage).filter(|(_, commit)| commit.repository == *repository);
        for (step, commit) in into.filter(|(_, commit)| lets_through(rule, commit)) {
            let place = (commit.file.clone(), commit.set.keys().cloned().collect());
            let leads = leads(rules, stage, (name, pinning));
            if let Some(known) = pinners.iter_mut().find(|known| known.place == place) {
                known.extend(leads);
                continue;
            }
            let (id, from) = (PinnerId::of(name, &step), from.clone());
            let mut pinner = Pinner { id, from, leads: Vec::new(), through: BTreeMap::new(), place };
            pinner.extend(leads);
            pinners.push(pinner);
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
