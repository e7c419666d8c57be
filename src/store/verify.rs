//! Checks what is stored of a system against what its log gives.

use std::{collections::BTreeMap, fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    LogRow, Snapshot, Store, StoreError,
    chain::{FIRST_HASH, HASH_BYTES, PAGE_ROWS, hash},
    standing::{Given, Standing},
};
use crate::{
    engine::{self, Decision, ENGINE_VERSION, System},
    rules::SystemName,
};

/// What a check of a log found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LogCheck {
    /// How many events were found in order.
    pub events: u64,
    /// The hash of the last of them, in hexadecimal digits; `None` when not all are as they were written, or there are none.
    /// Kept elsewhere with the place, it shows later whether the log was cut or written anew.
    pub hash: Option<String>,
    /// The place of the snapshot that was found to be what the events give; `None` when there is none, or the check ended
    /// before it.
    pub snapshot: Option<u64>,
    /// How many pending effects were found to be those of the state; this and the next two are `None` when the check ended
    /// before them.
    pub effects: Option<usize>,
    /// How many ended runs were found in the history as they ended.
    pub runs: Option<usize>,
    /// How many links of provenance were found as they were made.
    pub links: Option<usize>,
    /// How many pending effects each driver has claimed. That is not in the log: a claim ends with its process.
    pub claims: BTreeMap<String, usize>,
    /// The first thing that is not as it was written.
    pub broken: Option<BrokenAt>,
}

/// What is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BrokenAt {
    /// The event's place; `None` when the events are as they were written, and something that follows from them is not.
    pub seq: Option<u64>,
    /// What is wrong there.
    pub what: String,
}

/// An event that a log must have: a place and the hash there, as an earlier check gave them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    seq: u64,
    hash: String,
}

impl fmt::Display for Expected {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.seq, self.hash)
    }
}

impl FromStr for Expected {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once(':').and_then(|(seq, hash)| Some((seq.parse().ok()?, hash.to_lowercase())));
        let is_hash = |hash: &str| hash.len() == HASH_BYTES * 2 && hash.chars().all(|digit| digit.is_ascii_hexdigit());
        match parts.filter(|(seq, hash)| *seq > 0 && is_hash(hash)) {
            Some((seq, hash)) => Ok(Self { seq, hash }),
            None => {
                Err("write it as `tidegate verify-log` prints it: the event's number, a colon, and 64 hexadecimal \
                         digits"
                    .to_owned())
            }
        }
    }
}

/// Checks all that is stored of a system: that no row of its log is missing or was changed, that its head is the last
/// row's, and that the snapshot, the pending effects (I9), the history of runs and the provenance are what the events
/// give.
///
/// # Errors
/// When the store cannot be read.
pub async fn verify_log(store: &dyn Store, system: &SystemName) -> Result<LogCheck, StoreError> {
    verify_log_telling(store, system, None, &|_, _| ()).await
}

/// [`verify_log`], which also finds out whether the log has this event still, and tells `progress` now and then how many
/// events it has checked, of how many.
///
/// It reads the log from its beginning and folds its facts. What this version of the engine decided, it decides again: it has
/// to come to the same facts. What is appended meanwhile is no matter: all is compared as it was when the check began.
///
/// # Errors
/// When the store cannot be read.
pub async fn verify_log_telling(
    store: &dyn Store,
    system: &SystemName,
    expected: Option<&Expected>,
    progress: &(dyn Fn(u64, u64) + Send + Sync),
) -> Result<LogCheck, StoreError> {
    let mut standing = store.standing(system).await?;
    let mut replay = Replay {
        system,
        previous: FIRST_HASH.to_vec(),
        state: System::default(),
        given: Given::default(),
        snapshot: standing.snapshot.take(),
        matched: None,
        expected,
    };
    let mut broken = None;
    let last = standing.last_event.max(standing.head.as_ref().map_or(0, |head| head.seq));
    while broken.is_none() && replay.state.seq < last {
        let next = replay.state.seq + 1;
        let rows = store.log(system, next, PAGE_ROWS).await?;
        if rows.is_empty() {
            let what = format!("the event is missing, and the log's head says that there are {last}");
            broken = Some(BrokenAt { seq: Some(next), what });
        }
        for row in rows.iter().take_while(|row| row.seq <= last) {
            let place = replay.state.seq + 1;
            broken = replay.take(row).err().map(|what| BrokenAt { seq: Some(place), what });
            if broken.is_some() {
                break;
            }
        }
        progress(replay.state.seq, last);
    }
    let broken = broken.or_else(|| replay.end(&standing));
    Ok(replay.check(&standing, broken))
}

