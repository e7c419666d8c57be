//! What programs sign in with: who made a token, for what, until when. The token itself is not kept.

use std::{collections::BTreeSet, fmt};

use crate::{engine::Role, rules::SystemName};

/// The SHA-256 of a token. A token is 256 random bits, so that a hash tells nothing of it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TokenHash(pub [u8; 32]);

impl fmt::Debug for TokenHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("TokenHash(…)")
    }
}

/// A token, as it is kept. Times are in milliseconds since 1970, UTC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Its name.
    pub name: String,
    /// What tells it.
    pub hash: TokenHash,
    /// What may be done with it.
    pub role: Role,
    /// In which systems; all of them where there are none.
    pub systems: BTreeSet<SystemName>,
    /// Who made it.
    pub created_by: String,
    /// When.
    pub created_ms: i64,
    /// When it ends.
    pub expires_ms: i64,
    /// When it was last used, to the minute.
    pub used_ms: Option<i64>,
    /// When somebody ended it.
    pub revoked_ms: Option<i64>,
}

impl Token {
    /// Whether it may be used.
    #[must_use]
    pub const fn is_good(&self, now_ms: i64) -> bool {
        self.revoked_ms.is_none() && now_ms < self.expires_ms
    }

    /// Whether it is for a system.
    #[must_use]
    pub fn is_for(&self, system: &SystemName) -> bool {
        self.systems.is_empty() || self.systems.contains(system)
    }
}

/// What becomes of a token.
#[derive(Debug, Clone)]
pub enum TokenNote {
    /// It is made.
    Made(Token),
    /// It was used.
    Used {
        /// Its name.
        name: String,
        /// When.
        at_ms: i64,
    },
    /// Somebody ends it.
    Revoked {
        /// Its name.
        name: String,
        /// When.
        at_ms: i64,
    },
}
