//! What names one asking for a command, so that the same asked again, after a crash or a lost answer, is done once.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use crate::engine::ids::Digest;

/// How long a key may be, in bytes: far more than a UUID.
pub const MOST_KEY_BYTES: usize = 128;

/// Which asking it is: a key that whoever asks chose, and of what it was said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CommandKey {
    /// The key. It is theirs alone: the same of somebody else is another.
    #[schemars(with = "String")]
    key: SmolStr,
    /// Of all that was asked under it: the same key with another question is a mistake.
    asked: Digest,
}

impl CommandKey {
    /// A key for a question.
    ///
    /// # Errors
    /// When it is empty, too long, or has characters that no header can carry.
    pub fn new(key: &str, asked: Digest) -> Result<Self, String> {
        let is_plain = key.bytes().all(|byte| byte.is_ascii_graphic());
        if key.is_empty() || key.len() > MOST_KEY_BYTES || !is_plain {
            return Err(format!("a key has 1 to {MOST_KEY_BYTES} printable ASCII characters, without spaces"));
        }
        Ok(Self { key: SmolStr::new(key), asked })
    }

    /// The key as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.key
    }

    /// Of what it was said.
    #[must_use]
    pub const fn asked(&self) -> &Digest {
        &self.asked
    }
}

impl fmt::Display for CommandKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.key)
    }
}
