//! What every store does: one trait, which one contract test holds all that implement it to.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use tokio::sync::watch;

use super::{
    CallNote, Delivery, InstallationSecret, LogRow, Note, Session, Shown, Standing, StoreError, Token, TokenHash,
    standing::Snapshot,
};
use crate::{
    engine::{Artifact, Decision, Effect, EffectId, Event, Link, Recorded, Run, RunId, RunState},
    rules::{StageName, SystemName},
};

/// How many events there are between two snapshots of a system. A restart takes in at most so many events per system; a
/// snapshot costs about as much as that.
pub const SNAPSHOT_EVERY: u64 = 100;

/// Keeps the logs of all systems, and what follows from them. All times are in milliseconds since 1970, UTC.
///
/// Every method may be called from many tasks and processes at once. A call whose future is dropped may still take place.
#[async_trait]
pub trait Store: Send + Sync {
    /// Appends an event with all that came of it, in one transaction. It is durable when this returns.
    ///
    /// `snapshot` is the state after the event, as JSON; it is given every [`SNAPSHOT_EVERY`] events and takes the place
    /// of the one before.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] unless the event's place is the one after the last event of that system.
    async fn append(
        &self,
        system: &SystemName,
        recorded: &Recorded<Event>,
        decision: &Decision,
        snapshot: Option<Vec<u8>>,
    ) -> Result<(), StoreError>;

    /// All systems with the place of the last event of each.
    async fn systems(&self) -> Result<BTreeMap<SystemName, u64>, StoreError>;

    /// The place of the system's last event; 0 for one that has none.
    async fn last_seq(&self, system: &SystemName) -> Result<u64, StoreError>;

    /// At most `limit` rows of the system's log, from place `from_seq` on, in order.
    async fn log(&self, system: &SystemName, from_seq: u64, limit: u32) -> Result<Vec<LogRow>, StoreError>;

    /// The system's newest snapshot.
    async fn snapshot(&self, system: &SystemName) -> Result<Option<Snapshot>, StoreError>;

    /// Puts a snapshot in the place of the one before.
    async fn put_snapshot(&self, system: &SystemName, snapshot: Snapshot) -> Result<(), StoreError>;

    /// Forgets a snapshot that cannot be used.
    async fn drop_snapshot(&self, system: &SystemName) -> Result<(), StoreError>;

    /// Frees the claims of all drivers that live no more, and what this claimant held in an earlier life. To be called
    /// once before a driver claims anything, with whatever proves that it may drive already in hand.
    async fn begin_driving(&self, claimant: &str) -> Result<(), StoreError>;

    /// Claims at most `limit` effects that are due at `now_ms` and that nobody has claimed, the longest due first. Those that
    /// this claimant holds and that became due again meanwhile are among them, once, beyond the limit.
    async fn claim_due(&self, claimant: &str, now_ms: i64, limit: u32) -> Result<Vec<Claimed>, StoreError>;

    /// When the next effect that nobody has claimed is due.
    async fn next_due_ms(&self) -> Result<Option<i64>, StoreError>;

    /// At most `limit` effects that were due before a time and that nobody has claimed, with when they were due; the longest
    /// due first.
    async fn overdue(&self, before_ms: i64, limit: u32) -> Result<Vec<(SystemName, EffectId, i64)>, StoreError>;

    /// Those of the effects `held` that are no longer pending, or no longer this claimant's: whoever runs them stops.
    async fn dropped_claims(
        &self,
        claimant: &str,
        held: &[(SystemName, EffectId)],
    ) -> Result<Vec<(SystemName, EffectId)>, StoreError>;

    /// All pending effects of a system, claimed or not. Equal to the state's own account of them (I9).
    async fn pending(&self, system: &SystemName) -> Result<BTreeMap<EffectId, Effect>, StoreError>;

    /// Runs that have ended, newest first. A run that was retried by hand since is here as it last ended.
    async fn runs(&self, system: &SystemName, filter: &RunFilter) -> Result<Vec<Run>, StoreError>;

    /// A run that has ended.
    async fn run(&self, system: &SystemName, id: &RunId) -> Result<Option<Run>, StoreError>;

