//! The chain of hashes over a system's log: each row's hash covers its content and the hash before it, so that a row that
//! was changed or taken away shows. (Who cuts off the end of the log and its head alike can be found out only with a copy
//! of a hash kept elsewhere.)

use sha2::{Digest as _, Sha256};

use super::StoreError;
use crate::{
    engine::{self, Decision, Event, Fact, Recorded, System},
    rules::SystemName,
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
    /// The version of the engine that decided.
    pub engine: String,
    /// The event, as JSON.
    pub event: Vec<u8>,
    /// The facts that it came to, as JSON.
    pub facts: Vec<u8>,
    /// See [`hash`].
    pub hash: Vec<u8>,
}

impl LogRow {
    pub(super) fn recorded(&self, system: &SystemName) -> Result<Recorded<Event>, StoreError> {
        let event = serde_json::from_slice(&self.event).map_err(|error| self.unreadable(system, &error))?;
        Ok(Recorded { seq: self.seq, at_ms: self.at_ms, event })
    }

    /// Folds the facts into the state after the row before.
    pub(super) fn fold(&self, system: &SystemName, state: &mut System) -> Result<Decision, StoreError> {
        if self.seq != state.seq + 1 {
            return Err(self.unreadable(system, &format!("event {} is missing", state.seq + 1)));
        }
        let facts = self.facts(system)?;
        Ok(engine::fold(state, self.seq, self.at_ms, facts))
    }

    pub(super) fn facts(&self, system: &SystemName) -> Result<Vec<Fact>, StoreError> {
        serde_json::from_slice(&self.facts).map_err(|error| self.unreadable(system, &error))
    }

    fn unreadable(&self, system: &SystemName, error: &dyn std::fmt::Display) -> StoreError {
        let (system, engine) = (system.clone(), self.engine.clone());
        StoreError::Unreadable { system, seq: self.seq, engine, error: error.to_string() }
    }

    pub(super) fn content(&self) -> Content<'_> {
        let Self { seq, at_ms, engine, event, facts, hash: _ } = self;
        Content { seq: *seq, at_ms: *at_ms, engine, event, facts }
    }
}

/// What the hash of a row covers, beside the hash before it and the system's name.
pub(super) struct Content<'row> {
    pub(super) seq: u64,
    pub(super) at_ms: i64,
    pub(super) engine: &'row str,
    pub(super) event: &'row [u8],
    pub(super) facts: &'row [u8],
}

/// The hash of a row: SHA-256 over the hash before, the system's name and a zero byte, the place and the time (eight bytes
/// each, big endian), and the version, the event and the facts, each after its length (eight bytes).
pub(super) fn hash(previous: &[u8], system: &str, row: &Content<'_>) -> [u8; HASH_BYTES] {
    let mut hasher = Sha256::new();
    hasher.update(previous);
    hasher.update(system.as_bytes());
    hasher.update([0]);
    hasher.update(row.seq.to_be_bytes());
    hasher.update(row.at_ms.to_be_bytes());
    for part in [row.engine.as_bytes(), row.event, row.facts] {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    hasher.finalize().into()
}
