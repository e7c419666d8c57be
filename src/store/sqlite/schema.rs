//! The schema of the database file, and its way from one version to the next: forward only, by itself, in one
//! transaction, so that processes that start together do it once.

use sqlx::{Connection as _, Row as _, SqliteConnection, raw_sql};

use super::{failure::Place, secret};
use crate::store::StoreError;

/// Each step from one version to the next, in order. Never changed once released; new ones are added at the end.
const MIGRATIONS: [&str; 8] = [
    include_str!("migrations/0005_log.sql"),
    include_str!("migrations/0006_clock.sql"),
    include_str!("migrations/0007_nudge.sql"),
    include_str!("migrations/0008_tokens.sql"),
    include_str!("migrations/0009_sessions.sql"),
    include_str!("migrations/0010_calls.sql"),
    include_str!("migrations/0011_deliveries.sql"),
    include_str!("migrations/0012_shown.sql"),
];
/// The last version that no step leads on from: its facts name places and pins by texts, and nothing was released with it.
const UNREAD_VERSION: i64 = 4;
/// The newest version.
const VERSION: i64 = UNREAD_VERSION + MIGRATIONS.len() as i64;
/// "Tide" in ASCII: marks the file as ours (`PRAGMA application_id`).
const APPLICATION_ID: i64 = 0x5469_6465;

/// Brings the database to [`VERSION`].
///
/// # Errors
/// [`StoreError::Newer`], [`StoreError::TooOld`] and [`StoreError::Foreign`] for a database that is left as it is.
pub(super) async fn migrate(connection: &mut SqliteConnection, place: &Place) -> Result<(), StoreError> {
    if checked_version(connection, place).await? == VERSION {
        return Ok(());
    }
    secret::close_to_others(place);
    let failed = |error| place.failed("bring the schema up to date", &error);
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
    let version = checked_version(&mut transaction, place).await?;
    for migration in MIGRATIONS.iter().skip(usize::try_from(version - UNREAD_VERSION).unwrap_or_default()) {
        raw_sql(*migration).execute(&mut *transaction).await.map_err(failed)?;
    }
    secret::make(&mut transaction).await.map_err(failed)?;
    let stamp = format!("PRAGMA user_version = {VERSION}; PRAGMA application_id = {APPLICATION_ID}");
    raw_sql(sqlx::AssertSqlSafe(stamp)).execute(&mut *transaction).await.map_err(failed)?;
    transaction.commit().await.map_err(failed)
}

/// Checks that the database has [`VERSION`].
///
/// # Errors
/// [`StoreError::Newer`], [`StoreError::TooOld`], [`StoreError::Foreign`], and [`StoreError::Older`], which says what to do.
pub(super) async fn check(connection: &mut SqliteConnection, place: &Place) -> Result<(), StoreError> {
    let version = checked_version(connection, place).await?;
    if version == VERSION {
        return Ok(());
    }
    Err(StoreError::Older { place: place.path.clone(), found: version, needed: VERSION })
}

async fn checked_version(connection: &mut SqliteConnection, place: &Place) -> Result<i64, StoreError> {
    let sql =
        "SELECT (SELECT application_id FROM pragma_application_id), (SELECT user_version FROM pragma_user_version),
                      (SELECT count(*) FROM sqlite_schema)";
    let row = sqlx::query(sql)
        .fetch_one(connection)
        .await
        .map_err(|error| place.failed("read the schema's version", &error))?;
    let (application, version, tables): (i64, i64, i64) = (row.get(0), row.get(1), row.get(2));
    if application != APPLICATION_ID && (tables > 0 || version != 0) {
        let error = "it is a SQLite database of another program".to_owned();
        return Err(StoreError::Foreign { place: place.path.clone(), error });
    }
    if version > VERSION {
        return Err(StoreError::Newer { place: place.path.clone(), found: version, known: VERSION });
    }
    if (1..=UNREAD_VERSION).contains(&version) {
        return Err(StoreError::TooOld { place: place.path.clone(), found: version, needed: VERSION });
    }
    Ok(version)
}
