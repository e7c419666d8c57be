//! What a kind of target is, as a row, and where a target of any kind is in its life.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where a target is in its life. `engine/target/life.rs` says what leads where.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum TargetLife {
    /// Nothing has been deployed to it yet.
    #[default]
    Unprovisioned,
    /// A run makes it.
    Provisioning,
    /// The run that was to make it failed.
    ProvisionFailed,
    /// It is free.
    Available,
    /// A run holds it.
    Busy,
    /// A run failed on it; an operator makes it available again.
    Broken,
    /// Its deletion was asked for, and waits.
    DeleteScheduled,
    /// A run deletes it.
    Deleting,
    /// It was deleted.
    Deleted,
    /// The run that was to delete it failed.
    DeleteFailed,
}

/// What a kind of target is.
#[derive(Debug)]
pub struct TargetShape {
    /// Its name as rules write it.
    pub name: &'static str,
    /// With its article, for sentences.
    pub a: &'static str,
    /// The fields of a target that only this kind has, beside those that all have.
    pub fields: &'static [&'static str],
    /// The fields of `deploy` that this kind has.
    pub deploy: &'static [&'static str],
    /// The fields of `deploy` without which nothing can be deployed.
    pub needed: &'static [&'static str],
    /// Whether what is deployed is the template that a `synth` step makes.
    pub takes_template: bool,
    /// What its users call where a target is in its life, where that is not the life's own name.
    pub called: fn(TargetLife) -> Option<&'static str>,
}

impl TargetLife {
    /// All of them, in the order of a life.
    pub const ALL: [Self; 10] = [
        Self::Unprovisioned,
        Self::Provisioning,
        Self::ProvisionFailed,
        Self::Available,
        Self::Busy,
        Self::Broken,
        Self::DeleteScheduled,
        Self::Deleting,
        Self::Deleted,
        Self::DeleteFailed,
    ];

    /// The name, as status and logs write it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unprovisioned => "UNPROVISIONED",
            Self::Provisioning => "PROVISIONING",
            Self::ProvisionFailed => "PROVISION_FAILED",
            Self::Available => "AVAILABLE",
            Self::Busy => "BUSY",
            Self::Broken => "BROKEN",
            Self::DeleteScheduled => "DELETE_SCHEDULED",
            Self::Deleting => "DELETING",
            Self::Deleted => "DELETED",
            Self::DeleteFailed => "DELETE_FAILED",
        }
    }

    /// Whether a run holds the target.
    #[must_use]
    pub const fn is_held(self) -> bool {
        matches!(self, Self::Busy | Self::Provisioning | Self::Deleting)
    }
}
