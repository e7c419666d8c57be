//! What one SQLite file adds to the contract: other programs' files, changed rows, locks, and disks that are full.

use std::{path::Path, time::Duration};

use sha2::{Digest as _, Sha256};
use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection, sqlite::SqliteConnectOptions};
use tidegate::{
    engine::ENGINE_VERSION,
    store::{
        DriverLock, Expected, Ledger, LockError, RecordError, SqliteOptions, SqliteStore, Store, StoreError,
        verify_log, verify_log_telling,
    },
};

use super::story::{START_MS, assert_sound, begun, delivered, late, name, open, record};

/// The file, as somebody without Tidegate gets at it.
pub(super) async fn by_hand(path: &Path) -> SqliteConnection {
    SqliteConnectOptions::new().filename(path).create_if_missing(true).connect().await.unwrap()
}

async fn change(path: &Path, sql: &'static str) {
    let mut connection = by_hand(path).await;
    sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

/// What a check finds in the log of a system with fourteen events, of which somebody has changed something.
async fn found_after(change_made: &'static str) -> (Option<u64>, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tidegate.db");
    let (store, shop) = (open(&path).await, name("shop"));
    let ledger = Ledger::open(store.clone());
    begun(&ledger, &shop).await;
    for number in 2..=5 {
        delivered(&ledger, &shop, number).await;
    }
    assert_sound(store.as_ref(), &shop).await;
    change(&path, change_made).await;
    let broken = verify_log(store.as_ref(), &shop).await.unwrap().broken.unwrap();
    (broken.seq, broken.what)
}

#[tokio::test]
async fn a_changed_log_shows_where_it_was_changed() {
    let (seq, what) = found_after("UPDATE events SET event = replace(event, 'Ada', 'Eve') WHERE seq = 6").await;
    assert_eq!((seq, what.as_str()), (Some(6), "the event, its facts or its hash was changed"));
    let (seq, _) = found_after("UPDATE events SET facts = replace(facts, 'Ada', 'Eve') WHERE seq = 6").await;
    assert_eq!(seq, Some(6));
    let (seq, _) = found_after("UPDATE events SET engine = '0.0.1' WHERE seq = 7").await;
    assert_eq!(seq, Some(7));
    let (seq, _) = found_after("UPDATE events SET at_ms = at_ms + 1 WHERE seq = 9").await;
    assert_eq!(seq, Some(9));
    let (seq, what) = found_after("DELETE FROM events WHERE seq = 4").await;
    assert_eq!((seq, what.as_str()), (Some(4), "the event is missing; the next one there is 5"));
    let (seq, what) = found_after("DELETE FROM events WHERE seq > 12").await;
    assert_eq!(seq, Some(13));
    assert!(what.contains("there are 14"), "{what}");
}

/// What another version decided stays as it is; what this one decided, it has to decide again.
#[tokio::test]
async fn only_what_this_version_decided_is_decided_again() {
    for (version, expected) in [("0.0.0", None), (ENGINE_VERSION, Some("decided again, it comes to other facts"))] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tidegate.db");
        let (store, shop) = (open(&path).await, name("shop"));
        begun(&Ledger::open(store.clone()), &shop).await;
        let rows = store.log(&shop, 1, 2).await.unwrap();
        let [first, last] = rows.as_slice() else { panic!("it begins with two events") };
        let mut facts: serde_json::Value = serde_json::from_slice(&last.facts).unwrap();
        facts.as_array_mut().unwrap().push("resumed".into());
        let facts = facts.to_string();
        let mut hasher = Sha256::new();
        hasher.update(&first.hash);
        hasher.update(b"shop\0");
        hasher.update(2_u64.to_be_bytes());
        hasher.update(last.at_ms.to_be_bytes());
        for part in [version.as_bytes(), &last.event, facts.as_bytes()] {
            hasher.update((part.len() as u64).to_be_bytes());
            hasher.update(part);
        }
        let hash = hasher.finalize().to_vec();
        let mut connection = by_hand(&path).await;
        let row = sqlx::query("UPDATE events SET engine = ?, facts = ?, hash = ? WHERE seq = 2");
        row.bind(version).bind(facts).bind(&hash).execute(&mut connection).await.unwrap();
        sqlx::query("UPDATE systems SET hash = ?").bind(&hash).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
        let broken = verify_log(store.as_ref(), &shop).await.unwrap().broken;
        assert_eq!(broken.as_ref().map(|broken| broken.what.as_str()), expected);
        assert_eq!(broken.and_then(|broken| broken.seq), expected.map(|_| 2));
    }
}

