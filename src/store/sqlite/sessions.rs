//! Sessions in the database.

use sqlx::{query, sqlite::SqliteRow};

use super::SqliteStore;
use crate::store::{Identity, Session, SessionOwner, StoreError, TokenHash};

impl SqliteStore {
    /// The session of that secret, whether it lasts or not.
    pub(super) async fn session_of(&self, hash: TokenHash) -> Result<Option<Session>, StoreError> {
        let sql = "SELECT id, hash, server, issuer, subject, person, member_of, browser, begun_ms, used_ms, ends_ms
                   FROM sessions WHERE hash = ?";
        let rows = self.rows("read a session", query(sql).bind(hash.0.to_vec())).await?;
        rows.first().map(|row| self.read_session(row)).transpose()
    }

    /// All sessions, the newest first.
    pub(super) async fn all_sessions(&self) -> Result<Vec<Session>, StoreError> {
        let sql = "SELECT id, hash, server, issuer, subject, person, member_of, browser, begun_ms, used_ms, ends_ms
                   FROM sessions ORDER BY begun_ms DESC, id";
        let rows = self.rows("read the sessions", query(sql)).await?;
        rows.iter().map(|row| self.read_session(row)).collect()
    }

    fn read_session(&self, row: &SqliteRow) -> Result<Session, StoreError> {
        let place = &self.place;
        let hash = <[u8; 32]>::try_from(place.read::<Vec<u8>>(row, 1)?);
        let owner = match (place.read::<Option<String>>(row, 2)?, place.read::<Option<String>>(row, 3)?) {
            (Some(server), None) => SessionOwner::Link { server },
            (None, Some(issuer)) => SessionOwner::Issuer(Identity {
                issuer,
                subject: place.read(row, 4)?,
                person: place.read(row, 5)?,
                groups: serde_json::from_str(place.read(row, 6)?).map_err(|error| place.damaged(error))?,
            }),
            _ => return Err(place.damaged("a session is of a link and of an issuer, or of neither")),
        };
        Ok(Session {
            id: place.read(row, 0)?,
            hash: TokenHash(hash.map_err(|_| place.damaged("the hash of a session has another length"))?),
            owner,
            browser: place.read(row, 7)?,
            begun_ms: place.read(row, 8)?,
            used_ms: place.read(row, 9)?,
            ends_ms: place.read(row, 10)?,
        })
    }
}
