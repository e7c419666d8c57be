//! How well delivery goes in one system. `docs/looking.md` defines the figures.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    engine::stats::{Period, StageStats},
    rules::SystemName,
};

/// The figures of one system.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SystemStats {
    /// The system.
    pub system: SystemName,
    /// The time that they are of.
    #[serde(flatten)]
    pub period: Period,
    /// The figures, by stage.
    pub stages: Vec<StageStats>,
}
