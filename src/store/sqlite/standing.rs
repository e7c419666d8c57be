//! Reads all that stands in a system's tables, as of one moment, so that a check can compare it with the log.

use std::collections::BTreeSet;

use sqlx::{Row as _, SqliteConnection, query, sqlite::SqliteRow};

use super::SqliteStore;
use crate::{
    rules::SystemName,
    store::{
        Head, Snapshot, Standing, StoreError,
        standing::{Rows, RunColumns},
    },
};

/// How many runs are read at once: they are the largest rows, and only their hashes are kept.
const PAGE_RUNS: u32 = 500;

impl SqliteStore {
    /// Every system that any table speaks of.
    pub(super) async fn all_named(&self) -> Result<BTreeSet<SystemName>, StoreError> {
        let sql = "SELECT name FROM systems UNION SELECT system FROM events UNION SELECT system FROM snapshots
                   UNION SELECT system FROM effects UNION SELECT system FROM runs UNION SELECT system FROM artifacts";
        let rows = self.rows("list what the tables speak of", query(sql)).await?;
        rows.iter().map(|row| self.name(row, 0)).collect()
    }

    pub(super) async fn all_standing(&self, system: &SystemName) -> Result<Standing, StoreError> {
        let failed = |error| self.place.failed("read what stands in the tables", &error);
        // One transaction sees one moment.
        let mut transaction = self.readers.begin().await.map_err(failed)?;
        let mut standing = self.heads(&mut transaction, system).await.map_err(failed)?;
        read_effects(&mut transaction, system, &mut standing).await.map_err(failed)?;
        read_runs(&mut transaction, system, &mut standing.rows).await.map_err(failed)?;
        self.read_provenance(&mut transaction, system, &mut standing.rows).await?;
        transaction.rollback().await.map_err(failed)?;
        Ok(standing)
    }

    async fn heads(&self, connection: &mut SqliteConnection, system: &SystemName) -> Result<Standing, sqlx::Error> {
        let name = system.as_str();
        let head = query("SELECT seq, hash FROM systems WHERE name = ?").bind(name);
        let head = head.fetch_optional(&mut *connection).await?;
        let last = query("SELECT coalesce(max(seq), 0) FROM events WHERE system = ?").bind(name);
        let last = last.fetch_one(&mut *connection).await?;
        let snapshot = query("SELECT seq, state FROM snapshots WHERE system = ?").bind(name);
        let snapshot = snapshot.fetch_optional(connection).await?;
        let seq = |row: &SqliteRow| Ok::<u64, sqlx::Error>(row.try_get::<i64, _>(0)?.cast_unsigned());
        let head = head.map(|row| Ok::<_, sqlx::Error>(Head { seq: seq(&row)?, hash: row.try_get(1)? })).transpose()?;
        let snapshot = snapshot.map(|row| Ok::<_, sqlx::Error>(Snapshot { seq: seq(&row)?, state: row.try_get(1)? }));
        Ok(Standing { head, last_event: seq(&last)?, snapshot: snapshot.transpose()?, ..Standing::default() })
    }

    async fn read_provenance(
        &self,
        connection: &mut SqliteConnection,
        system: &SystemName,
        rows: &mut Rows,
    ) -> Result<(), StoreError> {
        let failed = |error| self.place.failed("read the provenance", &error);
        let artifacts = query("SELECT kind, name, uri, bare FROM artifacts WHERE system = ?").bind(system.as_str());
        for row in artifacts.fetch_all(&mut *connection).await.map_err(failed)? {
            rows.artifact(&self.artifact(&row, 0)?, self.place.read(&row, 3)?);
        }
        let sql = "SELECT source.kind, source.name, source.uri, made.kind, made.name, made.uri, run, step, at_ms
                   FROM artifacts AS source JOIN links ON links.source = source.artifact
                                            JOIN artifacts AS made ON links.made = made.artifact
                   WHERE source.system = ?";
        for row in query(sql).bind(system.as_str()).fetch_all(connection).await.map_err(failed)? {
            rows.link(&self.link(&row)?);
        }
        Ok(())
    }
}

async fn read_effects(
    connection: &mut SqliteConnection,
    system: &SystemName,
    standing: &mut Standing,
) -> Result<(), sqlx::Error> {
    let effects = query("SELECT id, due_ms, effect, claimed_by FROM effects WHERE system = ?").bind(system.as_str());
    for row in effects.fetch_all(connection).await? {
        standing.rows.effect(row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        if let Some(claimant) = row.try_get::<Option<String>, _>(3)? {
            *standing.claims.entry(claimant).or_default() += 1;
        }
    }
    Ok(())
}

async fn read_runs(connection: &mut SqliteConnection, system: &SystemName, rows: &mut Rows) -> Result<(), sqlx::Error> {
    let mut after = i64::MIN;
    loop {
        let sql = "SELECT number, id, subject, stage, state, run FROM runs
                   WHERE system = ? AND number > ? ORDER BY number LIMIT ?";
        let page = query(sql).bind(system.as_str()).bind(after).bind(PAGE_RUNS).fetch_all(&mut *connection).await?;
        let Some(last) = page.last() else { return Ok(()) };
        after = last.try_get(0)?;
        for row in &page {
            let number = row.try_get::<i64, _>(0)?.cast_unsigned();
            let (id, subject, stage, state) = (row.try_get(1)?, row.try_get(2)?, row.try_get(3)?, row.try_get(4)?);
            rows.run(RunColumns { number, id, subject, stage, state, run: row.try_get(5)? });
        }
    }
}
