//! What looking at a target gives: one of five answers, the same for every kind, with what was seen.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::engine::ids::RunId;

/// How a target stands outside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "standing", rename_all = "snake_case")]
pub enum Standing {
    /// It is not there.
    Absent,
    /// It is there, and nothing moves.
    Stable,
    /// Something is being done to it.
    Moving {
        /// What.
        what: String,
        /// By whom, where that can be told.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by_whom: Option<String>,
    },
    /// What was done to it is being taken back.
    Undoing {
        /// What.
        what: String,
    },
    /// Nothing moves, and nothing can be done to it before somebody takes the way out.
    Stuck {
        /// Why.
        why: String,
        /// The way out: what `tidegate target recover` does, or what a person has to do.
        way_out: String,
    },
}

/// A target as it was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Observation {
    /// How it stands.
    #[serde(flatten)]
    pub standing: Standing,
    /// What is there, by names that people read, as `image` and `template`; only what does not change by itself. A plan
    /// follows from it, and what differs from it later was changed by another hand.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub saw: Map<String, Value>,
}

/// The last look at a target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Seen {
    /// What was seen.
    #[serde(flatten)]
    pub observation: Observation,
    /// When: milliseconds since 1970, UTC.
    pub at_ms: i64,
    /// The run that looked; none when nobody held it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<RunId>,
}

impl Standing {
    /// Its name, as people read it.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::Stable => "stable",
            Self::Moving { .. } => "moving",
            Self::Undoing { .. } => "undoing",
            Self::Stuck { .. } => "stuck",
        }
    }

    /// What keeps a run from doing anything to it for now; nothing where it is absent, stable or stuck.
    #[must_use]
    pub fn in_the_way(&self) -> Option<String> {
        match self {
            Self::Moving { what, by_whom: Some(whom) } => Some(format!("{what}, by {whom}")),
            Self::Moving { what, by_whom: None } => Some(what.clone()),
            Self::Undoing { what } => Some(format!("taken back: {what}")),
            Self::Absent | Self::Stable | Self::Stuck { .. } => None,
        }
    }
}

impl Observation {
    /// Something that stands so, of which nothing more is known.
    #[must_use]
    pub fn of(standing: Standing) -> Self {
        Self { standing, saw: Map::new() }
    }

    /// What differs from how it was left: name, what was there, what is there now.
    #[must_use]
    pub fn differs_from(&self, left: &Map<String, Value>) -> Vec<Difference> {
        let names: std::collections::BTreeSet<&String> = left.keys().chain(self.saw.keys()).collect();
        let differing = names.into_iter().filter(|name| left.get(*name) != self.saw.get(*name));
        let difference = |name: &String| Difference {
            name: name.clone(),
            was: left.get(name).cloned().unwrap_or_default(),
            is: self.saw.get(name).cloned().unwrap_or_default(),
        };
        differing.map(difference).collect()
    }
}

/// Something that another hand changed at a target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Difference {
    /// What.
    pub name: String,
    /// As it was left; null where there was none.
    pub was: Value,
    /// As it is; null where there is none.
    pub is: Value,
}
