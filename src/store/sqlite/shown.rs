//! What forges show, in the database.

use sqlx::{query, sqlite::SqliteRow};

use super::SqliteStore;
use crate::{
    rules::SystemName,
    store::{Shown, ShownKind, ShownName, StoreError},
};

impl SqliteStore {
    /// What is shown of a system.
    pub(super) async fn shown_of(&self, system: &SystemName) -> Result<Vec<Shown>, StoreError> {
        let sql =
            "SELECT system, kind, key, place, run, wanted, said, forge_id, since_ms, due_ms, failures, error FROM shown
                   WHERE system = ? ORDER BY run";
        let rows = self.rows("read what forges show", query(sql).bind(system.as_str())).await?;
        rows.iter().map(|row| self.shown_in(row)).collect()
    }

    /// What does not say what it should, that which is due first.
    pub(super) async fn untold(&self, limit: u32) -> Result<Vec<Shown>, StoreError> {
        let sql =
            "SELECT system, kind, key, place, run, wanted, said, forge_id, since_ms, due_ms, failures, error FROM shown
                   WHERE said IS NOT wanted ORDER BY due_ms LIMIT ?";
        let rows = self.rows("read what forges should show", query(sql).bind(limit)).await?;
        rows.iter().map(|row| self.shown_in(row)).collect()
    }

    fn shown_in(&self, row: &SqliteRow) -> Result<Shown, StoreError> {
        let place = &self.place;
        let kind = place.read::<&str>(row, 1)?;
        let kind = ShownKind::of(kind).ok_or_else(|| place.damaged(format!("forges show no `{kind}`")))?;
        let name = ShownName { system: self.name(row, 0)?, kind, key: place.read(row, 2)?, place: place.read(row, 3)? };
        Ok(Shown {
            name,
            run: place.read::<i64>(row, 4)?.cast_unsigned(),
            wanted: place.read(row, 5)?,
            said: place.read(row, 6)?,
            forge_id: place.read::<Option<i64>>(row, 7)?.map(i64::cast_unsigned),
            since_ms: place.read(row, 8)?,
            due_ms: place.read(row, 9)?,
            failures: place.read(row, 10)?,
            error: place.read(row, 11)?,
        })
    }
}