struct Replay<'check> {
    system: &'check SystemName,
    previous: Vec<u8>,
    state: System,
    given: Given,
    /// The stored snapshot, until its place is reached.
    snapshot: Option<Snapshot>,
    /// The place of the snapshot that was found to be what the events give.
    matched: Option<u64>,
    expected: Option<&'check Expected>,
}

impl Replay<'_> {
    fn take(&mut self, row: &LogRow) -> Result<(), String> {
        if row.seq != self.state.seq + 1 {
            return Err(format!("the event is missing; the next one there is {}", row.seq));
        }
        if hash(&self.previous, self.system.as_str(), &row.content())[..] != row.hash[..] {
            return Err("the event, its facts or its hash was changed".to_owned());
        }
        let other = |expected: &&Expected| expected.seq == row.seq && expected.hash != hexadecimal(&row.hash);
        if self.expected.is_some_and(|expected| other(&expected)) {
            return Err("another hash is expected: it or one before it was written anew".to_owned());
        }
        let decision = if row.engine == ENGINE_VERSION { self.decide(row)? } else { self.fold(row)? };
        self.given.take(&decision);
        self.previous.clone_from(&row.hash);
        if let Some(snapshot) = self.snapshot.take_if(|snapshot| snapshot.seq == row.seq) {
            if !serde_json::to_vec(&self.state).is_ok_and(|state| state == snapshot.state) {
                return Err("the snapshot of this place is not what the events give".to_owned());
            }
            self.matched = Some(row.seq);
        }
        Ok(())
    }

    fn fold(&mut self, row: &LogRow) -> Result<Decision, String> {
        row.fold(self.system, &mut self.state).map_err(|error| error.to_string())
    }

    /// Decides again what this version decided. What it decides is folded as it is decided.
    fn decide(&mut self, row: &LogRow) -> Result<Decision, String> {
        let recorded = row.recorded(self.system).map_err(|error| error.to_string())?;
        let facts = row.facts(self.system).map_err(|error| error.to_string())?;
        let decision = engine::step(&mut self.state, &recorded)
            .map_err(|refused| format!("decided again, it is refused: {refused}"))?;
        if decision.facts != facts {
            return Err("decided again, it comes to other facts".to_owned());
        }
        Ok(decision)
    }

    /// Compares what follows from all the events.
    fn end(&mut self, standing: &Standing) -> Option<BrokenAt> {
        let last = self.state.seq;
        let in_all = |what: String| Some(BrokenAt { seq: None, what });
        match &standing.head {
            None if last > 0 => {
                return in_all(format!("the log has {last} events and no head: its row was taken away"));
            }
            Some(head) if head.seq != last => {
                return in_all(format!("the log's head says that there are {} events, and there are {last}", head.seq));
            }
            Some(head) if head.hash != self.previous => {
                return in_all("the log's head has another hash than the last event".to_owned());
            }
            _ => {}
        }
        if let Some(expected) = self.expected.filter(|expected| expected.seq > last) {
            return in_all(format!("event {} is expected, and the log ends with {last}: it was cut", expected.seq));
        }
        if let Some(snapshot) = &self.snapshot {
            return in_all(format!("there is a snapshot of place {}, and no event there", snapshot.seq));
        }
        let given = std::mem::take(&mut self.given).rows(&self.state);
        standing.rows.difference(&given).and_then(in_all)
    }

    fn check(self, standing: &Standing, broken: Option<BrokenAt>) -> LogCheck {
        let is_whole = broken.is_none();
        LogCheck {
            events: self.events(broken.as_ref()),
            hash: (is_whole && self.state.seq > 0).then(|| hexadecimal(&self.previous)),
            snapshot: self.matched,
            effects: is_whole.then_some(self.state.due.len()),
            runs: is_whole.then(|| standing.rows.runs()),
            links: is_whole.then(|| standing.rows.links()),
            claims: standing.claims.clone(),
            broken,
        }
    }

    /// How many events are as they were written: those before the one that is not.
    fn events(&self, broken: Option<&BrokenAt>) -> u64 {
        broken.and_then(|broken| broken.seq).map_or(self.state.seq, |seq| self.state.seq.min(seq - 1))
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
