//! Who has signed in in a browser, how, and until when. The secret of a session is not kept.

use std::collections::BTreeSet;

use super::TokenHash;

/// After so long without a call a session ends.
pub(super) const IDLE_MS: i64 = 12 * 60 * 60 * 1_000;

/// A session, as it is kept. Times are in milliseconds since 1970, UTC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// What it is called where sessions are listed and ended. It signs nobody in.
    pub id: String,
    /// What tells its secret.
    pub hash: TokenHash,
    /// Whose it is.
    pub owner: SessionOwner,
    /// What the browser said that it is.
    pub browser: String,
    /// When it began.
    pub begun_ms: i64,
    /// When it was last used, to the minute.
    pub used_ms: i64,
    /// When it ends, however much it is used.
    pub ends_ms: i64,
}

/// Whose a session is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionOwner {
    /// Whoever opened the link of a server. It ends with that server.
    Link {
        /// The server, by the name that it drew when it began.
        server: String,
    },
    /// Somebody for whom an issuer speaks.
    Issuer(Identity),
}

/// Somebody, as an issuer knows them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The issuer's name in the settings.
    pub issuer: String,
    /// What the issuer never gives to anybody else: the claim `sub`.
    pub subject: String,
    /// What the claim says that tells the person.
    pub person: String,
    /// The groups, as the issuer names them.
    pub groups: BTreeSet<String>,
}

impl SessionOwner {
    /// Whether both are the same one's, whatever the issuer says of them now.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Link { server }, Self::Link { server: other }) => server == other,
            (Self::Issuer(one), Self::Issuer(other)) => one.issuer == other.issuer && one.subject == other.subject,
            (Self::Link { .. }, Self::Issuer(_)) | (Self::Issuer(_), Self::Link { .. }) => false,
        }
    }
}

impl Session {
    /// When it ends unless it is used.
    #[must_use]
    pub const fn idle_end_ms(&self) -> i64 {
        let idle = self.used_ms.saturating_add(IDLE_MS);
        if idle < self.ends_ms { idle } else { self.ends_ms }
    }

    /// Whether it lasts.
    #[must_use]
    pub const fn is_good(&self, now_ms: i64) -> bool {
        now_ms < self.idle_end_ms()
    }
}

/// What becomes of a session.
#[derive(Debug, Clone)]
pub enum SessionNote {
    /// It begins. Those that have ended by now are forgotten, and the ones of its owner that were used longest ago beyond so many.
    Begun {
        /// The session.
        session: Session,
        /// How many one owner has.
        most: u32,
    },
    /// It was used.
    Used {
        /// Which.
        id: String,
        /// When.
        at_ms: i64,
    },
    /// It ends.
    Ended {
        /// Which.
        id: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_ends_when_it_is_not_used_and_at_last() {
        let owner = SessionOwner::Link { server: "s".to_owned() };
        let (id, browser, hash) = (String::new(), String::new(), TokenHash([0; 32]));
        let mut session = Session { id, hash, owner, browser, begun_ms: 0, used_ms: 0, ends_ms: 2 * IDLE_MS };
        assert!(session.is_good(IDLE_MS - 1) && !session.is_good(IDLE_MS));
        session.used_ms = 2 * IDLE_MS - 1;
        assert!(session.is_good(2 * IDLE_MS - 1) && !session.is_good(2 * IDLE_MS));
    }

    #[test]
    fn an_owner_is_who_the_issuer_says_and_not_what_they_are_called() {
        let of = |issuer: &str, subject: &str, person: &str| {
            let (issuer, subject, person) = (issuer.to_owned(), subject.to_owned(), person.to_owned());
            SessionOwner::Issuer(Identity { issuer, subject, person, groups: BTreeSet::new() })
        };
        assert!(of("a", "1", "grace").is(&of("a", "1", "hopper")));
        assert!(!of("a", "1", "grace").is(&of("b", "1", "grace")) && !of("a", "1", "grace").is(&of("a", "2", "grace")));
        assert!(!of("a", "1", "grace").is(&SessionOwner::Link { server: "a".to_owned() }));
    }
}
