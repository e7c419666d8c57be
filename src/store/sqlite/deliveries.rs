//! What forges delivered, in the database.

use sqlx::{query, sqlite::SqliteRow};

use super::SqliteStore;
use crate::store::{Delivery, StoreError};

impl SqliteStore {
    /// Those that wait, the oldest first.
    pub(super) async fn waiting_deliveries(&self, limit: u32) -> Result<Vec<Delivery>, StoreError> {
        let sql = "SELECT guid, event, heard, received_ms, outcome FROM deliveries
                   WHERE done_ms IS NULL ORDER BY number LIMIT ?";
        let rows = self.rows("read what was delivered", query(sql).bind(limit)).await?;
        rows.iter().map(|row| self.delivery_in(row)).collect()
    }

    /// The delivery of that number.
    pub(super) async fn delivery_of(&self, guid: &str) -> Result<Option<Delivery>, StoreError> {
        let sql = "SELECT guid, event, heard, received_ms, outcome FROM deliveries WHERE guid = ?";
        let rows = self.rows("read what was delivered", query(sql).bind(guid)).await?;
        rows.first().map(|row| self.delivery_in(row)).transpose()
    }

    /// Up to when the forge has told which ones it did not get rid of.
    pub(super) async fn listed_until_ms(&self) -> Result<Option<i64>, StoreError> {
        let rows = self.rows("read what was delivered", query("SELECT until_ms FROM deliveries_listed")).await?;
        rows.first().map(|row| self.place.read(row, 0)).transpose()
    }

    fn delivery_in(&self, row: &SqliteRow) -> Result<Delivery, StoreError> {
        let place = &self.place;
        Ok(Delivery {
            guid: place.read(row, 0)?,
            event: place.read(row, 1)?,
            heard: place.read(row, 2)?,
            received_ms: place.read(row, 3)?,
            outcome: place.read(row, 4)?,
        })
    }
}
