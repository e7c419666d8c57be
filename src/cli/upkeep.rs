//! Keeps the mirrors, logs and caches in order while `serve` drives: which repositories are named, and when a round is due.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, SystemTime},
};

use super::House;
use crate::{
    driver::now_ms,
    providers::git::Upkeep,
    rules::SystemName,
    steps::{Tools, store_left},
};

/// How often the mirrors are looked through: counting their files takes milliseconds.
const EVERY: Duration = Duration::from_secs(600);

/// The repositories that an installation works with.
#[derive(Debug, Default)]
pub(super) struct NamedRepositories {
    /// The URLs of each system's rules.
    pub(super) by_system: BTreeMap<SystemName, BTreeSet<String>>,
    /// The URL of the repository of the rules.
    pub(super) of_rules: Option<String>,
    /// Whether the rules of all systems could be read.
    pub(super) all_read: bool,
}

impl NamedRepositories {
    /// As the rules in force name them.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub(super) async fn of(house: &House) -> anyhow::Result<Self> {
        let of_rules = house.settings.rules.repository().map(|from| from.repository.clone());
        let mut named = Self { of_rules, all_read: true, ..Self::default() };
        for system in house.systems().await? {
            let urls = house.ledger.read(&system, |state| {
                let rules = state.rules().into_iter();
                rules.flat_map(|rules| rules.repositories.values()).map(|repository| repository.url.clone()).collect()
            });
            match urls.await {
                Ok(urls) => drop(named.by_system.insert(system, urls)),
                Err(_) => named.all_read = false,
            }
        }
        Ok(named)
    }

    /// All of them.
    pub(super) fn urls(&self) -> BTreeSet<String> {
        self.by_system.values().flatten().chain(&self.of_rules).cloned().collect()
    }
}

/// Goes on until it is dropped.
pub(super) async fn keep_up(house: Arc<House>, tools: Arc<Tools>) {
    let mut upkeep = Upkeep::default();
    loop {
        match NamedRepositories::of(&house).await {
            Ok(named) => upkeep.round(&tools.mirrors, &named.urls(), named.all_read, now_ms()).await,
            Err(error) => tracing::warn!("the mirrors are not looked through now: {error:#}"),
        }
        store_left(&tools.logs, &*tools.objects).await;
        tools.caches.tidy(SystemTime::now()).await;
        tokio::time::sleep(EVERY).await;
    }
}