    /// At most `limit` artifacts whose name begins so, or whose name begins so after its `repository@` or `sha256:`;
    /// an artifact of exactly that name comes alone.
    async fn artifacts(&self, system: &SystemName, prefix: &str, limit: u32) -> Result<Vec<Artifact>, StoreError>;

    /// At most `limit` links of an artifact in one direction, oldest first.
    async fn links(
        &self,
        system: &SystemName,
        artifact: &Artifact,
        direction: Direction,
        limit: u32,
    ) -> Result<Vec<Link>, StoreError>;

    /// What proves our commits to be ours: made with the store, once, and the same for all that share it.
    async fn secret(&self) -> Result<InstallationSecret, StoreError>;
    /// What programs sign in with, by name: those that ended too.
    async fn tokens(&self) -> Result<Vec<Token>, StoreError>;

    /// Notes what becomes of whoever asks over HTTP, and of what forges show. Whether it became so: a name is given once, and nothing
    /// ends twice.
    async fn note(&self, note: Note) -> Result<bool, StoreError>;

    /// The newest calls that asked for something to be done, the newest first: of a system, or all.
    async fn calls(&self, system: Option<&SystemName>, limit: u32) -> Result<Vec<CallNote>, StoreError>;

    /// The session of the secret with this hash, whether it lasts or not.
    async fn session(&self, hash: TokenHash) -> Result<Option<Session>, StoreError>;

    /// All sessions, the newest first; some of them may have ended.
    async fn sessions(&self) -> Result<Vec<Session>, StoreError>;

    /// What forges show of a system, that of the oldest run first.
    async fn shown(&self, system: &SystemName) -> Result<Vec<Shown>, StoreError>;

    /// At most `limit` things that forges should show otherwise than they do, those that are due first.
    async fn untold(&self, limit: u32) -> Result<Vec<Shown>, StoreError>;

    /// At most `limit` of the deliveries that wait to be done, the oldest first.
    async fn deliveries(&self, limit: u32) -> Result<Vec<Delivery>, StoreError>;

    /// The delivery that is named so, if it is known.
    async fn delivery(&self, guid: &str) -> Result<Option<Delivery>, StoreError>;

    /// Up to when the forge has told which deliveries it did not get rid of: milliseconds since 1970, UTC.
    async fn deliveries_listed_ms(&self) -> Result<Option<i64>, StoreError>;

    /// A number that moves whenever a delivery was taken, as [`Store::changes`] does.
    fn delivered(&self) -> watch::Receiver<u64>;

    /// Every system that anything stored speaks of, also one without a head. For checks.
    async fn named_anywhere(&self) -> Result<BTreeSet<SystemName>, StoreError>;

    /// All that is stored of a system but its log, as of one moment. For checks.
    async fn standing(&self, system: &SystemName) -> Result<Standing, StoreError>;

    /// A number that moves whenever something was appended, by this process or, within about
    /// a tenth of a second, by another.
    fn changes(&self) -> watch::Receiver<u64>;

    /// At most `limit` events of the system from place `from_seq` on, in order.
    async fn events(&self, system: &SystemName, from_seq: u64, limit: u32) -> Result<Vec<Recorded<Event>>, StoreError> {
        self.log(system, from_seq, limit).await?.iter().map(|row| row.recorded(system)).collect()
    }
}

/// An effect that a driver may now run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimed {
    /// The system it is of.
    pub system: SystemName,
    /// What is to be done.
    pub effect: Effect,
}

/// Which ended runs are asked for; what is `None` does not matter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunFilter {
    /// The first part of a run's identity: a rule's name, or `promote`.
    pub subject: Option<String>,
    /// The stage.
    pub stage: Option<StageName>,
    /// How they ended.
    pub state: Option<RunState>,
    /// Only runs with a lower number: for the next page.
    pub before: Option<u64>,
    /// How many at most.
    pub limit: u32,
}

impl RunFilter {
    /// The newest `limit` runs of all kinds.
    #[must_use]
    pub const fn newest(limit: u32) -> Self {
        Self { subject: None, stage: None, state: None, before: None, limit }
    }
}

/// A direction along the links.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// To what it was made from.
    Upstream,
    /// To what was made from it.
    Downstream,
}
