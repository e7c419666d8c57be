//! What becomes of a session, written into the database.

use sqlx::{SqliteConnection, query};

use super::failure::Place;
use crate::store::{Session, SessionNote, SessionOwner, StoreError, sessions::IDLE_MS, standing::json};

/// Notes what becomes of a session. Whether it became so: nothing ends twice.
pub(super) async fn note(
    connection: &mut SqliteConnection,
    place: &Place,
    note: &SessionNote,
) -> Result<bool, StoreError> {
    let noted = match note {
        SessionNote::Begun { session, most } => begin(connection, session, *most).await,
        SessionNote::Used { id, at_ms } => {
            let used = query("UPDATE sessions SET used_ms = max(used_ms, ?) WHERE id = ?").bind(at_ms).bind(id);
            used.execute(connection).await.map(|used| used.rows_affected())
        }
        SessionNote::Ended { id } => {
            let ended = query("DELETE FROM sessions WHERE id = ?").bind(id).execute(connection).await;
            ended.map(|ended| ended.rows_affected())
        }
    };
    noted.map(|rows| rows > 0).map_err(|error| place.failed("note a session", &error))
}

async fn begin(connection: &mut SqliteConnection, session: &Session, most: u32) -> Result<u64, sqlx::Error> {
    let Session { id, hash, owner, browser, begun_ms, used_ms, ends_ms } = session;
    let (server, identity) = match owner {
        SessionOwner::Link { server } => (Some(server), None),
        SessionOwner::Issuer(identity) => (None, Some(identity)),
    };
    let (issuer, subject) = (identity.map(|it| &it.issuer), identity.map_or("", |it| &it.subject));
    let forget =
        query("DELETE FROM sessions WHERE ends_ms <= ?1 OR used_ms <= ?1 - ?2 OR (?3 IS NOT NULL AND server <> ?3)");
    forget.bind(begun_ms).bind(IDLE_MS).bind(server).execute(&mut *connection).await?;
    let sql = "DELETE FROM sessions WHERE id IN (
                   SELECT id FROM sessions WHERE server IS ?1 AND issuer IS ?2 AND subject = ?3
                   ORDER BY used_ms DESC, id LIMIT -1 OFFSET ?4)";
    let others = i64::from(most) - 1;
    query(sql).bind(server).bind(issuer).bind(subject).bind(others).execute(&mut *connection).await?;
    let sql = "INSERT INTO sessions (id, hash, server, issuer, subject, person, member_of, browser, begun_ms, used_ms, ends_ms)
               VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    let begun = query(sql).bind(id).bind(hash.0.as_slice()).bind(server).bind(issuer).bind(subject);
    let begun = begun.bind(identity.map_or("", |it| &it.person));
    let begun = begun.bind(identity.map_or_else(|| "[]".to_owned(), |it| json(&it.groups)));
    let begun = begun.bind(browser).bind(begun_ms).bind(used_ms).bind(ends_ms);
    begun.execute(connection).await.map(|begun| begun.rows_affected())
}
