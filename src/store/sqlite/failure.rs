//! Turns what SQLite answers into what a person can act on.

use std::{path::Path, time::Duration};

use sqlx::{Decode, Error, Row as _, Sqlite, Type, sqlite::SqliteRow};

use crate::store::StoreError;

// The primary result codes: https://www.sqlite.org/rescode.html
const SQLITE_BUSY: i32 = 5;
const SQLITE_LOCKED: i32 = 6;
const SQLITE_CORRUPT: i32 = 11;
const SQLITE_FULL: i32 = 13;
const SQLITE_NOTADB: i32 = 26;

/// What errors are told with: which database, and how long a call waits for it.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) path: String,
    pub(super) busy_timeout: Duration,
    /// That nobody had it open when it was opened to be read, so that it is read without locks.
    pub(super) at_rest: bool,
}

impl Place {
    pub(super) fn new(path: &Path, busy_timeout: Duration) -> Self {
        Self { path: path.display().to_string(), busy_timeout, at_rest: false }
    }

    /// The error for what came back when `doing` was tried.
    pub(super) fn failed(&self, doing: &str, error: &Error) -> StoreError {
        if let Error::ColumnDecode { index, source } = error {
            return self.damaged(format!("a value in {index} is not what it should be: {source}"));
        }
        let place = self.path.clone();
        let waited_ms = u64::try_from(self.busy_timeout.as_millis()).unwrap_or(u64::MAX);
        match primary_code(error) {
            Some(SQLITE_BUSY | SQLITE_LOCKED) => StoreError::Locked { place, waited_ms },
            Some(SQLITE_FULL) => StoreError::Full { place, error: error.to_string() },
            Some(SQLITE_CORRUPT) if self.at_rest && Path::new(&format!("{place}-wal")).exists() => {
                let error = "somebody began to write to it meanwhile; ask again".to_owned();
                StoreError::Failed { place, doing: doing.to_owned(), error }
            }
            Some(SQLITE_CORRUPT) => StoreError::Corrupt { place, error: error.to_string() },
            Some(SQLITE_NOTADB) => StoreError::Foreign { place, error: error.to_string() },
            _ if matches!(error, Error::PoolTimedOut) => StoreError::Locked { place, waited_ms },
            _ => StoreError::Failed { place, doing: doing.to_owned(), error: error.to_string() },
        }
    }

    /// A value of a row.
    pub(super) fn read<'row, T>(&self, row: &'row SqliteRow, column: usize) -> Result<T, StoreError>
    where
        T: Decode<'row, Sqlite> + Type<Sqlite>,
    {
        row.try_get(column).map_err(|error| self.failed("read a row", &error))
    }

    /// The error for a value in the database that is not what only we write there.
    pub(super) fn damaged(&self, what: impl std::fmt::Display) -> StoreError {
        StoreError::Corrupt { place: self.path.clone(), error: what.to_string() }
    }
}

fn primary_code(error: &Error) -> Option<i32> {
    let extended: i32 = error.as_database_error()?.code()?.parse().ok()?;
    Some(extended & 0xff)
}
