//! All that a forge should show of a system, as its state is now. Pure.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{check::check, deployment::deployment};
use crate::{
    engine::{CommitId, Run, System},
    providers::forge::{Check, Deployment, DeploymentState, RepositoryAt},
    rules::{RepositoryName, SystemName},
    store::{ShownKind, ShownName},
};

/// Something that a forge should show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) name: ShownName,
    /// The run that it is of, by its number.
    pub(super) run: u64,
    /// When that ended; then nothing of it changes any more.
    pub(super) ended_ms: Option<i64>,
    pub(super) says: Says,
}

/// What it should say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Says {
    Check(Check),
    Deployment(Deployment),
}

/// Where things are, as far as what is shown depends on it.
pub(super) struct Places<'places> {
    /// The repository at the forge that a URL names.
    pub(super) repository: &'places (dyn Fn(&str) -> Option<RepositoryAt> + Sync),
    /// What people type to reach this server.
    pub(super) url: Option<&'places str>,
    /// Whether the forge shows deployments.
    pub(super) deployments: bool,
}

impl Says {
    /// As it is kept.
    pub(super) fn text(&self) -> String {
        serde_json::to_string(self).expect("plain values always serialise")
    }

    /// What was kept.
    pub(super) fn of(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// The same deployment, in whose place another runs now; none for what it is no matter to.
    pub(super) fn replaced_by(&self, newer: &Self) -> Option<Self> {
        let (Self::Deployment(old), Self::Deployment(new)) = (self, newer) else { return None };
        let is_replaced = new.state == DeploymentState::Success
            && old.state == DeploymentState::Success
            && old.environment == new.environment
            && old.target == new.target
            && old.key != new.key;
        is_replaced.then(|| {
            let state = DeploymentState::Inactive;
            Self::Deployment(Deployment { state, description: "another took its place".to_owned(), ..old.clone() })
        })
    }
}

/// What should be shown of a run: a check at every commit in it, and a deployment in the repository that it works on.
pub(super) fn wanted(system: &SystemName, state: &System, run: &Run, places: &Places<'_>) -> Vec<Wanted> {
    let Some(rules) = state.rules() else { return Vec::new() };
    let at = |name: &RepositoryName| (places.repository)(&rules.repositories.get(name)?.url);
    let link = places.url.map(|url| format!("{url}/api/v1/systems/{system}/runs/{}", run.id));
    let named = |kind: ShownKind, key: &str, place: &RepositoryAt, says: Says| Wanted {
        name: ShownName { system: system.clone(), kind, key: key.to_owned(), place: place.to_string() },
        run: run.number,
        ended_ms: run.ended_ms,
        says,
    };
    let mut commits: BTreeMap<&RepositoryName, &CommitId> = run.set.iter().collect();
    commits.extend(run.source.iter().map(|source| (&source.repository, &source.commit)));
    let mut all = Vec::new();
    for (repository, commit) in commits {
        let Some(place) = at(repository) else { continue };
        let check = check(system, state, run, commit.as_str(), link.clone());
        let key = check.key.clone();
        all.push(named(ShownKind::Check, &key, &place, Says::Check(check)));
    }
    if let Some(source) = run.source.as_ref().filter(|_| places.deployments)
        && let Some(place) = at(&source.repository)
        && let Some(deployment) = deployment(system, state, run, source.commit.as_str(), link)
    {
        let key = deployment.key.clone();
        all.push(named(ShownKind::Deployment, &key, &place, Says::Deployment(deployment)));
    }
    all
}