/// What `explain`, `run show` and `trace` tell is in tables beside the log.
#[tokio::test]
async fn a_changed_table_beside_the_log_is_found_and_named() {
    for (change_made, expected) in [
        ("UPDATE runs SET run = replace(run, 'ada', 'eve') WHERE id = 'package-2'", "package-2 is not what the events"),
        (
            "UPDATE runs SET state = 'failed' WHERE id = 'package-3'",
            "package-3 is not what the events give in the history",
        ),
        ("DELETE FROM runs WHERE id = 'package-2'", "package-2 is missing in the history of runs"),
        ("UPDATE runs SET id = 'package-9' WHERE id = 'package-2'", "package-2 is missing"),
        ("UPDATE artifacts SET uri = 'file:b' WHERE kind = 'tarball' AND artifact < 4", "the artifact tarball sha256:"),
        ("DELETE FROM links WHERE step = 'pin' AND run = 'package-2'", "by package-2 pin is missing in the provenance"),
        (
            "UPDATE links SET at_ms = at_ms + 1",
            "is not what the events give in the provenance; and 11 other rows are wrong",
        ),
        (
            "UPDATE effects SET due_ms = due_ms + 1 WHERE id LIKE 'watch/image%'",
            "the pending effect watch/image#1 is not",
        ),
        (
            "UPDATE effects SET id = 'x' WHERE id LIKE 'watch/image%'",
            "watch/image#1 is missing (I9); and one other row",
        ),
        ("DELETE FROM effects WHERE id LIKE 'watch/image%'", "the pending effect watch/image#1 is missing (I9)"),
    ] {
        let (seq, what) = found_after(change_made).await;
        assert_eq!(seq, None, "no event is blamed");
        assert!(what.contains(expected), "{change_made}: {what}");
    }
}

#[tokio::test]
async fn a_head_that_is_not_the_last_event_is_found() {
    for (change_made, expected) in [
        ("UPDATE systems SET hash = zeroblob(32)", "the log's head has another hash than the last event"),
        ("UPDATE systems SET seq = 12", "the log's head says that there are 12 events, and there are 14"),
        ("PRAGMA foreign_keys = OFF; DELETE FROM systems", "the log has 14 events and no head"),
    ] {
        let (seq, what) = found_after(change_made).await;
        assert_eq!(seq, None, "no event is blamed");
        assert!(what.contains(expected), "{change_made}: {what}");
    }
}

/// Who can write to the database can make the chain anew; who has kept a hash elsewhere sees it.
#[tokio::test]
async fn a_hash_that_was_kept_shows_a_log_that_was_cut_or_written_anew() {
    let folder = tempfile::tempdir().unwrap();
    let shop = name("shop");
    let mut kept = Vec::new();
    for (file, last) in [("first.db", 5), ("shorter.db", 3), ("another.db", 6)] {
        let store = open(&folder.path().join(file)).await;
        let ledger = Ledger::open(store.clone());
        begun(&ledger, &shop).await;
        if file == "another.db" {
            record(&ledger, &shop, |_| late(1)).await;
        }
        for number in 2..=last {
            delivered(&ledger, &shop, number).await;
        }
        let check = verify_log(store.as_ref(), &shop).await.unwrap();
        kept.push((store, format!("{}:{}", check.events, check.hash.unwrap())));
    }
    let expected: Expected = kept[0].1.parse().unwrap();
    let verified = async |position: usize| {
        let store: &std::sync::Arc<dyn Store> = &kept[position].0;
        let check = verify_log_telling(store.as_ref(), &shop, Some(&expected), &|_, _| ()).await.unwrap();
        check.broken.map(|broken| broken.what)
    };
    assert_eq!(verified(0).await, None);
    assert_eq!(verified(1).await.unwrap(), "event 14 is expected, and the log ends with 8: it was cut");
    assert_eq!(verified(2).await.unwrap(), "another hash is expected: it or one before it was written anew");
    for bad in ["", "14", "14:12", "x:y"] {
        assert!(bad.parse::<Expected>().is_err(), "{bad}");
    }
}

