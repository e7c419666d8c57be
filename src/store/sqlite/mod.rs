//! The store in one SQLite file (WAL, full sync). All writes go through one task and its connection ([`writer`]), which
//! commits whatever waits together; reads go through a few connections that cannot write.

mod append;
mod claims;
mod failure;
mod history;
mod schema;
mod secret;
mod standing;
mod writer;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use sqlx::{
    ConnectOptions as _, Row as _, SqliteConnection, SqlitePool,
    sqlite::{SqliteConnectOptions, SqlitePoolOptions, SqliteRow, SqliteSynchronous},
};
use tokio::sync::watch;

use self::{append::Append, failure::Place, writer::Writer};
use super::{Claimed, Direction, InstallationSecret, LogRow, RunFilter, Snapshot, Standing, Store, StoreError};
use crate::{
    engine::{Artifact, Decision, Effect, EffectId, Event, Link, Recorded, Run, RunId},
    rules::SystemName,
};

/// How many connections read. Reads are short; more than the cores of a small machine gain nothing.
const READERS: u32 = 4;

/// What may be set about the database file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqliteOptions {
    /// How long a call waits for another process that writes, before [`StoreError::Locked`].
    pub busy_timeout: Duration,
    /// The most pages (4,096 bytes each) that the file may have, before [`StoreError::Full`]; unlimited unless set.
    pub max_pages: Option<u32>,
}

impl Default for SqliteOptions {
    /// Ten seconds: far more than any transaction takes, far less than a person's patience.
    fn default() -> Self {
        Self { busy_timeout: Duration::from_secs(10), max_pages: None }
    }
}

/// A store in one SQLite file.
#[derive(Debug)]
pub struct SqliteStore {
    readers: SqlitePool,
    writer: Writer,
    place: Place,
}

impl SqliteStore {
    /// Opens the database, makes it if there is none, and brings its schema up to date. Its folder must exist. Must be
    /// called within a tokio runtime.
    ///
    /// # Errors
    /// [`StoreError::Newer`], [`StoreError::Foreign`] and [`StoreError::Corrupt`] for a file that is left as it is;
    /// [`StoreError::Locked`] when another process does not let go of it.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        Self::open_with(path, SqliteOptions::default()).await
    }

    /// [`SqliteStore::open`] with settings other than the usual ones.
    ///
    /// # Errors
    /// As for [`SqliteStore::open`].
    pub async fn open_with(path: &Path, options: SqliteOptions) -> Result<Self, StoreError> {
        let place = Place::new(path, options.busy_timeout);
        let base = SqliteConnectOptions::new()
            .filename(path)
            .busy_timeout(options.busy_timeout)
            .foreign_keys(true)
            .disable_statement_logging();
        let mut writing = base.clone().create_if_missing(true).synchronous(SqliteSynchronous::Full);
        if let Some(pages) = options.max_pages {
            writing = writing.pragma("max_page_count", pages.to_string());
        }
        let connection = first_connection(&writing, &place).await?;
        let reading = base.pragma("query_only", "ON");
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
            .acquire_timeout(options.busy_timeout)
            .connect_lazy_with(reading);
        let writer = Writer::start(writing, connection, place.clone());
        Ok(Self { readers, writer, place })
    }

    /// Opens the database to look at what is in it: whatever is asked to be written fails, and the file stays as it is. It
    /// need not be writable, nor its folder. Where nobody has it open, not even a lock file is made beside it; a writer that
    /// comes in that very moment may then make a read fail, which can be tried again.
    ///
    /// # Errors
    /// As for [`SqliteStore::open`], and when there is no such file, or a part of it that cannot be read.
    pub async fn open_to_read(path: &Path) -> Result<Self, StoreError> {
        let SqliteOptions { busy_timeout, .. } = SqliteOptions::default();
        let [log, journal] = ["-wal", "-journal"].map(|suffix| beside(path, suffix));
        let options = SqliteConnectOptions::new().filename(path).busy_timeout(busy_timeout).disable_statement_logging();
        let options = options.read_only(true);
        let (mut place, at_rest) = (Place::new(path, busy_timeout), options.clone().immutable(true));
        if !log.exists() && !journal.exists() {
            place.at_rest = true;
            return Self::reading(at_rest, place).await;
        }
        let log_bytes = std::fs::metadata(&log).map_or(0, |log| log.len());
        match Self::reading(options, place.clone()).await {
            // A process that ended badly leaves an empty log behind, which needs no memory to be shared beside it.
            Err(StoreError::Failed { .. }) if log_bytes == 0 && !journal.exists() => {
                Self::reading(at_rest, place).await
            }
            Err(StoreError::Failed { place, doing, error }) => {
                let error = format!(
                    "{error}; its newest part is in {}, and that cannot be read from here: copy the database with the \
                     files beside it to a folder that you may write to, and look at the copy",
                    log.display()
                );
                Err(StoreError::Failed { place, doing, error })
            }
            opened => opened,
        }
    }

    async fn reading(options: SqliteConnectOptions, place: Place) -> Result<Self, StoreError> {
        let failed = |error| place.failed("open the database to read it", &error);
        let mut connection = options.connect().await.map_err(failed)?;
        schema::check(&mut connection, &place).await?;
        let readers = SqlitePoolOptions::new().max_connections(READERS).acquire_timeout(place.busy_timeout);
        let readers = readers.connect_lazy_with(options.clone());
        let writer = Writer::start(options, connection, place.clone());
        Ok(Self { readers, writer, place })
    }

    /// Runs one reading statement.
    async fn rows(
        &self,
        doing: &str,
        query: sqlx::query::Query<'_, sqlx::Sqlite, sqlx::sqlite::SqliteArguments>,
    ) -> Result<Vec<SqliteRow>, StoreError> {
        query.fetch_all(&self.readers).await.map_err(|error| self.place.failed(doing, &error))
    }
}

