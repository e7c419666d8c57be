//! The kinds of target, one file each: which fields of a target and of `deploy` are a kind's own, and the names that its users
//! have for where a target is in its life. Whoever asks what a kind means here asks its row.

mod job;
mod shape;
mod stack;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use shape::{TargetLife, TargetShape};

/// The kinds of target.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TargetKind {
    /// A stack made from a template.
    #[default]
    Stack,
    /// Something that runs to its end when it is deployed: a command with its variables.
    Job,
}

/// What people may ask of a target beside a deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// Make it, with nothing deployed to it yet.
    Provision,
    /// Remove it, with all that is in it.
    Delete,
    /// Take the way out that a stuck target offers.
    Recover,
}

impl TargetKind {
    /// All kinds, in the order in which people are told of them.
    pub const ALL: [Self; 2] = [Self::Stack, Self::Job];

    /// Its row.
    #[must_use]
    pub const fn shape(self) -> &'static TargetShape {
        match self {
            Self::Stack => &stack::SHAPE,
            Self::Job => &job::SHAPE,
        }
    }

    /// What its users call a place of a life.
    #[must_use]
    pub fn calls(self, life: TargetLife) -> &'static str {
        (self.shape().called)(life).unwrap_or_else(|| life.name())
    }
}

impl Operation {
    /// The name, which is also that of its command, its runs and its step.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Provision => "provision",
            Self::Delete => "delete",
            Self::Recover => "recover",
        }
    }
}