#[tokio::test]
async fn the_secret_is_made_once_and_not_for_everybody() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tidegate.db");
    let store = open(&path).await;
    let secret = store.secret().await.unwrap();
    assert_ne!(secret.expose(), &[0; 32]);
    assert_eq!(format!("{secret:?}"), "InstallationSecret(…)");
    assert_eq!(open(&path).await.secret().await.unwrap(), secret, "beside the first");
    let looking = SqliteStore::open_to_read(&path).await.unwrap();
    assert_eq!(looking.secret().await.unwrap(), secret, "for who only looks");
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&path).unwrap().permissions());
    assert_eq!(mode & 0o007, 0, "{mode:o}");
    let other = open(&folder.path().join("other.db")).await;
    assert_ne!(other.secret().await.unwrap(), secret);
}

#[tokio::test]
async fn a_database_from_before_the_first_release_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tidegate.db");
    change(&path, "CREATE TABLE events (event TEXT); PRAGMA application_id = 0x54696465; PRAGMA user_version = 2")
        .await;
    for refused in [SqliteStore::open(&path).await.map(drop), SqliteStore::open_to_read(&path).await.map(drop)] {
        let refused = refused.unwrap_err();
        let text = refused.to_string();
        assert!(text.contains("from before the first release") && text.contains("move the file away"), "{text}");
        assert!(!refused.is_passing());
    }
}

#[tokio::test]
async fn a_newer_database_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tidegate.db");
    drop(open(&path).await);
    change(&path, "PRAGMA user_version = 99").await;
    let refused = SqliteStore::open(&path).await.unwrap_err();
    let text = refused.to_string();
    assert!(text.contains("schema version 99") && text.contains("run the newer tidegate"), "{text}");
    assert!(!refused.is_passing());
}

#[tokio::test]
async fn a_file_of_another_program_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("notes.txt");
    std::fs::write(&text, "Not a database at all. ".repeat(100)).unwrap();
    let refused = SqliteStore::open(&text).await.unwrap_err();
    assert!(matches!(refused, StoreError::Foreign { .. }), "{refused}");
    assert!(std::fs::read_to_string(&text).unwrap().starts_with("Not a database"));

    let other = folder.path().join("music.db");
    change(&other, "CREATE TABLE songs (title TEXT)").await;
    let before = std::fs::read(&other).unwrap();
    let refused = SqliteStore::open(&other).await.unwrap_err();
    assert!(matches!(refused, StoreError::Foreign { .. }), "{refused}");
    assert_eq!(std::fs::read(&other).unwrap(), before);
}

#[tokio::test]
async fn a_damaged_file_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tidegate.db");
    {
        let (store, shop) = (open(&path).await, name("shop"));
        let ledger = Ledger::open(store);
        begun(&ledger, &shop).await;
    }
    change(&path, "PRAGMA wal_checkpoint(TRUNCATE); PRAGMA journal_mode = DELETE").await;
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[4096..].fill(0x5a);
    std::fs::write(&path, bytes).unwrap();
    let told = match SqliteStore::open(&path).await {
        Ok(store) => store.last_seq(&name("shop")).await.unwrap_err(),
        Err(error) => error,
    };
    assert!(matches!(told, StoreError::Corrupt { .. }), "{told}");
    assert!(told.to_string().contains("restore the last backup"));
}

#[tokio::test]
async fn a_locked_database_is_waited_for_and_then_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tidegate.db");
    let options = SqliteOptions { busy_timeout: Duration::from_millis(200), ..SqliteOptions::default() };
    let store = std::sync::Arc::new(SqliteStore::open_with(&path, options).await.unwrap());
    let (ledger, shop) = (Ledger::open(store.clone()), name("shop"));
    ledger.record(&shop, START_MS, late(1)).await.unwrap();

    let mut other = by_hand(&path).await;
    sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();
    let told = ledger.record(&shop, START_MS, late(2)).await.unwrap_err();
    assert!(matches!(told, RecordError::Store(StoreError::Locked { waited_ms: 200, .. })), "{told}");
    assert_eq!(ledger.read(&shop, |state| state.seq).await.unwrap(), 1, "readers do not wait");
    sqlx::raw_sql("ROLLBACK").execute(&mut other).await.unwrap();
    assert_eq!(ledger.record(&shop, START_MS, late(2)).await.unwrap().seq, 2);
}

