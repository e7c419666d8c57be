//! Takes effects that are due for a driver, and frees them.

use sqlx::{Row as _, SqliteConnection, query};

use super::failure::Place;
use crate::{
    engine::Effect,
    rules::SystemName,
    store::{Claimed, StoreError},
};

/// A request to claim effects.
#[derive(Debug)]
pub(super) struct Claim {
    pub(super) by: String,
    pub(super) now_ms: i64,
    pub(super) limit: u32,
}

impl Claim {
    /// Does it within the transaction.
    pub(super) async fn run(
        &self,
        connection: &mut SqliteConnection,
        place: &Place,
    ) -> Result<Vec<Claimed>, StoreError> {
        let sql = "UPDATE effects SET claimed_by = ?
                   WHERE (system, id) IN (SELECT system, id FROM effects WHERE claimed_by IS NULL AND due_ms <= ?
                                          ORDER BY due_ms, system, id LIMIT ?)
                   RETURNING system, effect";
        let rows = query(sql).bind(&self.by).bind(self.now_ms).bind(self.limit).fetch_all(connection).await;
        let rows = rows.map_err(|error| place.failed("claim effects", &error))?;
        let claimed = rows.iter().map(|row| {
            let system = SystemName::new(row.get::<&str, _>(0)).map_err(|error| place.damaged(error))?;
            Ok(Claimed { system, effect: read(place, row.get(1))? })
        });
        let mut claimed = claimed.collect::<Result<Vec<Claimed>, StoreError>>()?;
        claimed.sort_by_key(|claimed| claimed.effect.due_ms);
        Ok(claimed)
    }
}

/// Frees every claim.
pub(super) async fn free_all(connection: &mut SqliteConnection, place: &Place) -> Result<(), StoreError> {
    let freed = query("UPDATE effects SET claimed_by = NULL WHERE claimed_by IS NOT NULL").execute(connection).await;
    freed.map(drop).map_err(|error| place.failed("free the claims of drivers that are gone", &error))
}

/// Frees one claim.
pub(super) async fn give_back(
    connection: &mut SqliteConnection,
    place: &Place,
    claimed: &Claimed,
) -> Result<(), StoreError> {
    let freed = query("UPDATE effects SET claimed_by = NULL WHERE system = ? AND id = ?");
    let freed = freed.bind(claimed.system.as_str()).bind(claimed.effect.id.as_str()).execute(connection).await;
    freed.map(drop).map_err(|error| place.failed("give a claim back", &error))
}

/// An effect as it is stored.
pub(super) fn read(place: &Place, effect: &str) -> Result<Effect, StoreError> {
    serde_json::from_str(effect).map_err(|error| place.damaged(format!("a pending effect cannot be read: {error}")))
}
