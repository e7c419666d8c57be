//! Tokens in the database.

use std::collections::BTreeSet;

use sqlx::{query, sqlite::SqliteRow};

use super::SqliteStore;
use crate::store::{StoreError, Token, TokenHash};

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
