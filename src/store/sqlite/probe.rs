//! Looks whether the database is well, and changes nothing in it.

use std::{path::Path, time::Duration};

use sqlx::{ConnectOptions as _, Connection as _, Row as _, raw_sql, sqlite::SqliteConnectOptions};

use super::{SqliteStore, failure::Place};
use crate::store::StoreError;

/// How many kinds of damage are told.
const MOST_DAMAGE: u32 = 5;

impl SqliteStore {
    /// The version of its schema.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn schema_version(&self) -> Result<i64, StoreError> {
        let rows = self.rows("read the schema's version", sqlx::query("SELECT user_version FROM pragma_user_version"));
        rows.await?.first().map_or(Ok(0), |row| self.place.read(row, 0))
    }

    /// What is damaged in the file, as far as SQLite's quick look finds it; nothing when it did not end by the deadline.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn damage(&self, deadline: Duration) -> Result<Option<Vec<String>>, StoreError> {
        let sql = sqlx::AssertSqlSafe(format!("PRAGMA quick_check({MOST_DAMAGE})"));
        let looked = self.rows("look through the database", sqlx::query(sql));
        let Ok(rows) = tokio::time::timeout(deadline, looked).await else { return Ok(None) };
        let mut damage: Vec<String> = rows?.iter().filter_map(|row| row.try_get::<String, _>(0).ok()).collect();
        damage.retain(|line| line != "ok");
        Ok(Some(damage))
    }

    /// Whether the database can be written to: begins to write, and takes it back.
    ///
    /// # Errors
    /// Why it cannot.
    pub async fn try_to_write(path: &Path) -> Result<(), StoreError> {
        let place = Place::new(path, Duration::from_secs(1));
        let failed = |error| place.failed("begin to write", &error);
        let options = SqliteConnectOptions::new().filename(path).busy_timeout(place.busy_timeout);
        let mut connection = options.disable_statement_logging().connect().await.map_err(failed)?;
        raw_sql("BEGIN IMMEDIATE; ROLLBACK").execute(&mut connection).await.map_err(failed)?;
        connection.close().await.map_err(failed)
    }
}
