//! Notices that are to be delivered, and the last that were given up.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::engine::ids::{Digest, EffectId};
use crate::rules::{ChannelName, Notice, SystemName};

/// The notices of a system.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Notices {
    /// How many there have been.
    pub made: u64,
    /// Those that were not delivered yet, by number.
    pub undelivered: BTreeMap<u64, Undelivered>,
    /// The last that were given up, oldest first, each until something gets through the same way.
    pub given_up: VecDeque<GivenUp>,
    /// How many more were given up since nothing was to be remembered last.
    #[serde(default, skip_serializing_if = "is_none")]
    pub more_given_up: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
const fn is_none(count: &u64) -> bool {
    *count == 0
}

/// A notice that is to be delivered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Undelivered {
    /// What is to be said, and to whom.
    pub message: Message,
    /// How often it was tried.
    pub tries: u32,
    /// The effect that is pending for it.
    pub effect: EffectId,
    /// What the last try came back with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// What is to be said, and to whom: whole, so that every try says the same, whatever became of the rules.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// What it tells of.
    pub notice: Notice,
    /// The channel.
    pub via: ChannelName,
    /// The address, where the channel needs one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// One line.
    pub subject: String,
    /// The text.
    pub text: String,
    /// The facts, by the names that templates use: all of them texts.
    pub facts: Map<String, Value>,
    /// When it happened: milliseconds since 1970, UTC.
    pub at_ms: i64,
}

/// A notice that could not be delivered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GivenUp {
    /// Its number.
    pub number: u64,
    /// What it told of.
    pub notice: Notice,
    /// The channel.
    pub via: ChannelName,
    /// The address, where the channel needs one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// Its subject.
    pub subject: String,
    /// When it was given up: milliseconds since 1970, UTC.
    pub at_ms: i64,
    /// What was tried and what came back.
    pub error: String,
    /// What to do about it.
    pub hint: String,
}

impl Notices {
    /// Whether there has never been one: systems without notifications do not show them in their state.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.made == 0
    }
}

impl Message {
    /// How the outside tells this message from every other, and knows it again when it comes twice: `msg_` and 32
    /// hexadecimal digits. The time is part of it, so that a system that was begun anew does not repeat old ones.
    #[must_use]
    pub fn id(&self, system: &SystemName, number: u64) -> String {
        let digest = Digest::of(format!("{system}/notice/{number}@{}", self.at_ms).as_bytes());
        let digits = digest.as_str().trim_start_matches("sha256:");
        format!("msg_{}", digits.get(..32).unwrap_or(digits))
    }
}
