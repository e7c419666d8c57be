//! Releases that only some of their systems have, as the store knows them.

use std::collections::{BTreeMap, BTreeSet};

use tokio::sync::OnceCell;

use super::{House, asker::Asker};
use crate::{
    engine::version::release,
    rules::{StageName, SystemName},
    view::status::HalfReleased,
};

/// The systems that somebody may look at, listed once it matters.
pub(super) struct Visible<'house> {
    house: &'house House,
    who: &'house Asker,
    systems: OnceCell<Vec<SystemName>>,
}

impl<'house> Visible<'house> {
    pub(super) fn to(house: &'house House, who: &'house Asker) -> Self {
        Self { house, who, systems: OnceCell::new() }
    }

    async fn systems(&self) -> anyhow::Result<&[SystemName]> {
        Ok(self.systems.get_or_try_init(|| self.house.visible_systems(self.who)).await?)
    }
}

/// The releases of a system that are half-way; of the other systems only those count that may be looked at.
pub(super) async fn of(system: &SystemName, visible: &Visible<'_>) -> anyhow::Result<Vec<HalfReleased>> {
    let house = visible.house;
    let owned = |part: release::Part<'_>| (part.release.name.clone(), part.release.systems.clone(), part.stage.clone());
    let parts: Vec<(String, BTreeSet<SystemName>, StageName)> =
        house.ledger.read(system, |state| release::parts(state).into_iter().map(owned).collect()).await?;
    let mut found = Vec::new();
    for (name, systems, stage) in parts {
        let visible = visible.systems().await?;
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
