//! Looks for a text in all that somebody may look at. It is bounded: so much of each system, and so much in all.

use super::{House, asker::Asker};
use crate::{
    engine::Access,
    rules::SystemName,
    view::{
        found::{Found, FoundTold, in_state},
        run::parse_run,
    },
};

/// How many artifacts of a system are looked at.
const MOST_ARTIFACTS: u32 = 20;

impl House {
    /// What a text is found in, within these systems, which whoever asks may look at.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn search(
        &self,
        who: &Asker,
        systems: &[SystemName],
        text: &str,
        limit: usize,
    ) -> anyhow::Result<FoundTold> {
        let named = systems.iter().filter(|system| system.as_str().contains(&text.to_lowercase()));
        let mut items: Vec<Found> = named.map(Found::system).collect();
        items.extend(self.people_named(who, systems, text));
        for system in systems {
            if items.len() > limit {
                break;
            }
            // Of one that cannot be read, its own status says so.
            let Ok(found) = self.ledger.read(system, |state| in_state(system, state, text)).await else { continue };
            let store = self.ledger.store();
            // One that ended long ago is in the history alone.
            if let Ok(id) = parse_run(text)
                && found.iter().all(|found| found.name != id.as_str())
                && let Some(run) = store.run(system, &id).await?
            {
                items.push(Found::run(system, &run));
            }
            items.extend(found);
            let artifacts = store.artifacts(system, text, MOST_ARTIFACTS).await?;
            let artifacts = artifacts.iter().map(|artifact| Found::artifact(system, artifact));
            let new = artifacts.filter(|found| items.iter().all(|known| known != found && known.name != found.name));
            let new: Vec<Found> = new.collect();
            items.extend(new);
        }
        let shortened = items.len() > limit;
        items.truncate(limit);
        Ok(FoundTold { items, shortened })
    }

    /// The people whose name a text is in, of those who may look at one of these systems as well.
    fn people_named(&self, who: &Asker, systems: &[SystemName], text: &str) -> Vec<Found> {
        let (access, text) = (self.settings.access(), text.to_lowercase());
        let is_named = |(name, _): &(&String, &_)| name.to_lowercase().contains(&text);
        let of: Vec<Access> = systems.iter().map(|system| access.for_system(system)).collect();
        let is_beside = |name: &str| {
            let Some(person) = access.principal(name) else { return false };
            of.iter().any(|access| access.may_view(&person, "").is_ok())
        };
        let own = self.settings.principal(who).map(|by| by.name).unwrap_or_default();
        let people = access.people.iter().filter(is_named).filter(|(name, _)| **name == own || is_beside(name));
        people.map(|(name, person)| Found::person(name, person)).collect()
    }
}
