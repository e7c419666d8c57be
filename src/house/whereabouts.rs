//! The commit that is meant by what somebody types, and where git says it is. The mirrors know both; they are only read.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use anyhow::{Context as _, bail};

use super::{House, failure::Unanswered};
use crate::{
    driver::now_ms,
    engine::{
        Artifact, CommitId, StepKey, System,
        explain::{Ancestry, Landing},
    },
    providers::git::{CommitPlace, Found, Landed, Mirrors, Sought, ancestry, commit_with_prefix},
    rules::{RepositoryName, Rules, StageName, SystemName, repository_key},
    store::{self, Store, Traced},
};

/// The fewest digits of a commit that are looked for in the mirrors; git itself takes no fewer.
const FEWEST_DIGITS: usize = 4;

/// A commit, and the artifact that was asked about when it was not the commit itself.
pub(crate) type Meant = ((RepositoryName, CommitId), Option<Artifact>);

/// The commit that is meant: one that the state names, or else one that a mirror has, or that an artifact was made from.
pub(crate) async fn meant(house: &House, system: &SystemName, state: &System, what: &str) -> anyhow::Result<Meant> {
    let named = named(state, what);
    match named.as_slice() {
        [only] => Ok((only.clone(), None)),
        [] => match in_mirrors(house, state, what).await {
            Some(commit) => Ok((commit, None)),
            None => of_artifact(house.ledger.store().as_ref(), system, what).await,
        },
        several => {
            bail!(Unanswered::unclear(format!("several commits begin with `{what}`; which one?\n{}", listed(several))))
        }
    }
}

/// Where a commit is.
pub(crate) async fn whereabouts(
    house: &House,
    state: &System,
    (name, commit): (&RepositoryName, &CommitId),
) -> anyhow::Result<Ancestry> {
    let Some(rules) = state.rules().filter(|rules| rules.repositories.contains_key(name)) else {
        return Ok(Ancestry::default());
    };
    let branch = |stage: &StageName| rules.branch(stage).to_owned();
    let heads = |stage: &StageName| Some((branch(stage), state.head(name, stage)?.commit.to_string()));
    let place = |stage: &StageName| CommitPlace {
        system: rules.system.to_string(),
        repository: name.to_string(),
        branch: branch(stage),
    };
    let sought = Sought {
        commit: commit.to_string(),
        places: rules.stages.keys().map(place).collect(),
        among: state.asked_of(name).iter().map(ToString::to_string).collect(),
        heads: rules.stages.keys().filter_map(heads).collect(),
    };
    let (mirror, proofs) = (mirror_of(house, rules, name)?, house.proofs().clone());
    let shown = mirror.display().to_string();
    let found = tokio::task::spawn_blocking(move || ancestry(&mirror, &proofs, &sought)).await?;
    let found = found.with_context(|| {
        format!("cannot read the mirror of {name} in {shown}; `tidegate serve` makes it, and mends what is broken")
    })?;
    let of_stage = |stage: &StageName| {
        let came = found.came.get(&branch(stage))?;
        let landing = landing(came);
        // What made it has not merged it.
        let by = landing.by.clone().filter(|_| landing.commit != *commit);
        Some((stage.clone(), Landing { by, ..landing }))
    };
    let came = rules.stages.keys().filter_map(of_stage).collect();
    let Found { having, taken_away, .. } = &found;
    Ok(Ancestry {
        contained: having.iter().map(CommitId::new).collect(),
        taken_away: taken_away.iter().map(|(commit, by)| (CommitId::new(commit), landing(by))).collect(),
        came,
    })
}

fn landing(landed: &Landed) -> Landing {
    let by = landed.key.as_ref().and_then(|key| Some(StepKey::new(key.as_str()).parts()?.run));
    Landing { commit: CommitId::new(&landed.commit), at_ms: landed.at_ms.min(now_ms()), by }
}

