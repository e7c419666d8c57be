//! What was asked over HTTP, in the database.

use sqlx::{query, sqlite::SqliteRow};

use super::SqliteStore;
use crate::{
    rules::SystemName,
    store::{CallNote, StoreError},
};

impl SqliteStore {
    /// The newest calls, the newest first: of a system, or all.
    pub(super) async fn newest_calls(
        &self,
        system: Option<&SystemName>,
        limit: u32,
    ) -> Result<Vec<CallNote>, StoreError> {
        let sql = "SELECT at_ms, request, came_from, who, signed_in_by, system, asked, status, why, place FROM calls
                   WHERE ?1 IS NULL OR system = ?1 ORDER BY number DESC LIMIT ?2";
        let rows = self.rows("read the calls", query(sql).bind(system.map(SystemName::as_str)).bind(limit)).await?;
        rows.iter().map(|row| self.call(row)).collect()
    }

    fn call(&self, row: &SqliteRow) -> Result<CallNote, StoreError> {
        let place = &self.place;
        let system = place.read::<Option<&str>>(row, 5)?.map(SystemName::new).transpose();
        Ok(CallNote {
            at_ms: place.read(row, 0)?,
            request: place.read(row, 1)?,
            from: place.read(row, 2)?,
            who: place.read(row, 3)?,
            signed_in_by: place.read(row, 4)?,
            system: system.map_err(|error| place.damaged(error))?,
            asked: place.read(row, 6)?,
            status: place.read(row, 7)?,
            why: place.read(row, 8)?,
            seq: place.read::<Option<i64>>(row, 9)?.map(i64::cast_unsigned),
        })
    }
}
