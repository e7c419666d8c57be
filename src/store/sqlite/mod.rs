//! The store in one SQLite file (WAL, full sync). All writes go through one task and its connection ([`writer`]), which
//! commits whatever waits together; reads go through a few connections that cannot write.

mod append;
mod call_notes;
mod calls;
mod claims;
mod database;
mod deliveries;
mod delivery_notes;
mod effects;
mod failure;
mod history;
mod probe;
mod schema;
mod secret;
mod session_notes;
mod sessions;
mod shown;
mod shown_notes;
mod standing;
mod token_notes;
mod tokens;
mod writer;

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use sqlx::sqlite::SqliteRow;
use tokio::sync::watch;

use self::append::Append;
pub use self::database::{SqliteOptions, SqliteStore};
use super::{
    CallNote, Claimed, Delivery, Direction, InstallationSecret, LogRow, Note, RunFilter, Session, Shown, Snapshot,
    Standing, Store, StoreError, Token, TokenHash,
};
use crate::{
    engine::{Artifact, Decision, Effect, EffectId, Event, Link, Recorded, Run, RunId},
    rules::SystemName,
};

#[async_trait]
impl Store for SqliteStore {
    async fn append(
        &self,
        system: &SystemName,
        recorded: &Recorded<Event>,
        decision: &Decision,
        snapshot: Option<Vec<u8>>,
    ) -> Result<(), StoreError> {
        self.writer.append(Append::new(system, recorded, decision, snapshot)).await
    }

    async fn systems(&self) -> Result<BTreeMap<SystemName, u64>, StoreError> {
        let rows = self.rows("list the systems", sqlx::query("SELECT name, seq FROM systems")).await?;
        let system = |row: &SqliteRow| Ok((self.name(row, 0)?, self.place.read::<i64>(row, 1)?.cast_unsigned()));
        let named = rows.iter().filter_map(|row| {
            let system: Result<_, StoreError> = system(row);
            // Of a system whose name cannot be read nothing can be asked; the others are there all the same.
            system.inspect_err(|error| tracing::error!(%error, "a system is left out")).ok()
        });
        Ok(named.collect())
    }

    async fn last_seq(&self, system: &SystemName) -> Result<u64, StoreError> {
        let query = sqlx::query("SELECT seq FROM systems WHERE name = ?").bind(system.as_str());
        let rows = self.rows("read the head of a log", query).await?;
        let Some(row) = rows.first() else { return Ok(0) };
        Ok(self.place.read::<i64>(row, 0)?.cast_unsigned())
    }

    async fn log(&self, system: &SystemName, from_seq: u64, limit: u32) -> Result<Vec<LogRow>, StoreError> {
        let sql = "SELECT seq, at_ms, engine, CAST(event AS BLOB), CAST(facts AS BLOB), hash FROM events
                   WHERE system = ? AND seq >= ? ORDER BY seq LIMIT ?";
        let query = sqlx::query(sql).bind(system.as_str()).bind(from_seq.cast_signed()).bind(limit);
        let rows = self.rows("read a log", query).await?;
        let row = |row: &SqliteRow| {
            Ok(LogRow {
                seq: self.place.read::<i64>(row, 0)?.cast_unsigned(),
                at_ms: self.place.read(row, 1)?,
                engine: self.place.read(row, 2)?,
                event: self.place.read(row, 3)?,
                facts: self.place.read(row, 4)?,
                hash: self.place.read(row, 5)?,
            })
        };
        rows.iter().map(row).collect()
    }

    async fn snapshot(&self, system: &SystemName) -> Result<Option<Snapshot>, StoreError> {
        let query = sqlx::query("SELECT seq, state FROM snapshots WHERE system = ?").bind(system.as_str());
        let rows = self.rows("read a snapshot", query).await?;
        let snapshot = |row: &SqliteRow| {
            let seq = self.place.read::<i64>(row, 0)?.cast_unsigned();
            Ok(Snapshot { seq, state: self.place.read(row, 1)? })
        };
        rows.first().map(snapshot).transpose()
    }

    async fn put_snapshot(&self, system: &SystemName, snapshot: Snapshot) -> Result<(), StoreError> {
        self.writer.put_snapshot(system, snapshot).await
    }

    async fn drop_snapshot(&self, system: &SystemName) -> Result<(), StoreError> {
        self.writer.drop_snapshot(system).await
    }

