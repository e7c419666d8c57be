//! Logs that another version wrote: an older one's is loaded and goes on, and a newer one's says which version is needed.

use std::{fs, path::Path};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use sqlx::Connection as _;
use tidegate::{
    engine::{Digest, EffectId, Event, Outcome},
    store::{Ledger, verify_log},
};

use super::{
    sqlite::by_hand,
    story::{START_MS, begun, name, open},
};

/// A row as a stored log has it.
struct Row {
    seq: u64,
    at_ms: i64,
    event: Value,
    facts: Value,
}

fn row(text: &str) -> Row {
    let row: Value = serde_json::from_str(text).unwrap();
    let number = |name: &str| row[name].as_i64().unwrap();
    let seq = u64::try_from(number("seq")).unwrap();
    Row { seq, at_ms: number("at_ms"), event: row["event"].clone(), facts: row["facts"].clone() }
}

/// Appends rows to the log of the shop, as the engine of a version would have.
async fn append(path: &Path, engine: &str, mut previous: Vec<u8>, rows: &[Row]) {
    let mut connection = by_hand(path).await;
    for Row { seq, at_ms, event, facts } in rows {
        let (event, facts) = (event.to_string(), facts.to_string());
        let mut hasher = Sha256::new();
        hasher.update(&previous);
        hasher.update(b"shop\0");
        hasher.update(seq.to_be_bytes());
        hasher.update(at_ms.to_be_bytes());
        for part in [engine, &event, &facts] {
            hasher.update((part.len() as u64).to_be_bytes());
            hasher.update(part);
        }
        previous = hasher.finalize().to_vec();
        let seq = i64::try_from(*seq).unwrap();
        let head = "INSERT INTO systems (name, seq, hash) VALUES ('shop', ?, ?)
                    ON CONFLICT (name) DO UPDATE SET seq = excluded.seq, hash = excluded.hash";
        sqlx::query(head).bind(seq).bind(&previous).execute(&mut connection).await.unwrap();
        let insert =
            "INSERT INTO events (system, seq, at_ms, engine, event, facts, hash) VALUES ('shop', ?, ?, ?, ?, ?, ?)";
        let insert = sqlx::query(insert).bind(seq).bind(at_ms).bind(engine).bind(event).bind(facts).bind(&previous);
        insert.execute(&mut connection).await.unwrap();
    }
    connection.close().await.unwrap();
}

#[tokio::test]
async fn the_log_of_an_older_version_comes_to_its_state_and_goes_on() {
    let logs = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/fixtures/logs"));
    let digests = fs::read_to_string(logs.join("digests.txt")).unwrap();
    for (digest, log) in digests.lines().map(|line| line.split_once(' ').unwrap()) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tidegate.db");
        let (store, shop) = (open(&path).await, name("shop"));
        let text = fs::read_to_string(logs.join(format!("{log}.jsonl"))).unwrap();
        let rows: Vec<Row> = text.lines().map(row).collect();
        append(&path, "0.0.9", vec![0; 32], &rows).await;
        let ledger = Ledger::open(store.clone());
        let state = ledger.read(&shop, |state| serde_json::to_vec(state).unwrap()).await.unwrap();
        assert_eq!(Digest::of(&state).to_string(), digest, "{log}");
        let late = Event::Outcome { effect: EffectId::new("of-nothing"), outcome: Outcome::Fired, waited_ms: 0 };
        let entry = ledger.record(&shop, rows.last().unwrap().at_ms, late).await.unwrap();
        assert_eq!(entry.seq, rows.len() as u64 + 1, "{log}");
        let broken = verify_log(store.as_ref(), &shop).await.unwrap().broken.unwrap();
        assert_eq!(
            broken.seq, None,
            "the events are whole, and only the tables beside them were never written: {broken:?}"
        );
    }
}

#[tokio::test]
async fn the_log_of_a_newer_version_says_which_version_is_needed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tidegate.db");
    let (store, shop) = (open(&path).await, name("shop"));
    begun(&Ledger::open(store.clone()), &shop).await;
    let last = store.log(&shop, 2, 1).await.unwrap().remove(0);
    let (event, facts) = (serde_json::from_slice(&last.event).unwrap(), json!([{ "teleported": { "to": "mars" } }]));
    append(&path, "9.9.9", last.hash, &[Row { seq: 3, at_ms: START_MS, event, facts }]).await;
    let ledger = Ledger::open(store.clone());
    let refused = ledger.read(&shop, |state| state.seq).await.unwrap_err();
    let broken = verify_log(store.as_ref(), &shop).await.unwrap().broken.unwrap();
    assert!(!refused.is_passing() && broken.seq == Some(3), "{broken:?}");
    for said in [refused.to_string(), broken.what] {
        assert!(said.contains("event 3") && said.contains("`teleported`"), "{said}");
        assert!(said.contains("use tidegate 9.9.9, which wrote it, or a newer one"), "{said}");
    }
}
