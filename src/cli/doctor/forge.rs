//! The forge against the settings and the rules: what it lets us do, who people are there, and what each branch demands.

use std::{collections::BTreeSet, time::Duration};

use super::finding::{About, Findings};
use crate::{
    cli::{House, asker::Asker, settings::Settings},
    forge::accounts,
    providers::{
        Fault,
        forge::{BranchRules, Finding, Forge, RepositoryAt},
    },
};

/// How much of what is not shown is looked through.
const MOST_UNTOLD: u32 = 1_000;

/// Looks at the forge, where there is one.
pub(super) async fn look(
    settings: &Settings,
    house: Option<&House>,
    who: &Asker,
    patience: Duration,
    findings: &mut Findings,
) {
    let Some(github) = &settings.forges.github else { return };
    let forge = match settings.open_forge() {
        Ok(Some(forge)) => forge,
        Ok(None) => return,
        Err(error) => {
            findings.bad(About::Forge, None, format!("{error:#}"), "mend it; GitHub was not asked");
            return;
        }
    };
    let before = findings.0.len();
    let told = |what: &str, answer: Result<Vec<Finding>, Fault>, findings: &mut Findings| match answer {
        Ok(found) => found.iter().for_each(|it| findings.bad(About::Forge, None, it.what.clone(), &it.hint)),
        Err(fault) => findings.bad(About::Forge, None, format!("{what}: {fault}"), remedy(&fault)),
    };
    let examined = in_time(patience, forge.examine()).await;
    told("GitHub does not say how it is set up", examined, findings);
    let people = in_time(patience, accounts::examine(settings, &*forge)).await;
    told("GitHub does not say who people are", people, findings);
    if let Some(house) = house {
        for (at, branch) in branches(house, who, &*forge).await {
            let of = format!("{at} {branch}");
            match in_time(patience, forge.branch_rules(&at, &branch)).await {
                Ok(rules) => {
                    for (what, hint) in demands(&rules, settings.identity.signing.is_some()) {
                        findings.warn(About::Forge, Some(&of), what, hint);
                    }
                }
                Err(fault) => {
                    findings.bad(About::Forge, Some(&of), format!("its rules are not told: {fault}"), remedy(&fault));
                }
            }
        }
        untold(house, findings).await;
    }
    if findings.0.len() == before {
        findings.good(About::Forge, None, format!("{} is set up as it should be", github.url));
    }
}

async fn in_time<T>(patience: Duration, asked: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
    let told = tokio::time::timeout(patience, asked).await;
    told.unwrap_or_else(|_| Err(Fault::retry(format!("it did not answer within {patience:?}"))))
}

fn remedy(fault: &Fault) -> String {
    match fault {
        Fault::Fail { hint, .. } if !hint.is_empty() => hint.clone(),
        Fault::Fail { .. } => "look at what it says".to_owned(),
        Fault::Retry { .. } => "try again; `--patience` waits longer".to_owned(),
    }
}

/// The branches of stages at the forge, of the systems that whoever asks may look at.
async fn branches(house: &House, who: &Asker, forge: &dyn Forge) -> BTreeSet<(RepositoryAt, String)> {
    let mut all = BTreeSet::new();
    for system in house.visible_systems(who).await.unwrap_or_default() {
        let of = house.ledger.read(&system, |state| {
            let rules = state.rules().into_iter();
            let each = rules.flat_map(|rules| {
                let branches: Vec<String> = rules.stages.keys().map(|stage| rules.branch(stage).to_owned()).collect();
                rules.repositories.values().map(move |repository| (repository.url.clone(), branches.clone()))
            });
            each.collect::<Vec<_>>()
        });
        for (url, branches) in of.await.unwrap_or_default() {
            let Some(at) = forge.repository(&url) else { continue };
            all.extend(branches.into_iter().map(|branch| (at.clone(), branch)));
        }
    }
    all
}

/// What of a branch's demands stops commits of ours.
fn demands(rules: &BranchRules, signs: bool) -> Vec<(String, &'static str)> {
    let BranchRules { pull_request, linear_history, signatures, merge_queue, locked, required_checks } = rules;
    let mut found = Vec::new();
    let mut add = |is_so: bool, what: &str, hint| {
        if is_so {
            found.push((what.to_owned(), hint));
        }
    };
    let exempt = "let Tidegate's App bypass this rule: it is on the list of its ruleset, below `Bypass list`";
    add(*locked, "nobody may push to it", exempt);
    add(*pull_request, "changes need a pull request: commits and merges of Tidegate are refused", exempt);
    add(*merge_queue, "changes go through a merge queue: commits and merges of Tidegate are refused", exempt);
    add(*linear_history, "merge commits are refused: nothing is promoted to it", exempt);
    add(
        *signatures && !signs,
        "commits must be signed, and Tidegate signs none",
        "name a key as `signing` in [identity] of tidegate.toml, and add it to the account of Tidegate at GitHub",
    );
    let others: Vec<&str> =
        required_checks.iter().map(String::as_str).filter(|check| !check.starts_with("tidegate/")).collect();
    let what = format!("a push needs these checks, which commits of Tidegate do not have: {}", others.join(", "));
    add(!others.is_empty(), &what, exempt);
    found
}

/// What the forge does not show as it should.
async fn untold(house: &House, findings: &mut Findings) {
    let Ok(untold) = house.ledger.store().untold(MOST_UNTOLD).await else { return };
    let failed: Vec<_> = untold.iter().filter(|shown| shown.error.is_some()).collect();
    let Some(first) = failed.first() else { return };
    let what = format!(
        "{} checks and deployments are not shown as they should be, as {} in {}: {}",
        failed.len(),
        first.name.key,
        first.name.place,
        first.error.as_deref().unwrap_or_default()
    );
    findings.warn(About::Forge, None, what, "mend what it says; each is told again by itself");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stops_our_commits_is_found_and_nothing_else() {
        let none = BranchRules::default();
        assert!(demands(&none, false).is_empty());
        let own = BranchRules { required_checks: vec!["tidegate/dev/package".to_owned()], ..none.clone() };
        assert!(demands(&own, false).is_empty());
        let signed = BranchRules { signatures: true, ..none.clone() };
        assert_eq!((demands(&signed, false).len(), demands(&signed, true).len()), (1, 0));
        let all = BranchRules {
            pull_request: true,
            linear_history: true,
            merge_queue: true,
            locked: true,
            required_checks: vec!["ci".to_owned()],
            ..none
        };
        assert_eq!(demands(&all, false).len(), 5);
    }
}
