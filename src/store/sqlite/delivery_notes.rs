//! What becomes of deliveries, written into the database.

use sqlx::{SqliteConnection, query};

use super::failure::Place;
use crate::store::{
    Delivery, DeliveryNote, StoreError,
    deliveries::{KEPT_MS, MOST_DELIVERIES},
};

/// What becomes of one that nothing is done for.
const COUNTED: &str = "nothing is done for it";

/// Notes it. Whether it became so.
pub(super) async fn note(
    connection: &mut SqliteConnection,
    place: &Place,
    note: &DeliveryNote,
) -> Result<bool, StoreError> {
    let failed = |error| place.failed("note a delivery", &error);
    let noted = match note {
        DeliveryNote::Taken { delivery } => return taken(connection, place, delivery).await,
        DeliveryNote::Done { guids, outcome, at_ms } => {
            let mut done = 0;
            for guid in guids {
                let sql = "UPDATE deliveries SET done_ms = ?, outcome = ? WHERE guid = ? AND done_ms IS NULL";
                let noted = query(sql).bind(at_ms).bind(outcome).bind(guid).execute(&mut *connection).await;
                done += noted.map_err(failed)?.rows_affected();
            }
            return Ok(done > 0);
        }
        DeliveryNote::AskedFor { guid, at_ms } => {
            let old = query("DELETE FROM deliveries_asked_for WHERE asked_ms < ?").bind(at_ms - KEPT_MS);
            old.execute(&mut *connection).await.map_err(failed)?;
            query("INSERT OR IGNORE INTO deliveries_asked_for VALUES (?, ?)").bind(guid).bind(at_ms)
        }
        DeliveryNote::NotAskedFor { guid } => query("DELETE FROM deliveries_asked_for WHERE guid = ?").bind(guid),
        DeliveryNote::Listed { until_ms } => {
            query("INSERT INTO deliveries_listed VALUES (1, ?1) ON CONFLICT DO UPDATE SET until_ms = ?1").bind(until_ms)
        }
    };
    Ok(noted.execute(connection).await.map_err(failed)?.rows_affected() > 0)
}

/// Takes one in, unless it is known or too many wait; and forgets the oldest that are done.
async fn taken(connection: &mut SqliteConnection, place: &Place, delivery: &Delivery) -> Result<bool, StoreError> {
    let failed = |error| place.failed("note a delivery", &error);
    let Delivery { guid, event, heard, received_ms, outcome } = delivery;
    let is_done = heard.is_none() || outcome.is_some();
    let outcome = is_done.then(|| outcome.as_deref().unwrap_or(COUNTED));
    // Numbers are given in order, so that these two tell how far back the oldest lies that waits.
    let sql = "INSERT OR IGNORE INTO deliveries (guid, event, heard, received_ms, done_ms, outcome)
               SELECT ?1, ?2, ?3, ?4, ?5, ?6
               WHERE coalesce((SELECT max(number) FROM deliveries), 0)
                   - coalesce((SELECT min(number) FROM deliveries WHERE done_ms IS NULL), 9223372036854775807) < ?7";
    let noted = query(sql).bind(guid).bind(event).bind(heard).bind(received_ms);
    let noted = noted.bind(is_done.then_some(received_ms)).bind(outcome).bind(MOST_DELIVERIES);
    let is_new = noted.execute(&mut *connection).await.map_err(failed)?.rows_affected() > 0;
    if is_new {
        let old = query("DELETE FROM deliveries WHERE received_ms < ? AND done_ms IS NOT NULL");
        old.bind(received_ms - KEPT_MS).execute(&mut *connection).await.map_err(failed)?;
        let many =
            "DELETE FROM deliveries WHERE number <= (SELECT max(number) FROM deliveries) - ? AND done_ms IS NOT NULL";
        query(many).bind(MOST_DELIVERIES).execute(connection).await.map_err(failed)?;
    }
    Ok(is_new)
}
