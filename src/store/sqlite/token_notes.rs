//! What becomes of a token, written into the database.

use sqlx::{SqliteConnection, query};

use super::failure::Place;
use crate::store::{StoreError, TokenNote, standing::json};

/// Notes what becomes of a token. Whether it became so: a name is given once, and nothing ends twice.
pub(super) async fn note(
    connection: &mut SqliteConnection,
    place: &Place,
    note: &TokenNote,
) -> Result<bool, StoreError> {
    let noted = match note {
        TokenNote::Made(token) => {
            let sql = "INSERT OR IGNORE INTO tokens (name, hash, role, systems, created_by, created_ms, expires_ms)
                       VALUES (?, ?, ?, ?, ?, ?, ?)";
            let (role, systems) = (json(&token.role).trim_matches('"').to_owned(), json(&token.systems));
            let made = query(sql).bind(&token.name).bind(token.hash.0.as_slice()).bind(role).bind(systems);
            let made = made.bind(&token.created_by).bind(token.created_ms).bind(token.expires_ms);
            made.execute(connection).await
        }
        TokenNote::Used { name, at_ms } => {
            query("UPDATE tokens SET used_ms = ? WHERE name = ?").bind(at_ms).bind(name).execute(connection).await
        }
        TokenNote::Revoked { name, at_ms } => {
            let sql = "UPDATE tokens SET revoked_ms = ? WHERE name = ? AND revoked_ms IS NULL";
            query(sql).bind(at_ms).bind(name).execute(connection).await
        }
    };
    noted.map(|noted| noted.rows_affected() > 0).map_err(|error| place.failed("note a token", &error))
}
