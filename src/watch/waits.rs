//! Who waits for a place to work, told in a file for those who look: `status`, `run show` and `explain` read it.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::providers::{Fault, files, process_table};

/// What places are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PlaceKind {
    /// Steps.
    Steps,
    /// Looks at remotes.
    Looks,
    /// Fetches of what looks found.
    Fetches,
    /// Deliveries of notices.
    Deliveries,
    /// No place: the first look at every repository since the server began.
    FirstLook,
}

/// Somebody who waits for a place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlaceWait {
    /// For what.
    pub kind: PlaceKind,
    /// The system.
    pub system: String,
    /// What is to be done: `package-7/pin`, a repository, a notice.
    pub what: String,
    /// Since when: milliseconds since 1970, UTC.
    pub since_ms: i64,
    /// What keeps it: "18 of 18 steps of billing are running".
    pub reason: String,
}

/// What the file says.
#[derive(Serialize, Deserialize)]
struct Told {
    /// Whose places these are: where it has ended, nobody waits for them.
    process: u32,
    waits: Vec<PlaceWait>,
}

impl PlaceKind {
    /// One, several, and how a host or channel is named after them.
    #[must_use]
    pub const fn words(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Steps | Self::FirstLook => ("step", "steps", "at"),
            Self::Looks => ("look", "looks", "at"),
            Self::Fetches => ("fetch", "fetches", "from"),
            Self::Deliveries => ("delivery", "deliveries", "by"),
        }
    }
}

impl PlaceWait {
    /// Writes to a file who waits; where nobody does, there is none.
    ///
    /// # Errors
    /// When the file can be neither written nor removed.
    pub fn tell(waits: Vec<Self>, path: &Path) -> Result<(), Fault> {
        if !waits.is_empty() {
            return files::write_json(path, &Told { process: std::process::id(), waits });
        }
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(files::fault(&format!("remove {}", path.display()), &error))
            }
            _ => Ok(()),
        }
    }

    /// Who waits, as the file says; nobody where it cannot be read, or where the server has ended that wrote it.
    #[must_use]
    pub fn told(path: &Path) -> Vec<Self> {
        let told: Option<Told> = files::read_json(path).ok().flatten();
        told.filter(|told| process_table::lives(told.process)).map(|told| told.waits).unwrap_or_default()
    }

    /// The run and the step that wait; none where it is no step.
    #[must_use]
    pub fn step(&self) -> Option<(&str, &str)> {
        (self.kind == PlaceKind::Steps).then(|| self.what.split_once('/')).flatten()
    }
}
