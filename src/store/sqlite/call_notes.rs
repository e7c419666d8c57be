//! A call, written into the database.

use sqlx::{SqliteConnection, query};

use super::failure::Place;
use crate::{
    rules::SystemName,
    store::{CallNote, StoreError, calls::MOST_CALLS},
};

/// Notes a call, and forgets the oldest.
pub(super) async fn note(
    connection: &mut SqliteConnection,
    place: &Place,
    note: &CallNote,
) -> Result<bool, StoreError> {
    let failed = |error| place.failed("note a call", &error);
    let CallNote { at_ms, request, from, who, signed_in_by, system, asked, status, why, seq } = note;
    let sql = "INSERT INTO calls (at_ms, request, came_from, who, signed_in_by, system, asked, status, why, place)
               VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    let noted = query(sql).bind(at_ms).bind(request).bind(from).bind(who).bind(signed_in_by);
    let noted = noted.bind(system.as_ref().map(SystemName::as_str)).bind(asked).bind(status).bind(why);
    noted.bind(seq.map(u64::cast_signed)).execute(&mut *connection).await.map_err(failed)?;
    let forget = query("DELETE FROM calls WHERE number <= (SELECT max(number) FROM calls) - ?").bind(MOST_CALLS);
    forget.execute(connection).await.map_err(failed)?;
    Ok(true)
}
