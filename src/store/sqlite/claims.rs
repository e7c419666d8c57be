//! Takes effects that are due for a driver, and frees them.

use sqlx::{Row as _, SqliteConnection, query, sqlite::SqliteRow};

use super::failure::Place;
use crate::{
    engine::Effect,
    rules::SystemName,
    store::{Claimed, StoreError},
};

/// How far an effect may have been made in the future: clocks of replicas differ, and step back a little.
const CLOCK_TOLERANCE_MS: i64 = 1_000;

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
        let failed = |error| place.failed("claim effects", &error);
        self.forget_the_future(connection).await.map_err(failed)?;
        let told = "UPDATE effects SET nudged = 0 WHERE claimed_by = ? AND nudged = 1 RETURNING system, effect";
        let mut rows = query(told).bind(&self.by).fetch_all(&mut *connection).await.map_err(failed)?;
        let sql = "UPDATE effects SET claimed_by = ?
                   WHERE (system, id) IN (SELECT system, id FROM effects
                                          WHERE claimed_by IS NULL AND coalesce(again_ms, due_ms) <= ?
                                          ORDER BY coalesce(again_ms, due_ms), system, id LIMIT ?)
                   RETURNING system, effect";
        let due = query(sql).bind(&self.by).bind(self.now_ms).bind(self.limit).fetch_all(connection).await;
        rows.extend(due.map_err(failed)?);
        let claimed = rows.into_iter().filter_map(|row| match claimed(place, &row) {
            Ok(claimed) => Some(claimed),
            Err(error) => {
                // It stays claimed, so that it is said once for each start, and keeps nobody else waiting.
                tracing::error!(%error, "a pending effect is left out");
                None
            }
        });
        let mut claimed: Vec<Claimed> = claimed.collect();
        claimed.sort_by_key(|claimed| claimed.effect.due_ms);
        Ok(claimed)
    }

    /// What was made while the clock was ahead is due as if it were made now: it waits for its interval, and not until the
    /// clock has caught up.
    async fn forget_the_future(&self, connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
        let sql = "UPDATE effects SET again_ms = ? + max(due_ms - made_ms, 0)
                   WHERE claimed_by IS NULL AND again_ms IS NULL AND made_ms > ?";
        let made = query(sql).bind(self.now_ms).bind(self.now_ms.saturating_add(CLOCK_TOLERANCE_MS));
        made.execute(connection).await.map(drop)
    }
}

fn claimed(place: &Place, row: &SqliteRow) -> Result<Claimed, StoreError> {
    let text = |column: usize| row.try_get::<&str, _>(column).map_err(|error| place.damaged(error));
    let system = SystemName::new(text(0)?).map_err(|error| place.damaged(error))?;
    let effect = read(place, text(1)?).map_err(|error| place.damaged(format!("{system}: {error}")))?;
    Ok(Claimed { system, effect })
}

/// Frees every claim.
pub(super) async fn free_all(connection: &mut SqliteConnection, place: &Place) -> Result<(), StoreError> {
    let freed = query("UPDATE effects SET claimed_by = NULL, nudged = 0 WHERE claimed_by IS NOT NULL")
        .execute(connection)
        .await;
    freed.map(drop).map_err(|error| place.failed("free the claims of drivers that are gone", &error))
}

/// Frees one claim.
pub(super) async fn give_back(
    connection: &mut SqliteConnection,
    place: &Place,
    claimed: &Claimed,
) -> Result<(), StoreError> {
    let freed = query("UPDATE effects SET claimed_by = NULL, nudged = 0 WHERE system = ? AND id = ?");
    let freed = freed.bind(claimed.system.as_str()).bind(claimed.effect.id.as_str()).execute(connection).await;
    freed.map(drop).map_err(|error| place.failed("give a claim back", &error))
}

/// An effect as it is stored.
pub(super) fn read(place: &Place, effect: &str) -> Result<Effect, StoreError> {
    serde_json::from_str(effect).map_err(|error| place.damaged(format!("a pending effect cannot be read: {error}")))
}
