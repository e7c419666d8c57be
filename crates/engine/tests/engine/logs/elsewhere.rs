//! Random histories whose logs another build folds: one whose defaults, bounds and time zones are other, and which takes no
//! rules (`scripts/fold-elsewhere`). It comes to the same states, byte for byte, though it would decide otherwise.

use std::{
    fs,
    path::{Path, PathBuf},
};

use tidegate_engine::engine::{Digest, Event, Recorded, System, step};

use super::{Row, folded, rows};
use crate::{histories, lattice, support::World};

/// How many histories of each kind are told.
const HISTORIES: u32 = 6;

fn folder_of(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable).map(PathBuf::from)
}

fn digest(system: &System) -> String {
    Digest::of(&serde_json::to_vec(system).unwrap()).to_string()
}

fn write(folder: &Path) {
    let worlds: Vec<World> = histories::random(HISTORIES).chain(lattice::random(HISTORIES)).collect();
    for (number, world) in worlds.iter().enumerate() {
        let rows: Vec<String> = rows(world).iter().map(|row| serde_json::to_string(row).unwrap()).collect();
        fs::write(folder.join(format!("{number}.jsonl")), rows.join("\n")).unwrap();
        fs::write(folder.join(format!("{number}.digest")), digest(&world.system)).unwrap();
    }
}

/// Folds all logs of a folder; says of how many this build would decide otherwise.
fn fold_all(folder: &Path) -> usize {
    let logs: Vec<Vec<Row>> = (0..HISTORIES * 2)
        .map(|number| {
            let text = fs::read_to_string(folder.join(format!("{number}.jsonl"))).unwrap();
            text.lines().map(|row| serde_json::from_str(row).unwrap()).collect()
        })
        .collect();
    for (number, log) in logs.iter().enumerate() {
        let kept = fs::read_to_string(folder.join(format!("{number}.digest"))).unwrap();
        assert_eq!(digest(&folded(log)), kept, "I6: {number}");
    }
    logs.iter().filter(|log| would_decide_otherwise(log)).count()
}

fn would_decide_otherwise(log: &[Row]) -> bool {
    let mut system = System::default();
    log.iter().any(|Row { seq, at_ms, event, facts, .. }| {
        let event: Event = serde_json::from_value(event.clone()).unwrap();
        let decided = step(&mut system, &Recorded { seq: *seq, at_ms: *at_ms, event });
        decided.is_ok_and(|decision| serde_json::to_value(&decision.facts).unwrap() != *facts)
    })
}

#[test]
fn a_log_folds_to_the_same_state_in_every_build() {
    if let Some(folder) = folder_of("FOLD_LOGS_OF") {
        assert!(fold_all(&folder) > 0, "this build decides as the one that wrote the logs: nothing is shown");
        return;
    }
    let own = PathBuf::from(concat!(env!("CARGO_TARGET_TMPDIR"), "/logs"));
    let folder = folder_of("WRITE_LOGS_TO").unwrap_or(own);
    fs::create_dir_all(&folder).unwrap();
    write(&folder);
    assert_eq!(fold_all(&folder), 0, "the same build decides the same");
}
