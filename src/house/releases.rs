//! Releases that only some of their systems have, as the store knows them.

use std::collections::{BTreeMap, BTreeSet};

use super::House;
use crate::{
    engine::version::release,
    rules::{StageName, SystemName},
    view::status::HalfReleased,
};

/// The releases of a system that are half-way; of the other systems only those count that may be looked at.
pub(super) async fn of(
    house: &House,
    system: &SystemName,
    visible: &[SystemName],
) -> anyhow::Result<Vec<HalfReleased>> {
    let owned = |part: release::Part<'_>| (part.release.name.clone(), part.release.systems.clone(), part.stage.clone());
    let parts: Vec<(String, BTreeSet<SystemName>, StageName)> =
        house.ledger.read(system, |state| release::parts(state).into_iter().map(owned).collect()).await?;
    let mut found = Vec::new();
    for (name, systems, stage) in parts {
        let mut standings = BTreeMap::new();
        for other in systems.iter().filter(|other| visible.contains(other)) {
            // Of one that cannot be read, its own status says so.
            if let Ok(standing) = house.ledger.read(other, |state| release::standing(state, &name)).await {
                standings.insert(other.clone(), standing);
            }
        }
        found.extend(HalfReleased::of(&name, &stage, &standings));
    }
    Ok(found)
}
