//! Rules that would start one another without end: by committing to a repository whose pushes start them, or by the
//! success of another rule. A commit to a file that a rule's `paths` leave out starts nothing.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::{
    super::{
        actions::Action,
        model::Rule,
        names::{RepositoryName, RuleName, StageName},
    },
    context::Check,
};

/// Why the end of one rule starts another.
#[derive(Clone, Copy)]
enum Cause<'rules> {
    Commit { to: &'rules RepositoryName },
    Success,
}

/// From each rule to those that it starts in one stage.
type Starts<'rules> = BTreeMap<&'rules RuleName, Vec<(&'rules RuleName, Cause<'rules>)>>;

pub(super) fn check(check: &mut Check<'_>) {
    let rules = check.rules;
    let mut told: BTreeSet<BTreeSet<&RuleName>> = BTreeSet::new();
    for stage in rules.stages.keys() {
        let starts = starts(check, stage);
        for name in rules.rules.keys() {
            let Some(path) = way_back(&starts, name) else { continue };
            if !told.insert(path.iter().map(|(rule, _)| *rule).collect()) {
                continue;
            }
            let hops: Vec<String> = path.iter().enumerate().map(|(at, hop)| shown(check, &path, at, hop)).collect();
            check.add_with_help(
                check.document.field("rules").field(name.as_str()).key("on"),
                format!("this rule would start itself without end in stage `{stage}`: {}", hops.join(", ")),
                "commit to another repository, or leave the committed file out with `paths`",
            );
        }
    }
}

fn starts<'rules>(check: &Check<'rules>, stage: &StageName) -> Starts<'rules> {
    let rules = check.rules;
    let in_stage = || rules.rules.iter().filter(|(_, rule)| rule.is_for(stage));
    let mut starts = Starts::new();
    for (name, rule) in in_stage() {
        let started = in_stage().filter_map(|(other, started)| Some((other, cause(rule, name, started, stage)?)));
        starts.insert(name, started.collect());
    }
    starts
}

fn cause<'rules>(rule: &'rules Rule, name: &RuleName, started: &Rule, stage: &StageName) -> Option<Cause<'rules>> {
    if started.on.upstream.as_ref() == Some(name) {
        return Some(Cause::Success);
    }
    let push = started.on.push.as_ref()?;
    let in_stage = rule.steps.iter().filter(|step| step.stages.as_ref().is_none_or(|stages| stages.contains(stage)));
    in_stage.into_iter().find_map(|step| match &step.action {
        Action::Commit(commit) if commit.repository == *push && started.on.paths.match_any(&[&commit.file]) => {
            Some(Cause::Commit { to: &commit.repository })
        }
        _ => None,
    })
}

/// The shortest way from a rule back to itself, as the rules on it and why each starts the next.
fn way_back<'rules>(
    starts: &Starts<'rules>,
    start: &'rules RuleName,
) -> Option<Vec<(&'rules RuleName, Cause<'rules>)>> {
    let mut came_from: BTreeMap<&RuleName, (&'rules RuleName, Cause<'rules>)> = BTreeMap::new();
    let mut waiting = VecDeque::from([start]);
    while let Some(name) = waiting.pop_front() {
        for (next, cause) in starts.get(name).into_iter().flatten() {
            if came_from.contains_key(next) {
                continue;
            }
            came_from.insert(next, (name, *cause));
            waiting.push_back(next);
            if *next == start {
                waiting.clear();
                break;
            }
        }
    }
    let mut path = Vec::new();
    let mut at = start;
    loop {
        let (from, cause) = *came_from.get(at)?;
        path.push((from, cause));
        at = from;
        if at == start {
            path.reverse();
            return Some(path);
        }
    }
}

/// A hop of the way as people read it: `package: software → image`, or `check: after bake`.
fn shown(check: &Check<'_>, path: &[(&RuleName, Cause<'_>)], at: usize, hop: &(&RuleName, Cause<'_>)) -> String {
    let (name, cause) = hop;
    match cause {
        Cause::Commit { to } => {
            let from = check.rules.rules.get(*name).and_then(Rule::repository).map_or("?", RepositoryName::as_str);
            format!("{name}: {from} → {to}")
        }
        Cause::Success => {
            let next = path[(at + 1) % path.len()].0;
            format!("{next}: after {name}")
        }
    }
}
