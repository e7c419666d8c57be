//! Where the App is installed, as far as that is known.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde::Deserialize;

use super::{call::Limits, caller::Caller};

/// How many names of repositories and owners are remembered.
pub(super) const MOST_PLACES: usize = 10_000;

/// The installations that were found.
#[derive(Default)]
pub(super) struct Installations(Mutex<Found>);

#[derive(Default)]
struct Found {
    /// `acme/shop`, or `acme` for an owner → the number of the installation.
    places: BTreeMap<String, u64>,
    callers: BTreeMap<u64, Arc<Caller>>,
}

/// An installation as GitHub tells it.
#[derive(Debug, Deserialize)]
pub(super) struct Installation {
    pub(super) id: u64,
    pub(super) account: Option<Owner>,
    pub(super) suspended_at: Option<String>,
    #[serde(default)]
    pub(super) permissions: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) html_url: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Owner {
    pub(super) login: Option<String>,
    pub(super) slug: Option<String>,
}

impl Installation {
    pub(super) fn owner(&self) -> &str {
        let owner = self.account.as_ref();
        owner.and_then(|owner| owner.login.as_deref().or(owner.slug.as_deref())).unwrap_or("an owner without a name")
    }
}

impl Installations {
    pub(super) fn at(&self, place: &str) -> Option<Arc<Caller>> {
        let found = self.found();
        found.callers.get(found.places.get(place)?).cloned()
    }

    /// Keeps which installation is of a place. All places of an installation have one caller, for they share its quota.
    pub(super) fn keep(&self, place: String, installation: &Installation, limits: &Limits) -> Arc<Caller> {
        let mut found = self.found();
        if found.places.len() >= MOST_PLACES {
            found.places.clear();
        }
        found.places.insert(place, installation.id);
        let new = || Arc::new(Caller::installation(installation.id, installation.owner(), limits));
        Arc::clone(found.callers.entry(installation.id).or_insert_with(new))
    }

    /// Anybody who may ask what everybody may know, if one is known.
    pub(super) fn any(&self) -> Option<Arc<Caller>> {
        self.found().callers.values().find(|caller| !caller.is_gone()).cloned()
    }

    /// Forgets one that is no more.
    pub(super) fn forget(&self, id: u64) {
        let mut found = self.found();
        found.callers.remove(&id);
        found.places.retain(|_, of| *of != id);
    }

    fn found(&self) -> MutexGuard<'_, Found> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
