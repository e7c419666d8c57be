//! Which systems have the repositories of a forge, by the names that these have there.

use std::collections::BTreeMap;

use crate::{
    house::House,
    providers::forge::github::Addresses,
    rules::{RepositoryName, SystemName},
    store::StoreError,
};

/// What each system calls what it has at the forge, as of some place in its log.
#[derive(Debug, Default)]
pub(super) struct Places {
    /// Where the forge was then.
    at: Option<String>,
    systems: BTreeMap<SystemName, (u64, Vec<At>)>,
}

/// What a system calls a repository, and the name of that at the forge in small letters.
type At = (RepositoryName, String);

impl Places {
    /// Looks at the systems that have moved since.
    ///
    /// # Errors
    /// When the store cannot be read for now. A system whose log cannot be read is left out.
    pub(super) async fn look(&mut self, house: &House, addresses: &Addresses) -> Result<(), StoreError> {
        if self.at.as_ref() != Some(&addresses.pages) {
            *self = Self { at: Some(addresses.pages.clone()), systems: BTreeMap::new() };
        }
        let now = house.ledger.store().systems().await?;
        self.systems.retain(|system, _| now.contains_key(system));
        for (system, seq) in now {
            if self.systems.get(&system).is_some_and(|(known, _)| *known == seq) {
                continue;
            }
            let look = |state: &crate::engine::System| {
                let repositories = state.rules().map(|rules| &rules.repositories);
                let at = repositories.into_iter().flatten().filter_map(|(name, repository)| {
                    Some((name.clone(), addresses.repository(&repository.url)?.to_string().to_lowercase()))
                });
                (state.seq, at.collect())
            };
            match house.ledger.read(&system, look).await {
                Ok(looked) => drop(self.systems.insert(system, looked)),
                Err(error) if error.is_passing() => return Err(error),
                Err(_) => drop(self.systems.insert(system, (seq, Vec::new()))),
            }
        }
        Ok(())
    }

    /// What is called so at the forge, in whatever letters.
    pub(super) fn of(&self, repository: &str) -> Vec<(SystemName, RepositoryName)> {
        let called = repository.to_lowercase();
        let found = |(system, (_, at)): (&SystemName, &(u64, Vec<At>))| {
            let named = at.iter().filter(|(_, name)| *name == called);
            named.map(|(name, _)| (system.clone(), name.clone())).collect::<Vec<_>>()
        };
        self.systems.iter().flat_map(found).collect()
    }
}