#[tokio::test]
async fn a_full_disk_loses_nothing_and_it_goes_on_when_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tidegate.db");
    drop(open(&path).await);
    change(&path, "CREATE TABLE filler (bytes BLOB); INSERT INTO filler VALUES (zeroblob(300000))").await;
    let pages = u32::try_from(std::fs::metadata(&path).unwrap().len() / 4096).unwrap() + 10;
    let options = SqliteOptions { max_pages: Some(pages), ..SqliteOptions::default() };
    let store = std::sync::Arc::new(SqliteStore::open_with(&path, options).await.unwrap());
    let (ledger, shop) = (Ledger::open(store.clone()), name("shop"));
    begun(&ledger, &shop).await;

    let mut recorded = 2;
    let full = loop {
        match ledger.record(&shop, START_MS, late(recorded)).await {
            Ok(entry) => recorded = entry.seq,
            Err(error) => break error,
        }
        assert!(recorded < 10_000, "the disk never fills");
    };
    let RecordError::Store(told) = full else { panic!("{full}") };
    assert!(matches!(told, StoreError::Full { .. }) && told.is_passing(), "{told}");
    // Those who share the failing transaction are all told why.
    let crowd = (0..20).map(|number| {
        let (store, system) = (store.clone(), name(&format!("crowd-{number}")));
        tokio::spawn(
            async move { Ledger::open(store).record(&system, START_MS, super::story::rules_loaded(&system)).await },
        )
    });
    for one in crowd.collect::<Vec<_>>() {
        let told = one.await.unwrap().unwrap_err();
        assert!(matches!(told, RecordError::Store(StoreError::Full { .. })), "{told}");
    }
    assert_eq!(ledger.read(&shop, |state| state.seq).await.unwrap(), recorded);
    assert_sound(store.as_ref(), &shop).await;

    change(&path, "DELETE FROM filler").await;
    assert_eq!(record(&ledger, &shop, |_| late(0)).await.seq, recorded + 1);
    assert_sound(store.as_ref(), &shop).await;
}

/// A claim whose driver did not wait for the answer is nobody's: the next one gets it.
#[tokio::test]
async fn a_claim_that_nobody_heard_of_is_given_back() {
    let folder = tempfile::tempdir().unwrap();
    let (store, shop) = (open(&folder.path().join("tidegate.db")).await, name("shop"));
    begun(&Ledger::open(store.clone()), &shop).await;
    let all = store.claim_due("first", i64::MAX, 99).await.unwrap().len();
    store.begin_driving("first").await.unwrap();
    {
        let claim = store.claim_due("first", i64::MAX, 99);
        tokio::pin!(claim);
        // Asked, and gone before the answer.
        let waker = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(claim.as_mut().poll_once(waker).is_none());
    }
    let heard = async {
        loop {
            let claimed = store.claim_due("second", i64::MAX, 99).await.unwrap();
            if !claimed.is_empty() {
                return claimed.len();
            }
        }
    };
    assert_eq!(tokio::time::timeout(Duration::from_secs(10), heard).await.unwrap(), all);
}

trait PollOnce: Future {
    fn poll_once(self: std::pin::Pin<&mut Self>, mut context: std::task::Context<'_>) -> Option<Self::Output> {
        match self.poll(&mut context) {
            std::task::Poll::Ready(output) => Some(output),
            std::task::Poll::Pending => None,
        }
    }
}

impl<F: Future + ?Sized> PollOnce for F {}

#[tokio::test]
async fn what_another_process_appends_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tidegate.db");
    let (ours, theirs) = (open(&path).await, open(&path).await);
    let mut changes = ours.changes();
    let before = *changes.borrow_and_update();
    Ledger::open(theirs).record(&name("shop"), START_MS, late(1)).await.unwrap();
    let moved = changes.wait_for(|count| *count > before);
    tokio::time::timeout(Duration::from_secs(10), moved).await.unwrap().unwrap();
}

#[test]
fn a_second_driver_is_told_who_drives() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tidegate.db");
    let lock = DriverLock::take(&path).unwrap();
    let told = DriverLock::take(&path).unwrap_err();
    assert!(matches!(told, LockError::Held { .. }));
    assert!(told.to_string().contains(&format!("process {} on ", std::process::id())), "{told}");
    drop(lock);
    DriverLock::take(&path).unwrap();
}
