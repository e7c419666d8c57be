//! A database that was damaged, and a clock that went wrong: one system's loss is no other's, and nothing waits for a year.

use sqlx::Connection as _;
use tidegate::{
    engine::System,
    store::{Ledger, SNAPSHOT_EVERY, StoreError, verify_log},
};

use super::{
    sqlite::by_hand,
    story::{START_MS, begun, delivered, late, name, open, record},
};

/// A year.
const AHEAD_MS: i64 = 365 * 86_400_000;

/// Changes the database as no program of ours does.
async fn damage(path: &std::path::Path, sql: &'static str) {
    let mut connection = by_hand(path).await;
    sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

#[tokio::test]
async fn values_that_are_not_text_are_damage_and_no_panic() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tidegate.db");
    let (store, shop, bank) = (open(&path).await, name("shop"), name("bank"));
    let ledger = Ledger::open(store.clone());
    for system in [&shop, &bank] {
        begun(&ledger, system).await;
        delivered(&ledger, system, 2).await;
    }
    for (table, column) in [
        ("events", "engine"),
        ("events", "facts"),
        ("events", "event"),
        ("effects", "effect"),
        ("effects", "id"),
        ("runs", "run"),
        ("artifacts", "name"),
        ("links", "step"),
        ("snapshots", "state"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let copy = folder.path().join("tidegate.db");
        damage(&path, "PRAGMA wal_checkpoint(TRUNCATE)").await;
        std::fs::copy(&path, &copy).unwrap();
        let mut connection = by_hand(&copy).await;
        let of_shop = if table == "links" { "1" } else { "system = 'shop'" };
        let spoil = format!(
            "PRAGMA foreign_keys = OFF; UPDATE {table} SET {column} = CAST(x'ff80' AS TEXT) || rowid WHERE {of_shop}"
        );
        let spoil = if table == "snapshots" {
            "INSERT INTO snapshots (system, seq, state) VALUES ('shop', 3, x'ff')".to_owned()
        } else if matches!(table, "effects" | "links") {
            spoil.replace(" || rowid", if column == "id" { " || id" } else { "" })
        } else {
            spoil
        };
        sqlx::raw_sql(sqlx::AssertSqlSafe(spoil)).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
        let store = open(&copy).await;
        let checked = verify_log(store.as_ref(), &shop).await;
        let is_told = checked
            .as_ref()
            .map_or_else(|error| matches!(error, StoreError::Corrupt { .. }), |check| check.broken.is_some());
        assert!(is_told, "{table}.{column}: {checked:?}");
        let ledger = Ledger::open(store.clone());
        let (_, unread) = ledger.load_all().await.unwrap();
        assert!(unread.iter().all(|(system, _)| *system == shop), "{table}.{column}: {unread:?}");
        ledger.read(&bank, |state| assert!(state.seq > 2)).await.unwrap();
        store.begin_driving("driver").await.unwrap();
        let claimed = store.claim_due("driver", i64::MAX / 2, 99).await.unwrap();
        assert!(claimed.iter().any(|claimed| claimed.system == bank), "{table}.{column}: the other is driven");
    }
}

#[tokio::test]
async fn what_was_made_while_the_clock_was_ahead_waits_for_its_interval() {
    let folder = tempfile::tempdir().unwrap();
    let (store, shop) = (open(&folder.path().join("tidegate.db")).await, name("shop"));
    let ledger = Ledger::open(store.clone());
    begun(&ledger, &shop).await;
    // The clock is a year ahead, and is set right: what is recorded then is not before what was.
    ledger.record(&shop, START_MS + AHEAD_MS, late(1)).await.unwrap();
    delivered(&ledger, &shop, 2).await;
    store.begin_driving("driver").await.unwrap();
    let due = |state: &System| state.due.values().map(|effect| effect.due_ms - state.at_ms).max().unwrap();
    let longest = ledger.read(&shop, due).await.unwrap();
    assert!(longest < 2 * 86_400_000, "a night at most");
    let now_ms = START_MS + 60_000;
    store.claim_due("driver", now_ms, 0).await.unwrap();
    assert!(store.next_due_ms().await.unwrap().unwrap() <= now_ms + longest);
    // What was made before, the nights among it, is due as it was.
    let claimed = store.claim_due("driver", now_ms + 2 * 86_400_000, 99).await.unwrap();
    let pending = ledger.read(&shop, |state| state.due.len()).await.unwrap();
    assert_eq!(claimed.len(), pending, "nothing waits for the year to pass");
    assert_eq!(verify_log(store.as_ref(), &shop).await.unwrap().broken, None);
}

#[tokio::test]
async fn starting_writes_a_snapshot_where_there_is_none_near() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tidegate.db");
    let (store, shop) = (open(&path).await, name("shop"));
    let ledger = Ledger::open(store.clone());
    begun(&ledger, &shop).await;
    while store.last_seq(&shop).await.unwrap() < SNAPSHOT_EVERY + 10 {
        record(&ledger, &shop, |_| late(1)).await;
    }
    store.drop_snapshot(&shop).await.unwrap();
    assert_eq!(Ledger::open(store.clone()).load_all().await.unwrap(), (1, Vec::new()));
    let snapshot = store.snapshot(&shop).await.unwrap().unwrap();
    assert_eq!(snapshot.seq, store.last_seq(&shop).await.unwrap());
    assert_eq!(verify_log(store.as_ref(), &shop).await.unwrap().broken, None);
}
