//! The chain of hashes over a system's log: each row's hash covers its content and the hash before it, so that a row that
//! was changed or taken away shows. (Who cuts off the end of the log and its head alike can be found out only with a copy
//! of a hash kept elsewhere.)

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::Store;
use crate::{
    engine::{self, Event, Recorded, System},
    rules::SystemName,
    store::StoreError,
};

/// The length of a hash in bytes.
pub(super) const HASH_BYTES: usize = 32;
/// The hash before the first row.
pub(super) const FIRST_HASH: [u8; HASH_BYTES] = [0; HASH_BYTES];
/// How many rows are read at once; bounds the memory that a long log takes.
pub(super) const PAGE_ROWS: u32 = 1_000;

/// A row of the log as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogRow {
    /// Its place; the first is 1.
    pub seq: u64,
    /// When it was recorded: milliseconds since 1970, UTC.
    pub at_ms: i64,
    /// The event, as JSON.
    pub event: Vec<u8>,
    /// SHA-256 over the hash before, the system's name and a zero byte, the place and the time (eight bytes each, big
    /// endian), and the event.
    pub hash: Vec<u8>,
}

/// What a check of a log found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LogCheck {
    /// How many events were found in order.
    pub events: u64,
    /// The place of the snapshot that was found to be what the events give; `None` when there is none, or the check ended
    /// before it.
    pub snapshot: Option<u64>,
    /// How many pending effects were found to be those of the state; `None` when the check ended before them, or when
    /// something was appended meanwhile.
    pub effects: Option<usize>,
    /// The first place where it is not as it was written.
    pub broken: Option<BrokenAt>,
}

/// Where a log is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BrokenAt {
    /// The place.
    pub seq: u64,
    /// What is wrong there.
    pub what: String,
}

impl LogRow {
    pub(super) fn recorded(&self, system: &SystemName) -> Result<Recorded<Event>, StoreError> {
        let event = serde_json::from_slice(&self.event).map_err(|error| StoreError::Unreadable {
            system: system.clone(),
            seq: self.seq,
            error: error.to_string(),
        })?;
        Ok(Recorded { seq: self.seq, at_ms: self.at_ms, event })
    }
}

/// The hash of a row.
pub(super) fn hash(previous: &[u8], system: &str, seq: u64, at_ms: i64, event: &[u8]) -> [u8; HASH_BYTES] {
    let mut hasher = Sha256::new();
    hasher.update(previous);
    hasher.update(system.as_bytes());
    hasher.update([0]);
    hasher.update(seq.to_be_bytes());
    hasher.update(at_ms.to_be_bytes());
    hasher.update(event);
    hasher.finalize().into()
}

/// Reads the log from its beginning, takes every event in again, and compares. Events that are appended meanwhile are no
/// matter: the check ends at the place that was last when it began. `progress` is told, a page at a time, how many events
/// have been checked, of how many.
pub(super) async fn verify<S: Store + ?Sized>(
    store: &S,
    system: &SystemName,
    progress: &(dyn Fn(u64, u64) + Send + Sync),
) -> Result<LogCheck, StoreError> {
    // In this order, so that the snapshot cannot be of a place after the last.
    let snapshot = store.snapshot(system).await?;
    let last = store.last_seq(system).await?;
    let mut replay = Replay { system, previous: FIRST_HASH.to_vec(), state: System::default() };
    let mut check = LogCheck { events: 0, snapshot: None, effects: None, broken: None };
    let broken = |check: LogCheck, seq, what: String| LogCheck { broken: Some(BrokenAt { seq, what }), ..check };
    while replay.state.seq < last {
        let next = replay.state.seq + 1;
        let rows = store.log(system, next, PAGE_ROWS).await?;
        if rows.is_empty() {
            let what = format!("the event is missing, and the log's head says that there are {last}");
            return Ok(broken(check, next, what));
        }
        for row in &rows {
            let place = replay.state.seq + 1;
            if let Err(what) = replay.take(row) {
                return Ok(broken(check, place, what));
            }
            if let Some(snapshot) = snapshot.as_ref().filter(|snapshot| snapshot.seq == row.seq) {
                if !replay.gives(&snapshot.state) {
                    let what = "the snapshot of this place is not what the events give".to_owned();
                    return Ok(broken(check, place, what));
                }
                check.snapshot = Some(place);
            }
            check.events = place;
        }
        progress(check.events, last.max(check.events));
    }
    if let Some(snapshot) = snapshot.filter(|snapshot| snapshot.seq > check.events) {
        let what = format!("there is a snapshot of place {}, and the log ends before it", snapshot.seq);
        let seq = check.events + 1;
        return Ok(broken(check, seq, what));
    }
    let pending = store.pending(system).await?;
    if store.last_seq(system).await? == replay.state.seq {
        if pending != replay.state.due {
            let seq = check.events;
            return Ok(broken(check, seq, "the pending effects are not those of the state (I9)".to_owned()));
        }
        check.effects = Some(pending.len());
    }
    Ok(check)
}

struct Replay<'system> {
    system: &'system SystemName,
    previous: Vec<u8>,
    state: System,
}

impl Replay<'_> {
    fn take(&mut self, row: &LogRow) -> Result<(), String> {
        if row.seq != self.state.seq + 1 {
            return Err(format!("the event is missing; the next one there is {}", row.seq));
        }
        if hash(&self.previous, self.system.as_str(), row.seq, row.at_ms, &row.event)[..] != row.hash[..] {
            return Err("the event or its hash was changed".to_owned());
        }
        let recorded = row.recorded(self.system).map_err(|error| error.to_string())?;
        engine::retrace(&mut self.state, &recorded).map_err(|refused| format!("it cannot be taken in: {refused}"))?;
        self.previous.clone_from(&row.hash);
        Ok(())
    }

    fn gives(&self, snapshot: &[u8]) -> bool {
        serde_json::to_vec(&self.state).is_ok_and(|state| state == snapshot)
    }
}