fn mirror_of(house: &House, rules: &Rules, name: &RepositoryName) -> anyhow::Result<PathBuf> {
    let mirrors = house.settings.data.join("mirrors");
    Ok(Mirrors::directory_in(&mirrors, &rules.repositories[name].url, repository_key)?)
}

/// The repository, where it is said, and the beginning of the commit: `image@193772ea94`.
fn parts(what: &str) -> (Option<&str>, &str) {
    what.rsplit_once('@').map_or((None, what), |(repository, commit)| (Some(repository), commit))
}

/// The repositories in which a commit is looked for.
fn repositories<'state>(state: &'state System, named: Option<&str>) -> Vec<(&'state Rules, &'state RepositoryName)> {
    let rules = state.rules().into_iter();
    let all = rules.flat_map(|rules| rules.repositories.keys().map(move |name| (&***rules, name)));
    all.filter(|(_, name)| named.is_none_or(|named| name.as_str() == named)).collect()
}

/// The commits that the state names and that begin so.
fn named(state: &System, what: &str) -> Vec<(RepositoryName, CommitId)> {
    let (named, prefix) = parts(what);
    let of_it = |name: &RepositoryName| -> BTreeMap<CommitId, RepositoryName> {
        let asked: BTreeSet<CommitId> = state.asked_of(name);
        asked.into_iter().filter(|commit| commit.as_str().starts_with(prefix)).map(|c| (c, name.clone())).collect()
    };
    let found = repositories(state, named).into_iter().flat_map(|(_, name)| of_it(name));
    found.map(|(commit, name)| (name, commit)).collect()
}

/// The first commit in a mirror that begins so.
async fn in_mirrors(house: &House, state: &System, what: &str) -> Option<(RepositoryName, CommitId)> {
    let (named, prefix) = parts(what);
    if prefix.len() < FEWEST_DIGITS || !prefix.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    for (rules, name) in repositories(state, named) {
        let Ok(mirror) = mirror_of(house, rules, name) else { continue };
        let prefix = prefix.to_owned();
        if let Ok(Some(commit)) = tokio::task::spawn_blocking(move || commit_with_prefix(&mirror, &prefix)).await {
            return Some((name.clone(), CommitId::new(commit)));
        }
    }
    None
}

/// The commit that an artifact was made from, by what the store knows of its making.
async fn of_artifact(store: &dyn Store, system: &SystemName, name: &str) -> anyhow::Result<Meant> {
    match store::trace(store, system, name).await? {
        Traced::Nothing => {
            bail!(Unanswered::none(format!("nothing that {system} saw, made or used begins with `{name}`")))
        }
        Traced::Several { artifacts } => {
            let names: Vec<String> =
                artifacts.iter().map(|artifact| format!("  {} {}", artifact.kind, artifact.name)).collect();
            bail!(Unanswered::unclear(format!("several begin with `{name}`; which one?\n{}", names.join("\n"))))
        }
        Traced::One { origin, upstream, .. } => {
            let sources = std::iter::once(&origin).chain(upstream.iter().map(|link| &link.from));
            match sources.filter_map(commit_of).next() {
                Some(commit) => Ok((commit, Some(origin).filter(|origin| origin.kind != "commit"))),
                None => bail!(Unanswered::none(format!(
                    "no commit is known that {} {} was made from",
                    origin.kind, origin.name
                ))),
            }
        }
    }
}

fn commit_of(artifact: &Artifact) -> Option<(RepositoryName, CommitId)> {
    let (repository, commit) = artifact.name.split_once('@').filter(|_| artifact.kind == "commit")?;
    Some((RepositoryName::new(repository).ok()?, CommitId::new(commit)))
}

fn listed(several: &[(RepositoryName, CommitId)]) -> String {
    let lines: Vec<String> = several.iter().map(|(repository, commit)| format!("  {repository} {commit}")).collect();
    lines.join("\n")
}
