//! The database file: how it is opened, to write or only to read, and what reads from it.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use sqlx::{
    ConnectOptions as _, SqliteConnection, SqlitePool,
    sqlite::{SqliteConnectOptions, SqlitePoolOptions, SqliteRow, SqliteSynchronous},
};

use super::{failure::Place, schema, writer::Writer};
use crate::{rules::SystemName, store::StoreError};

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
    pub(super) readers: SqlitePool,
    pub(super) writer: Writer,
    pub(super) place: Place,
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
    pub(super) async fn rows(
        &self,
        doing: &str,
        query: sqlx::query::Query<'_, sqlx::Sqlite, sqlx::sqlite::SqliteArguments>,
    ) -> Result<Vec<SqliteRow>, StoreError> {
        query.fetch_all(&self.readers).await.map_err(|error| self.place.failed(doing, &error))
    }

    /// The name of a system in a row.
    pub(super) fn name(&self, row: &SqliteRow, column: usize) -> Result<SystemName, StoreError> {
        SystemName::new(self.place.read::<&str>(row, column)?).map_err(|error| self.place.damaged(error))
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
