//! What is pinned in a commit, and what that was made from.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::{
    engine::{CommitId, CommitSet, PinPlace, PinnerId, PinsSeen, WatchWork},
    providers::{
        Fault,
        git::{CommitPlace, Mirror},
    },
    rules::{RepositoryName, StageName},
};

/// What a commit is compared with, to tell which of its values are new.
#[derive(Clone, Copy)]
pub(super) enum Compared<'with> {
    /// The head known before.
    With(&'with str),
    /// Nothing: it is the first head that is seen, and none of its values is asked about.
    First,
    /// Nothing: it is known of no value in it where it came from.
    Alone,
}

/// All that is pinned in a commit. Of values that are not those of the head before, the commit of ours that wrote them says what
/// they are of; at the first sight nothing is asked.
pub(super) async fn pins_of(
    work: &WatchWork,
    mirror: &Mirror,
    stage: &StageName,
    compared: Compared<'_>,
    commit: &str,
) -> Result<Vec<PinsSeen>, Fault> {
    let mut found = Vec::new();
    for PinPlace { pinner, file, pointers } in work.pins.get(stage).into_iter().flatten() {
        let values = mirror.values(commit, file, pointers).await?;
        let is_new = match compared {
            Compared::With(before) => mirror.values(before, file, pointers).await? != values,
            Compared::First => false,
            Compared::Alone => true,
        };
        let of = if is_new {
            made_from(work, mirror, stage, (commit, pinner, file), &values).await?
        } else {
            CommitSet::default()
        };
        found.push(PinsSeen { pinner: pinner.clone(), file: file.clone(), values, of });
    }
    Ok(found)
}

async fn made_from(
    work: &WatchWork,
    mirror: &Mirror,
    stage: &StageName,
    (commit, pinner, file): (&str, &PinnerId, &str),
    values: &BTreeMap<String, Value>,
) -> Result<CommitSet, Fault> {
    let step = pinner.as_str().split_once('/').unwrap_or_default();
    // What a merge brought was written on another stage's branch.
    let of = mirror.made_from(&places(work, stage), commit, step, (file, values)).await?;
    let named = of.iter().filter_map(|of| of.split_once('@'));
    let named = named.filter_map(|(name, commit)| Some((RepositoryName::new(name).ok()?, CommitId::new(commit))));
    Ok(named.collect())
}

/// Where commits of ours are made: first in this stage, then in the others.
pub(super) fn places(work: &WatchWork, stage: &StageName) -> Vec<CommitPlace> {
    let others = work.branches.iter().filter(|(other, _)| *other != stage).map(|(_, branch)| branch);
    let branches = work.branches.get(stage).into_iter().chain(others);
    let (system, repository) = (work.system.to_string(), work.repository.to_string());
    let place = CommitPlace { system, repository, branch: String::new() };
    branches.map(|branch| CommitPlace { branch: branch.clone(), ..place.clone() }).collect()
}
