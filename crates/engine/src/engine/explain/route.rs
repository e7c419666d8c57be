//! Which way a commit goes, by the rules: from stage to stage along the promotions, and within a stage from rule to rule.

use crate::rules::{Action, Promotion, RepositoryName, Rule, RuleName, Rules, StageName};

/// The promotion from a stage to another.
pub(super) fn promotion<'rules>(rules: &'rules Rules, from: &StageName, to: &StageName) -> Option<&'rules Promotion> {
    rules.promotions.iter().find(|promotion| promotion.from == *from && promotion.to == *to)
}

/// The shortest way from stage to stage along the promotions.
pub(super) fn path(rules: &Rules, from: &StageName, to: &StageName) -> Option<Vec<StageName>> {
    let mut paths = vec![vec![from.clone()]];
    // No way is longer than there are stages.
    for _ in 0..rules.stages.len() {
        if let Some(found) = paths.iter().find(|path| path.last() == Some(to)) {
            return Some(found.clone());
        }
        let onward = paths.iter().flat_map(|path| {
            let next = rules.promotions.iter().filter(|promotion| path.last() == Some(&promotion.from));
            let next = next.filter(|promotion| !path.contains(&promotion.to));
            next.map(|promotion| [path.as_slice(), std::slice::from_ref(&promotion.to)].concat())
        });
        paths = onward.collect();
    }
    None
}

/// The rules that carry a push to a repository on to a deployment in that stage, in order; where nothing is deployed, all
/// that it starts.
pub(super) fn route<'rules>(
    rules: &'rules Rules,
    from: &RepositoryName,
    stage: &StageName,
) -> Vec<(&'rules RuleName, &'rules Rule)> {
    let of_stage = || rules.rules.iter().filter(|(_, rule)| rule.is_for(stage));
    let mut reached: Vec<(&RuleName, &Rule)> =
        of_stage().filter(|(_, rule)| rule.on.push.as_ref() == Some(from)).collect();
    let mut next = 0;
    while let Some((name, rule)) = reached.get(next).copied() {
        let follow = of_stage().filter(|(_, after)| follows(name, rule, after));
        let new: Vec<_> = follow.filter(|(name, _)| reached.iter().all(|(known, _)| known != name)).collect();
        reached.extend(new);
        next += 1;
    }
    let mut leads: Vec<&RuleName> = reached.iter().filter(|(_, rule)| deploys(rule)).map(|(name, _)| *name).collect();
    if leads.is_empty() {
        return reached;
    }
    // Each round finds at least one more, or nothing leads there.
    for _ in 0..reached.len() {
        let before = |(name, rule): &&(&RuleName, &Rule)| {
            reached.iter().any(|(after, next)| leads.contains(after) && follows(name, rule, next))
        };
        let more: Vec<&RuleName> = reached.iter().filter(before).map(|(name, _)| *name).collect();
        let new: Vec<&RuleName> = more.into_iter().filter(|name| !leads.contains(name)).collect();
        leads.extend(new);
    }
    reached.retain(|(name, _)| leads.contains(name));
    reached
}

/// Whether the success of a rule starts another.
fn follows(name: &RuleName, rule: &Rule, after: &Rule) -> bool {
    let pushes = rule.steps.iter().any(|step| match &step.action {
        Action::Commit(commit) => after.on.push.as_ref() == Some(&commit.repository),
        _ => false,
    });
    pushes || after.on.upstream.as_ref() == Some(name)
}

/// Whether a rule deploys.
pub(super) fn deploys(rule: &Rule) -> bool {
    rule.steps.iter().any(|step| step.action.kind().deploys())
}
