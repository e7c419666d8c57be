//! What becomes of what forges show, written into the database.

use sqlx::{Sqlite, SqliteConnection, query, query::Query, sqlite::SqliteArguments};

use super::failure::Place;
use crate::store::{ShownName, ShownNote, StoreError, shown::KEPT_MS};

/// Notes it. Whether anything has changed.
pub(super) async fn note(
    connection: &mut SqliteConnection,
    place: &Place,
    note: &ShownNote,
) -> Result<bool, StoreError> {
    let failed = |error| place.failed("note what a forge shows", &error);
    let noted = match note {
        ShownNote::Wanted { name, run, wanted, at_ms } => {
            // What runs somewhere is kept until something else does.
            let old = "DELETE FROM shown WHERE since_ms < ? AND said IS wanted
                       AND json_extract(wanted, '$.deployment.state') IS NOT 'success'";
            query(old).bind(at_ms - KEPT_MS).execute(&mut *connection).await.map_err(failed)?;
            let sql = "INSERT INTO shown (system, kind, key, place, run, wanted, since_ms, due_ms)
                       VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7)
                       ON CONFLICT DO UPDATE SET wanted = ?6, since_ms = ?7,
                           due_ms = CASE WHEN failures > 0 AND said IS NOT wanted THEN due_ms ELSE ?7 END
                       WHERE wanted <> ?6";
            named(query(sql), name).bind(run.cast_signed()).bind(wanted).bind(at_ms)
        }
        ShownNote::Said { name, said, forge_id } => {
            let sql = "UPDATE shown SET said = ?5, forge_id = ?6, failures = 0, error = NULL
                       WHERE system = ?1 AND kind = ?2 AND key = ?3 AND place = ?4";
            named(query(sql), name).bind(said).bind(forge_id.cast_signed())
        }
        ShownNote::Failed { name, error, due_ms } => {
            let sql = "UPDATE shown SET failures = failures + 1, error = ?5, due_ms = ?6
                       WHERE system = ?1 AND kind = ?2 AND key = ?3 AND place = ?4";
            named(query(sql), name).bind(error).bind(due_ms)
        }
        ShownNote::Dropped { name } => {
            let sql = "DELETE FROM shown WHERE system = ?1 AND kind = ?2 AND key = ?3 AND place = ?4";
            named(query(sql), name)
        }
    };
    Ok(noted.execute(connection).await.map_err(failed)?.rows_affected() > 0)
}

fn named<'query>(
    query: Query<'query, Sqlite, SqliteArguments>,
    name: &'query ShownName,
) -> Query<'query, Sqlite, SqliteArguments> {
    let ShownName { system, kind, key, place } = name;
    query.bind(system.as_str()).bind(kind.as_str()).bind(key).bind(place)
}
