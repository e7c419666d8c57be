//! What a step made, as far as the engine goes by it: typed, beside the free outputs that templates use. The engine reads no
//! output by its name.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    content::PinsSeen,
    ids::{CommitId, Digest},
    shared::Shared,
    target::Class,
    task::Task,
};
use crate::rules::{Moves, RuleName};

/// What a step made.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Made {
    /// Nothing that the engine goes by.
    #[default]
    Nothing,
    /// A commit on top of a stage's branch.
    Moved(Shared<Moved>),
    /// No commit: the branch held all of it already, or the step only looked.
    Unmoved(Shared<Unmoved>),
    /// A deployment.
    Deployed(Service),
    /// A plan, of which people see what it does.
    Planned(Class),
    /// A template.
    Synthesised {
        /// The digest of its bytes.
        template_digest: Digest,
    },
}

/// A commit of ours on top of a stage's branch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Moved {
    /// The commit.
    pub commit: CommitId,
    /// The commit that it was made on.
    pub parent: Option<CommitId>,
    /// The first line of its message.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub subject: String,
    /// The paths that it changed; none when they are too many to list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paths: Option<Vec<String>>,
    /// Of a merge: that it brings an older version back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub back: bool,
    /// All that is pinned in the commit, where the step moved a set; none where it was not read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pins: Option<Vec<PinsSeen>>,
    /// What the step brought.
    #[serde(flatten)]
    pub brought: Brings,
}

/// A branch that held all of it already, or a check of what a move would bring.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Unmoved {
    /// Its head; none when what was to be undone was never there, or was only looked for.
    pub head: Option<CommitId>,
    /// What the step would have brought.
    #[serde(flatten)]
    pub brought: Brings,
}

/// What a step brings to a branch, whether or not that takes a commit.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Brings {
    /// Pins: JSON pointer → value.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub pinned: BTreeMap<String, Value>,
    /// The commit whose content comes back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<CommitId>,
    /// The commit whose content goes away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<CommitId>,
    /// The rules that see the same, under their `paths`, in what a move made as in what it was to bring.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub carried: Vec<RuleName>,
}

/// What was deployed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Service {
    /// Where it serves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// The image that it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
}

impl Made {
    /// Whether it is nothing that the engine goes by.
    #[must_use]
    pub const fn is_nothing(&self) -> bool {
        matches!(self, Self::Nothing)
    }

    /// The commit of ours.
    #[must_use]
    pub fn moved(&self) -> Option<&Shared<Moved>> {
        match self {
            Self::Moved(moved) => Some(moved),
            Self::Nothing | Self::Unmoved(_) | Self::Deployed(_) | Self::Planned(_) | Self::Synthesised { .. } => None,
        }
    }

    /// The commit that the branch was at when the step was done: its own, or the head that held all of it already.
    #[must_use]
    pub fn head(&self) -> Option<&CommitId> {
        match self {
            Self::Moved(moved) => Some(&moved.commit),
            Self::Unmoved(unmoved) => unmoved.head.as_ref(),
            Self::Nothing | Self::Deployed(_) | Self::Planned(_) | Self::Synthesised { .. } => None,
        }
    }

    /// What the step brought to its branch, or found there.
    #[must_use]
    pub fn brought(&self) -> Option<&Brings> {
        match self {
            Self::Moved(moved) => Some(&moved.brought),
            Self::Unmoved(unmoved) => Some(&unmoved.brought),
            Self::Nothing | Self::Deployed(_) | Self::Planned(_) | Self::Synthesised { .. } => None,
        }
    }

    /// What was deployed.
    #[must_use]
    pub const fn deployed(&self) -> Option<&Service> {
        match self {
            Self::Deployed(service) => Some(service),
            Self::Nothing | Self::Moved(_) | Self::Unmoved(_) | Self::Planned(_) | Self::Synthesised { .. } => None,
        }
    }

    /// What a plan does.
    #[must_use]
    pub const fn planned(&self) -> Option<&Class> {
        match self {
            Self::Planned(class) => Some(class),
            Self::Nothing | Self::Moved(_) | Self::Unmoved(_) | Self::Deployed(_) | Self::Synthesised { .. } => None,
        }
    }

    /// The digest of the template.
    #[must_use]
    pub const fn template_digest(&self) -> Option<&Digest> {
        match self {
            Self::Synthesised { template_digest } => Some(template_digest),
            Self::Nothing | Self::Moved(_) | Self::Unmoved(_) | Self::Deployed(_) | Self::Planned(_) => None,
        }
    }

    /// The head in which a step of this task found its pins as it would have set them.
    #[must_use]
    pub fn pins_found_in(&self, task: &Task) -> Option<&CommitId> {
        let pins = task.kind().moves == Moves::Pins;
        self.head().filter(|_| pins && matches!(self, Self::Unmoved(_)))
    }
}
