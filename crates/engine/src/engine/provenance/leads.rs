//! Which rules lead where: the commit steps whose pins a rule takes in, and the rules whose pushes lead to them.

use std::collections::BTreeSet;

use crate::engine::ids::PinnerId;
use crate::rules::{Action, Commit, RepositoryName, Rule, RuleName, Rules, StageName, StepId};

/// A place whose pins a rule takes in.
pub(in crate::engine) struct Pinner<'rules> {
    /// The commit step that pins there.
    pub(in crate::engine) id: PinnerId,
    /// The repository that its rule works on.
    pub(in crate::engine) from: &'rules RepositoryName,
    /// Its rule, and then those whose pushes lead to it, nearest first; of several rules that pin there, those of all.
    pub(in crate::engine) leads: Vec<(&'rules RuleName, &'rules Rule)>,
    /// The file and the pointers.
    place: (&'rules str, BTreeSet<&'rules str>),
}

impl<'rules> Pinner<'rules> {
    pub(in crate::engine) fn rule(&self) -> &'rules RuleName {
        self.leads[0].0
    }

    /// The repositories whose pushes come through it, each once.
    pub(in crate::engine) fn roots(&self) -> BTreeSet<&'rules RepositoryName> {
        self.leads.iter().filter_map(|(_, rule)| rule.on.push.as_ref()).collect()
    }

    /// The rules through which a push to a repository comes to it.
    pub(in crate::engine) fn through(&self, root: &RepositoryName) -> Vec<&'rules RuleName> {
        let pushed = self.leads.iter().filter(|(_, rule)| rule.on.push.as_ref() == Some(root));
        pushed.map(|(name, _)| *name).collect()
    }
}

/// The repositories whose pushes come through any of these, each once.
pub(in crate::engine) fn all_roots<'rules>(pinners: &[Pinner<'rules>]) -> BTreeSet<&'rules RepositoryName> {
    pinners.iter().flat_map(Pinner::roots).collect()
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

/// Whether a rule does nothing at a stage but make what it pins.
pub(in crate::engine) fn makes_only(rule: &Rule, stage: &StageName) -> bool {
    rule.target.is_none() && commits(rule, stage).next().is_some()
}

/// Whether a push of this commit step is one that the rule's `paths` let through.
fn lets_through(rule: &Rule, commit: &Commit) -> bool {
    rule.on.paths.match_any(&[&commit.file])
}

/// The places whose pins a rule's runs take in, in the order of the rules.
pub(in crate::engine) fn pinners<'rules>(rules: &'rules Rules, stage: &StageName, rule: &Rule) -> Vec<Pinner<'rules>> {
    let Some(repository) = rule.repository() else { return Vec::new() };
    let mut pinners: Vec<Pinner<'rules>> = Vec::new();
    for (name, pinning) in &rules.rules {
        let Some(from) = pinning.repository() else { continue };
        let into = commits(pinning, stage).filter(|(_, commit)| commit.repository == *repository);
        for (step, commit) in into.filter(|(_, commit)| lets_through(rule, commit)) {
            let place = (commit.file.as_str(), commit.set.keys().map(String::as_str).collect());
            let leads = leads(rules, stage, (name, pinning));
            match pinners.iter_mut().find(|known| known.place == place) {
                Some(known) => known.leads.extend(leads),
                None => pinners.push(Pinner { id: PinnerId::of(name, &step), from, leads, place }),
            }
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
