//! A house whose settings are those that their file says now: people, roles and forges change without a new start, as on the
//! command line.

use std::{
    path::Path,
    sync::{Arc, PoisonError, RwLock},
    time::SystemTime,
};

use super::{House, settings::Settings};

/// The house, and its settings' file as it was when they were read.
pub struct Current(RwLock<(Arc<House>, Stamp)>);

/// When a file was last written, and how long it is.
pub(super) type Stamp = Option<(SystemTime, u64)>;

impl Current {
    /// With the settings that the house has.
    #[must_use]
    pub fn new(house: Arc<House>) -> Self {
        let stamp = stamp(house.settings.file());
        Self(RwLock::new((house, stamp)))
    }

    /// With the settings as they are now; where they cannot be read, as they were read last.
    #[must_use]
    pub fn house(&self) -> Arc<House> {
        let (house, known) = {
            let house = self.0.read().unwrap_or_else(PoisonError::into_inner);
            (Arc::clone(&house.0), house.1)
        };
        let now = stamp(house.settings.file());
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

/// What tells whether a file was written since.
pub(super) fn stamp(file: &Path) -> Stamp {
    let metadata = file.metadata().ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}
