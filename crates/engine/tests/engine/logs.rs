//! Stored logs: what a version wrote has to load in every later one. `UPDATE_LOGS=1` writes the logs of this version, from
//! stories that see every fact, and the digests of the states that all stored logs come to.

mod elsewhere;
mod names;
mod stories;

use std::{collections::BTreeSet, fs, path::PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tidegate_engine::engine::{Digest, ENGINE_VERSION, Event, Fact, System, fold};

use super::support::World;

/// A row of a log, as `docs/log.md` has it, without its hash.
#[derive(Debug, Serialize, Deserialize)]
struct Row {
    seq: u64,
    at_ms: i64,
    engine: String,
    event: Value,
    facts: Value,
}

fn folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/it/fixtures/logs"))
}

fn rows(world: &World) -> Vec<Row> {
    let value = |facts: &Vec<Fact>| serde_json::to_value(facts).unwrap();
    let row = |(recorded, facts): (&tidegate_engine::engine::Recorded<Event>, &Vec<Fact>)| Row {
        seq: recorded.seq,
        at_ms: recorded.at_ms,
        engine: ENGINE_VERSION.to_owned(),
        event: serde_json::to_value(&recorded.event).unwrap(),
        facts: value(facts),
    };
    world.log.iter().zip(&world.facts).map(row).collect()
}

/// All stored logs by name, each with its rows.
fn stored() -> Vec<(String, Vec<Row>)> {
    let files = fs::read_dir(folder()).unwrap().map(|file| file.unwrap().path());
    let mut logs: Vec<PathBuf> = files.filter(|path| path.extension().is_some_and(|end| end == "jsonl")).collect();
    logs.sort();
    let read = |path: PathBuf| {
        let rows = fs::read_to_string(&path).unwrap();
        let rows = rows.lines().map(|row| serde_json::from_str(row).unwrap()).collect();
        (path.file_stem().unwrap().to_str().unwrap().to_owned(), rows)
    };
    logs.into_iter().map(read).collect()
}

fn folded(rows: &[Row]) -> System {
    let mut system = System::default();
    for Row { seq, at_ms, facts, event, .. } in rows {
        let facts: Vec<Fact> = serde_json::from_value(facts.clone()).unwrap_or_else(|error| panic!("{seq}: {error}"));
        drop(serde_json::from_value::<Event>(event.clone()).unwrap_or_else(|error| panic!("{seq}: {error}")));
        drop(fold(&mut system, *seq, *at_ms, facts));
    }
    system
}

fn digests() -> String {
    let digest = |system: &System| Digest::of(&serde_json::to_vec(system).unwrap());
    let lines = stored().into_iter().map(|(name, rows)| format!("{} {name}\n", digest(&folded(&rows))));
    lines.collect()
}

fn updates() -> bool {
    std::env::var_os("UPDATE_LOGS").is_some()
}

/// Writes the logs of this version; those of others are only read.
fn update() {
    for (name, world) in stories::all() {
        let lines =
            rows(&world).iter().map(|row| format!("{}\n", serde_json::to_string(row).unwrap())).collect::<String>();
        fs::write(folder().join(format!("{ENGINE_VERSION}-{name}.jsonl")), lines).unwrap();
    }
    fs::write(folder().join("digests.txt"), digests()).unwrap();
}

#[test]
fn every_stored_log_comes_to_the_state_that_it_always_came_to() {
    if updates() {
        update();
    }
    let kept = fs::read_to_string(folder().join("digests.txt")).unwrap();
    assert_eq!(digests(), kept, "if the state has a new field on purpose: UPDATE_LOGS=1");
}

#[test]
fn every_fact_is_in_a_stored_log() {
    if updates() {
        return; // The other test writes them meanwhile.
    }
    let mut seen = BTreeSet::new();
    for fact in stored().iter().flat_map(|(_, rows)| rows).flat_map(|row| row.facts.as_array().unwrap()) {
        seen.insert(names::of(fact));
    }
    let unseen: Vec<String> = names::all().into_iter().filter(|name| !seen.contains(name)).collect();
    assert_eq!(unseen, Vec::<String>::new(), "tell it in a story, then UPDATE_LOGS=1");
}

#[test]
fn the_document_has_a_line_for_every_fact() {
    let document = include_str!("../../../../docs/log.md");
    let (_, facts) = document.split_once("## The facts").unwrap();
    let rows = facts.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` |"));
    let told: BTreeSet<&str> = rows.map(|(name, _)| name).collect();
    let all = names::all();
    assert_eq!(told, all.iter().map(String::as_str).collect::<BTreeSet<_>>());
}
