//! The tables beside a log (pending effects, the history of runs, provenance) and what the log's events give for them, made
//! comparable: each row by the name that a person knows it by, with a hash of all that is in it. It decides nothing.

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};

use super::chain::HASH_BYTES;
use crate::engine::{Artifact, Decision, Effect, Link, Run, RunState, System};

/// What stands in the tables of a system, all of it as of one moment.
#[derive(Debug, Clone, Default)]
pub struct Standing {
    /// What the next event goes on from; `None` where the system has no head.
    pub head: Option<Head>,
    /// The place of the last event that is in the log, whatever the head says; 0 where there is none.
    pub last_event: u64,
    /// The newest snapshot.
    pub snapshot: Option<Snapshot>,
    /// How many pending effects each driver has claimed. A claim is no part of the log: it ends with its process.
    pub claims: BTreeMap<String, usize>,
    /// The rows of the tables.
    pub rows: Rows,
}

/// A system's state as it was after an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The event's place.
    pub seq: u64,
    /// The state, as JSON.
    pub state: Vec<u8>,
}

/// The head of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The place of the last event.
    pub seq: u64,
    /// Its hash.
    pub hash: Vec<u8>,
}

/// Rows that follow from a log, by name.
#[derive(Debug, Clone, Default)]
pub struct Rows(BTreeMap<RowName, [u8; HASH_BYTES]>);

/// What a row is called.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct RowName {
    table: Table,
    name: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Table {
    Effects,
    Runs,
    Artifacts,
    Links,
}

/// A row of the history of runs, as its columns have it.
#[derive(Debug, Clone, Copy)]
pub(super) struct RunColumns<'row> {
    pub(super) number: u64,
    pub(super) id: &'row str,
    pub(super) subject: &'row str,
    pub(super) stage: &'row str,
    pub(super) state: &'row str,
    /// The run, as JSON.
    pub(super) run: &'row str,
}

impl Rows {
    pub(super) fn effect(&mut self, id: &str, due_ms: i64, effect: &str) {
        let effect = rewritten::<Effect>(effect);
        self.put(Table::Effects, id.to_owned(), &[&due_ms.to_string(), &effect]);
    }

    pub(super) fn run(&mut self, columns: RunColumns<'_>) {
        let RunColumns { number, id, subject, stage, state, run } = columns;
        self.put(Table::Runs, id.to_owned(), &[&number.to_string(), subject, stage, state, &rewritten::<Run>(run)]);
    }

    pub(super) fn artifact(&mut self, artifact: &Artifact, bare: &str) {
        let Artifact { kind, name, uri } = artifact;
        self.put(Table::Artifacts, format!("{kind} {name}"), &[bare, uri]);
    }

    pub(super) fn link(&mut self, link: &Link) {
        let Link { from, to, by, at_ms } = link;
        let name = format!("{} {} → {} {} by {} {}", from.kind, from.name, to.kind, to.name, by.run, by.step);
        self.put(Table::Links, name, &[&at_ms.to_string()]);
    }

    /// How many rows of the history of runs there are.
    pub(super) fn runs(&self) -> usize {
        self.count(Table::Runs)
    }

    /// How many rows of provenance there are.
    pub(super) fn links(&self) -> usize {
        self.count(Table::Links)
    }

    /// The first row that is not as it should be, in words, and how many others there are.
    pub(super) fn difference(&self, expected: &Self) -> Option<String> {
        let found = |name: &RowName| self.0.get(name);
        let wrong = expected.0.iter().filter(|(name, hash)| found(name) != Some(hash)).map(|(name, _)| name);
        let more = self.0.keys().filter(|name| !expected.0.contains_key(name));
        let first = wrong.clone().chain(more.clone()).next()?;
        let what = match (found(first).is_some(), expected.0.contains_key(first)) {
            (true, true) => "is not what the events give",
            (false, _) => "is missing",
            (true, false) => "is there, and no event gives it",
        };
        let others = match wrong.count() + more.count() - 1 {
            0 => String::new(),
            1 => "; and one other row is wrong".to_owned(),
            others => format!("; and {others} other rows are wrong"),
        };
        let RowName { table, name } = first;
        Some(match table {
            Table::Effects => format!("the pending effect {name} {what} (I9){others}"),
            Table::Runs => format!("{name} {what} in the history of runs{others}"),
            Table::Artifacts => format!("the artifact {name} {what} in the provenance{others}"),
            Table::Links => format!("the link {name} {what} in the provenance{others}"),
        })
    }

    fn count(&self, table: Table) -> usize {
        self.0.keys().filter(|name| name.table == table).count()
    }

    fn put(&mut self, table: Table, name: String, columns: &[&str]) {
        let mut hasher = Sha256::new();
        for column in columns {
            hasher.update(column.len().to_be_bytes());
            hasher.update(column);
        }
        self.0.insert(RowName { table, name }, hasher.finalize().into());
    }
}

/// What the events give, gathered one after another.
#[derive(Debug, Default)]
pub(super) struct Given {
    rows: Rows,
    /// Kind and name of each artifact → where it was last said to be.
    artifacts: BTreeMap<(String, String), String>,
}

impl Given {
    /// Takes in what came of an event.
    pub(super) fn take(&mut self, decision: &Decision) {
        for run in &decision.ended {
            let (id, subject, state) = (run.id.as_str(), run.subject.name(), state_name(run.state));
            let (number, stage, run) = (run.number, run.stage.as_str(), json(run));
            self.rows.run(RunColumns { number, id, subject, stage, state: &state, run: &run });
        }
        for link in &decision.links {
            for Artifact { kind, name, uri } in [&link.from, &link.to] {
                let known = self.artifacts.entry((kind.to_string(), name.to_string())).or_default();
                if !uri.is_empty() {
                    *known = uri.to_string();
                }
            }
            let mut first = Rows::default();
            first.link(link);
            for (name, hash) in first.0 {
                self.rows.0.entry(name).or_insert(hash);
            }
        }
    }

    /// The rows that there must be when these were all the events, and this is the state after them.
    pub(super) fn rows(self, state: &System) -> Rows {
        let Self { mut rows, artifacts } = self;
        for ((kind, name), uri) in artifacts {
            let bare = bare_name(&name).to_owned();
            rows.artifact(&Artifact { kind: kind.into(), name: name.into(), uri: uri.into() }, &bare);
        }
        for effect in state.due.values() {
            rows.effect(effect.id.as_str(), effect.due_ms, &json(effect));
        }
        rows
    }
}

/// An artifact's name after its `repository@` or `sha256:`, as people type it.
pub(super) fn bare_name(name: &str) -> &str {
    name.split_once(['@', ':']).map_or(name, |(_, bare)| bare)
}

/// A run's state as the table has it: as in its JSON.
pub(super) fn state_name(state: RunState) -> String {
    json(&state).trim_matches('"').to_owned()
}

/// A value of the engine as the tables have it.
pub(super) fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("the engine's values are plain")
}

/// JSON as this program writes it: an older one may have written the same value in other words.
fn rewritten<T: serde::Serialize + serde::de::DeserializeOwned>(text: &str) -> String {
    serde_json::from_str::<T>(text).map_or_else(|_| text.to_owned(), |value| json(&value))
}