/// A file beside the database.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Opens the file and migrates it. Only after it is known to be ours is it switched to WAL: a file of another program stays
/// as it is. Two processes may do this at the same time, and the switch does not wait for locks by itself, so it is tried
/// again for as long as any other call would wait.
async fn first_connection(options: &SqliteConnectOptions, place: &Place) -> Result<SqliteConnection, StoreError> {
    const PAUSE: Duration = Duration::from_millis(20);
    let started = Instant::now();
    loop {
        match prepared_connection(options, place).await {
            Err(StoreError::Locked { .. }) if started.elapsed() < place.busy_timeout => tokio::time::sleep(PAUSE).await,
            done => return done,
        }
    }
}

async fn prepared_connection(options: &SqliteConnectOptions, place: &Place) -> Result<SqliteConnection, StoreError> {
    let failed = |error| place.failed("open the database", &error);
    let mut connection = options.connect().await.map_err(failed)?;
    schema::migrate(&mut connection, place).await?;
    sqlx::raw_sql("PRAGMA journal_mode = WAL").execute(&mut connection).await.map_err(failed)?;
    Ok(connection)
}

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
        rows.iter().map(|row| Ok((self.name(row, 0)?, row.get::<i64, _>(1).cast_unsigned()))).collect()
    }

    async fn last_seq(&self, system: &SystemName) -> Result<u64, StoreError> {
        let query = sqlx::query("SELECT seq FROM systems WHERE name = ?").bind(system.as_str());
        let rows = self.rows("read the head of a log", query).await?;
        Ok(rows.first().map_or(0, |row| row.get::<i64, _>(0).cast_unsigned()))
    }

    async fn log(&self, system: &SystemName, from_seq: u64, limit: u32) -> Result<Vec<LogRow>, StoreError> {
        let sql = "SELECT seq, at_ms, engine, CAST(event AS BLOB), CAST(facts AS BLOB), hash FROM events
                   WHERE system = ? AND seq >= ? ORDER BY seq LIMIT ?";
        let query = sqlx::query(sql).bind(system.as_str()).bind(from_seq.cast_signed()).bind(limit);
        let rows = self.rows("read a log", query).await?;
        let row = |row: &SqliteRow| LogRow {
            seq: row.get::<i64, _>(0).cast_unsigned(),
            at_ms: row.get(1),
            engine: row.get(2),
            event: row.get(3),
            facts: row.get(4),
            hash: row.get(5),
        };
        Ok(rows.iter().map(row).collect())
    }

    async fn snapshot(&self, system: &SystemName) -> Result<Option<Snapshot>, StoreError> {
        let query = sqlx::query("SELECT seq, state FROM snapshots WHERE system = ?").bind(system.as_str());
        let rows = self.rows("read a snapshot", query).await?;
        let snapshot = |row: &SqliteRow| Snapshot { seq: row.get::<i64, _>(0).cast_unsigned(), state: row.get(1) };
        Ok(rows.first().map(snapshot))
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
        let query = sqlx::query("SELECT min(due_ms) FROM effects WHERE claimed_by IS NULL");
        let rows = self.rows("look for the next effect", query).await?;
        Ok(rows.first().and_then(|row| row.get(0)))
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
        self.installation_secret().await
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

impl SqliteStore {
    fn name(&self, row: &SqliteRow, column: usize) -> Result<SystemName, StoreError> {
        SystemName::new(row.get::<&str, _>(column)).map_err(|error| self.place.damaged(error))
    }
}
