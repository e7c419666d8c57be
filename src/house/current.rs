//! A house whose settings are those that their file says now: people, roles and forges change without a new start, as on the
//! command line.

use std::{
    path::Path,
    sync::{Arc, PoisonError, RwLock},
    time::SystemTime,
};

use super::{House, at_github::AtGitHub, settings::Settings};

/// The house, and its files as they were when the settings were read: what a forge says of people counts with them.
pub struct Current(RwLock<(Arc<House>, [Stamp; 2])>);

/// When a file was last written, and how long it is.
pub(super) type Stamp = Option<(SystemTime, u64)>;

impl Current {
    /// With the settings that the house has.
    #[must_use]
    pub fn new(house: Arc<House>) -> Self {
        let stamps = stamps(&house.settings);
        Self(RwLock::new((house, stamps)))
    }

    /// With the settings as they are now; where they cannot be read, as they were read last.
    #[must_use]
    pub fn house(&self) -> Arc<House> {
        let (house, known) = {
            let house = self.0.read().unwrap_or_else(PoisonError::into_inner);
            (Arc::clone(&house.0), house.1)
        };
        let now = stamps(&house.settings);
        if now == known {
            return house;
        }
        let house = match Settings::read(house.settings.file()) {
            Ok(settings) => Arc::new(house.with_settings(settings)),
            Err(error) => {
                tracing::error!("the settings that were read last stay in force: {error:#}");
                house
            }
        };
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = (Arc::clone(&house), now);
        house
    }
}

fn stamps(settings: &Settings) -> [Stamp; 2] {
    [stamp(settings.file()), stamp(&AtGitHub::file(&settings.data))]
}

/// What tells whether a file was written since.
pub(super) fn stamp(file: &Path) -> Stamp {
    let metadata = file.metadata().ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}
