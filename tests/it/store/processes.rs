//! Real processes on one file: killed at any moment, and writing at once.

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

use tidegate::{
    engine::EffectKind,
    store::{DriverLock, Ledger},
};

use super::story::{START_MS, assert_sound, begun, delivered, late, name, open, pushed, record, step_done};

/// Names the database to the process that [`a_writing_process`] is.
const DATABASE: &str = "STORE_TEST_DATABASE";
/// How many events it writes before it ends by itself.
const EVENTS: &str = "STORE_TEST_EVENTS";

/// Not a test: what the tests below run as a process of its own. It goes on with the history of a system for ever, and
/// says each event's place when it is durable.
#[tokio::test]
#[ignore = "run by the other tests, as a process"]
async fn a_writing_process() {
    let Ok(path) = std::env::var(DATABASE) else { return };
    let most: u64 = std::env::var(EVENTS).unwrap().parse().unwrap();
    let _lock = (most == u64::MAX).then(|| DriverLock::take(Path::new(&path)).unwrap());
    let (ledger, shop) = (Ledger::open(open(Path::new(&path)).await), name("shop"));
    for number in 0..most {
        let at_ms = ledger.read(&shop, |state| START_MS.max(state.at_ms + 1)).await.unwrap();
        let event = if most == u64::MAX {
            let next = |state: &tidegate::engine::System| {
                let has_step = state.due.values().any(|effect| matches!(effect.kind, EffectKind::Step { .. }));
                if has_step { step_done(state, state.seq) } else { pushed(state, state.seq) }
            };
            ledger.read(&shop, next).await.unwrap()
        } else {
            late(number)
        };
        let entry = ledger.record(&shop, at_ms, event).await.unwrap();
        println!("\nrecorded {}", entry.seq);
    }
}

fn start(path: &Path, events: u64) -> Child {
    let arguments = ["--exact", "store::processes::a_writing_process", "--ignored", "--nocapture"];
    Command::new(std::env::current_exe().unwrap())
        .args(arguments)
        .env(DATABASE, path)
        .env(EVENTS, events.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// The places that a process says, as it says them.
fn recorded(child: &mut Child) -> impl Iterator<Item = u64> + use<> {
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    lines.map_while(Result::ok).filter_map(|line| line.strip_prefix("recorded ")?.parse().ok())
}

#[tokio::test]
async fn nothing_acknowledged_is_lost_when_a_writer_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tidegate.db");
    let shop = name("shop");
    let ledger = Ledger::open(open(&path).await);
    begun(&ledger, &shop).await;
    delivered(&ledger, &shop, 2).await;
    let mut total = 0;
    // The number of events before the kill differs, and where within the next write it strikes is chance.
    for round in [1, 13, 40, 2, 77, 5, 31, 103] {
        let mut child = start(&path, u64::MAX);
        let mut places = recorded(&mut child);
        let last = places.nth(round).unwrap();
        child.kill().unwrap();
        let last = places.last().unwrap_or(last);
        child.wait().unwrap();

        let store = open(&path).await;
        assert!(store.last_seq(&shop).await.unwrap() >= last, "event {last} was acknowledged");
        assert_sound(store.as_ref(), &shop).await;
        let due = ledger.read(&shop, |state| state.due.clone()).await.unwrap();
        assert_eq!(store.pending(&shop).await.unwrap(), due);
        DriverLock::take(&path).unwrap();
        total += round;
    }
    println!("8 kills over more than {total} events");
}

#[tokio::test]
async fn two_processes_lose_nothing() {
    const EACH: u64 = 150;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tidegate.db");
    let shop = name("shop");
    let store = open(&path).await;
    let ledger = Ledger::open(store.clone());
    begun(&ledger, &shop).await;
    let mut children = [start(&path, EACH), start(&path, EACH)];
    // A third writes meanwhile.
    record(&ledger, &shop, |_| late(0)).await;
    let mut places = Vec::new();
    for child in &mut children {
        places.extend(recorded(child));
        assert!(child.wait().unwrap().success());
    }
    places.sort_unstable();
    places.dedup();
    assert_eq!(places.len() as u64, 2 * EACH, "every event has a place of its own");
    assert_eq!(store.last_seq(&shop).await.unwrap(), 3 + 2 * EACH);
    assert_sound(store.as_ref(), &shop).await;
}