    async fn begin_driving(&self, _claimant: &str) -> Result<(), StoreError> {
        self.writer.begin_driving().await
    }

    async fn claim_due(&self, claimant: &str, now_ms: i64, limit: u32) -> Result<Vec<Claimed>, StoreError> {
        self.writer.claim_due(claimant, now_ms, limit).await
    }

    async fn next_due_ms(&self) -> Result<Option<i64>, StoreError> {
        let query = sqlx::query("SELECT min(coalesce(again_ms, due_ms)) FROM effects WHERE claimed_by IS NULL");
        let rows = self.rows("look for the next effect", query).await?;
        rows.first().map_or(Ok(None), |row| self.place.read(row, 0))
    }

    async fn overdue(&self, before_ms: i64, limit: u32) -> Result<Vec<(SystemName, EffectId, i64)>, StoreError> {
        self.unclaimed_since(before_ms, limit).await
    }

    async fn dropped_claims(
        &self,
        claimant: &str,
        held: &[(SystemName, EffectId)],
    ) -> Result<Vec<(SystemName, EffectId)>, StoreError> {
        self.no_longer_claimed(claimant, held).await
    }

    async fn pending(&self, system: &SystemName) -> Result<BTreeMap<EffectId, Effect>, StoreError> {
        self.pending_effects(system).await
    }

    async fn runs(&self, system: &SystemName, filter: &RunFilter) -> Result<Vec<Run>, StoreError> {
        self.ended_runs(system, filter).await
    }

    async fn run(&self, system: &SystemName, id: &RunId) -> Result<Option<Run>, StoreError> {
        self.ended_run(system, id).await
    }

    async fn artifacts(&self, system: &SystemName, prefix: &str, limit: u32) -> Result<Vec<Artifact>, StoreError> {
        self.artifacts_named(system, prefix, limit).await
    }

    async fn links(
        &self,
        system: &SystemName,
        artifact: &Artifact,
        direction: Direction,
        limit: u32,
    ) -> Result<Vec<Link>, StoreError> {
        self.links_of(system, artifact, direction, limit).await
    }

    async fn secret(&self) -> Result<InstallationSecret, StoreError> {
        let rows = self.rows("read the installation's secret", sqlx::query("SELECT secret FROM installation")).await?;
        let secret = rows.first().map(|row| self.place.read::<Vec<u8>>(row, 0)).transpose()?;
        let secret = secret.and_then(|secret| <[u8; 32]>::try_from(secret).ok());
        secret.map(InstallationSecret::new).ok_or_else(|| self.place.damaged("the installation's secret is missing"))
    }

    async fn tokens(&self) -> Result<Vec<Token>, StoreError> {
        self.all_tokens().await
    }

    async fn note(&self, note: Note) -> Result<bool, StoreError> {
        self.writer.note(note).await
    }

    async fn calls(&self, system: Option<&SystemName>, limit: u32) -> Result<Vec<CallNote>, StoreError> {
        self.newest_calls(system, limit).await
    }

    async fn session(&self, hash: TokenHash) -> Result<Option<Session>, StoreError> {
        self.session_of(hash).await
    }

    async fn sessions(&self) -> Result<Vec<Session>, StoreError> {
        self.all_sessions().await
    }

    async fn shown(&self, system: &SystemName) -> Result<Vec<Shown>, StoreError> {
        self.shown_of(system).await
    }

    async fn untold(&self, limit: u32) -> Result<Vec<Shown>, StoreError> {
        SqliteStore::untold(self, limit).await
    }

    async fn deliveries(&self, limit: u32) -> Result<Vec<Delivery>, StoreError> {
        self.waiting_deliveries(limit).await
    }

    async fn delivery(&self, guid: &str) -> Result<Option<Delivery>, StoreError> {
        self.delivery_of(guid).await
    }

    async fn deliveries_listed_ms(&self) -> Result<Option<i64>, StoreError> {
        self.listed_until_ms().await
    }

    fn delivered(&self) -> watch::Receiver<u64> {
        self.writer.delivered()
    }

    async fn named_anywhere(&self) -> Result<BTreeSet<SystemName>, StoreError> {
        self.all_named().await
    }

    async fn standing(&self, system: &SystemName) -> Result<Standing, StoreError> {
        self.all_standing(system).await
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.writer.changes()
    }
}
