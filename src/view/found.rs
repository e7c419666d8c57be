//! What a text that people look for is found in: systems, runs, commits, artifacts and people.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::words;
use crate::{
    engine::{Artifact, Person, Run, System},
    rules::{RepositoryName, SystemName},
};

/// How many digits of a commit are looked for at least: fewer are in many.
const FEWEST_DIGITS: usize = 4;

/// What was found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FoundTold {
    /// It: systems, then people, then what is in each system, the newest first.
    pub items: Vec<Found>,
    /// Whether there is more, which a longer text finds.
    pub shortened: bool,
}

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Found {
    /// What it is.
    pub kind: FoundKind,
    /// Its system; a person has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<SystemName>,
    /// Its name: of a commit, `repository@commit`.
    pub name: String,
    /// What is said of it, in a line.
    pub says: String,
}

/// What can be found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FoundKind {
    /// A system.
    System,
    /// A person.
    Person,
    /// A run.
    Run,
    /// A commit.
    Commit,
    /// An artifact.
    Artifact,
}

impl Found {
    /// A system.
    #[must_use]
    pub fn system(system: &SystemName) -> Self {
        let (name, says) = (system.to_string(), "a system".to_owned());
        Self { kind: FoundKind::System, system: Some(system.clone()), name, says }
    }

    /// A person.
    #[must_use]
    pub fn person(name: &str, person: &Person) -> Self {
        let groups = person.groups.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        let says = if groups.is_empty() { "in no group".to_owned() } else { format!("in {groups}") };
        Self { kind: FoundKind::Person, system: None, name: name.to_owned(), says }
    }

    /// A run.
    #[must_use]
    pub fn run(system: &SystemName, run: &Run) -> Self {
        let says =
            format!("{} in {}: {}", words::text_of(&run.state), run.stage, words::cause(&run.cause, &run.subject));
        Self { kind: FoundKind::Run, system: Some(system.clone()), name: run.id.to_string(), says }
    }

    /// An artifact.
    #[must_use]
    pub fn artifact(system: &SystemName, artifact: &Artifact) -> Self {
        let says = if artifact.uri.is_empty() { artifact.kind.clone() } else { artifact.uri.clone() };
        let kind = if artifact.kind == "commit" { FoundKind::Commit } else { FoundKind::Artifact };
        Self { kind, system: Some(system.clone()), name: artifact.name.to_string(), says: says.to_string() }
    }

    fn commit(system: &SystemName, repository: &RepositoryName, commit: &str, says: String) -> Self {
        let name = format!("{repository}@{commit}");
        Self { kind: FoundKind::Commit, system: Some(system.clone()), name, says }
    }
}

/// The runs and commits that a state has and a text is in: of runs the name, why there is the run, and the commits; of commits
/// the digits they begin with, and the first line of the message.
#[must_use]
pub fn in_state(system: &SystemName, state: &System, text: &str) -> Vec<Found> {
    let text = text.to_lowercase();
    let has = |of: &str| of.to_lowercase().contains(&text);
    let is_commit = |commit: &str| text.len() >= FEWEST_DIGITS && commit.starts_with(&text);
    let runs = state.all_runs().rev().filter(|run| {
        let commits = || run.set.values().any(|commit| is_commit(commit.as_str()));
        has(run.id.as_str()) || has(&words::cause(&run.cause, &run.subject)) || commits()
    });
    let heads = state.repositories.iter().flat_map(|(repository, watched)| {
        let found = watched.heads.iter().filter(|(_, head)| is_commit(head.commit.as_str()) || has(&head.subject));
        found.map(move |(stage, head)| {
            let says = format!("the head in {stage}: {}", head.subject);
            Found::commit(system, repository, head.commit.as_str(), says)
        })
    });
    runs.map(|run| Found::run(system, run)).chain(heads).collect()
}
