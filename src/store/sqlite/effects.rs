//! Reads the pending effects: all of a system's, and those that somebody holds no longer.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::{query, sqlite::SqliteRow};

use super::{SqliteStore, claims::read};
use crate::{
    engine::{Effect, EffectId},
    rules::SystemName,
    store::StoreError,
};

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
        let name = |row| Ok((self.place.read(row, 0)?, self.place.read(row, 1)?));
        let claimed: BTreeSet<(&str, &str)> = rows.iter().map(name).collect::<Result<_, StoreError>>()?;
        let is_gone = |(system, id): &&(SystemName, EffectId)| !claimed.contains(&(system.as_str(), id.as_str()));
        Ok(held.iter().filter(is_gone).cloned().collect())
    }

    pub(super) async fn unclaimed_since(
        &self,
        before_ms: i64,
        limit: u32,
    ) -> Result<Vec<(SystemName, EffectId, i64)>, StoreError> {
        let sql = "SELECT system, id, coalesce(again_ms, due_ms) AS due FROM effects
                   WHERE claimed_by IS NULL AND due < ? ORDER BY due, system, id LIMIT ?";
        let rows = self.rows("look for effects that are late", query(sql).bind(before_ms).bind(limit)).await?;
        let effect = |row: &SqliteRow| {
            let system =
                SystemName::new(self.place.read::<&str>(row, 0)?).map_err(|error| self.place.damaged(error))?;
            Ok((system, EffectId::new(self.place.read::<&str>(row, 1)?), self.place.read(row, 2)?))
        };
        rows.iter().map(effect).collect()
    }

    pub(super) async fn pending_effects(&self, system: &SystemName) -> Result<BTreeMap<EffectId, Effect>, StoreError> {
        let pending = query("SELECT effect FROM effects WHERE system = ?").bind(system.as_str());
        let rows = self.rows("read the pending effects", pending).await?;
        let effect = |row: &SqliteRow| {
            let effect = read(&self.place, self.place.read(row, 0)?)?;
            Ok((effect.id.clone(), effect))
        };
        rows.iter().map(effect).collect()
    }
}
