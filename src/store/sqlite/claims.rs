//! Which effects are pending, and which of them a driver has taken.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::{Row as _, SqliteConnection, query};

use super::{SqliteStore, failure::Place};
use crate::{
    engine::{Effect, EffectId},
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

impl SqliteStore {
    pub(super) async fn no_longer_claimed(
        &self,
        claimant: &str,
        held: &[(SystemName, EffectId)],
    ) -> Result<Vec<(SystemName, EffectId)>, StoreError> {
        if held.is_empty() {
            return Ok(Vec::new());
        }
        let claimed = query("SELECT system, id FROM effects WHERE claimed_by = ?").bind(claimant);
        let rows = self.rows("look at what is claimed", claimed).await?;
        let claimed: BTreeSet<(&str, &str)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
        let is_gone = |(system, id): &&(SystemName, EffectId)| !claimed.contains(&(system.as_str(), id.as_str()));
        Ok(held.iter().filter(is_gone).cloned().collect())
    }

    pub(super) async fn pending_effects(&self, system: &SystemName) -> Result<BTreeMap<EffectId, Effect>, StoreError> {
        let pending = query("SELECT effect FROM effects WHERE system = ?").bind(system.as_str());
        let rows = self.rows("read the pending effects", pending).await?;
        let effect = |row| read(&self.place, sqlx::Row::get(row, 0)).map(|effect| (effect.id.clone(), effect));
        rows.iter().map(effect).collect()
    }
}

fn read(place: &Place, effect: &str) -> Result<Effect, StoreError> {
    serde_json::from_str(effect).map_err(|error| place.damaged(format!("a pending effect cannot be read: {error}")))
}
