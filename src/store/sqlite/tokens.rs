//! Tokens in the database.

use std::collections::BTreeSet;

use sqlx::{SqliteConnection, query, sqlite::SqliteRow};

use super::{SqliteStore, failure::Place};
use crate::store::{StoreError, Token, TokenHash, TokenNote, standing::json};

impl SqliteStore {
    /// All tokens, by name.
    pub(super) async fn all_tokens(&self) -> Result<Vec<Token>, StoreError> {
        let sql =
            "SELECT name, hash, role, systems, created_by, created_ms, expires_ms, used_ms, revoked_ms FROM tokens
                   ORDER BY name";
        let rows = self.rows("read the tokens", query(sql)).await?;
        rows.iter().map(|row| self.token(row)).collect()
    }

    fn token(&self, row: &SqliteRow) -> Result<Token, StoreError> {
        let place = &self.place;
        let hash = <[u8; 32]>::try_from(place.read::<Vec<u8>>(row, 1)?);
        let role = format!("\"{}\"", place.read::<&str>(row, 2)?);
        let systems: BTreeSet<_> = serde_json::from_str(place.read(row, 3)?).map_err(|error| place.damaged(error))?;
        Ok(Token {
            name: place.read(row, 0)?,
            hash: TokenHash(hash.map_err(|_| place.damaged("the hash of a token has another length"))?),
            role: serde_json::from_str(&role).map_err(|error| place.damaged(error))?,
            systems,
            created_by: place.read(row, 4)?,
            created_ms: place.read(row, 5)?,
            expires_ms: place.read(row, 6)?,
            used_ms: place.read(row, 7)?,
            revoked_ms: place.read(row, 8)?,
        })
    }
}

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
