//! Who has signed in: the sessions of people, which end with the server, and what tokens of programs are. Secrets are 256 random
//! bits, and only their hashes are compared: how long that takes tells nothing of the secret.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read as _},
    sync::{Mutex, MutexGuard, PoisonError},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest as _, Sha256};

use crate::store::TokenHash;

/// What every token begins with, so that whoever finds one knows what it is.
pub const TOKEN_PREFIX: &str = "tide_";

const HOUR_MS: i64 = 60 * 60 * 1_000;
/// After so long without a call a session ends.
const IDLE_MS: i64 = 12 * HOUR_MS;
/// After so long it ends anyway.
const LONGEST_MS: i64 = 7 * 24 * HOUR_MS;
/// How many there are at once: the oldest ends for one more.
const MOST_SESSIONS: usize = 256;

/// A session, while it lasts.
#[derive(Debug, Clone, Copy)]
struct Session {
    begun_ms: i64,
    used_ms: i64,
}

/// The hash of a secret.
type Hash = [u8; 32];

/// The sessions of one server, and the link that begins the next.
#[derive(Default)]
pub(super) struct Sessions(Mutex<Known>);

#[derive(Default)]
struct Known {
    sessions: BTreeMap<Hash, Session>,
    link: Option<Hash>,
}

impl Sessions {
    /// A new secret for the link. The one before is good no more.
    pub(super) fn new_link(&self) -> io::Result<String> {
        let secret = random()?;
        self.lock().link = Some(sha256(&secret));
        Ok(secret)
    }

    /// Begins a session for whoever has the secret of the link, which is good once. The session's own secret.
    pub(super) fn begin(&self, link: &str, now_ms: i64) -> io::Result<Option<String>> {
        let secret = random()?;
        let mut known = self.lock();
        if known.link.take_if(|expected| *expected == sha256(link)).is_none() {
            return Ok(None);
        }
        if known.sessions.len() >= MOST_SESSIONS
            && let Some(oldest) =
                known.sessions.iter().min_by_key(|(_, session)| session.used_ms).map(|(hash, _)| *hash)
        {
            known.sessions.remove(&oldest);
        }
        known.sessions.insert(sha256(&secret), Session { begun_ms: now_ms, used_ms: now_ms });
        Ok(Some(secret))
    }

    /// Whether a session lasts; it is used now.
    pub(super) fn is_good(&self, secret: &str, now_ms: i64) -> bool {
        let mut known = self.lock();
        known
            .sessions
            .retain(|_, session| now_ms - session.used_ms < IDLE_MS && now_ms - session.begun_ms < LONGEST_MS);
        let session = known.sessions.get_mut(&sha256(secret));
        session.map(|session| session.used_ms = session.used_ms.max(now_ms)).is_some()
    }

    /// Ends a session.
    pub(super) fn end(&self, secret: &str) {
        self.lock().sessions.remove(&sha256(secret));
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A new token, and what is kept of it.
///
/// # Errors
/// When this machine gives no random bytes.
pub fn new_token() -> io::Result<(String, TokenHash)> {
    let token = format!("{TOKEN_PREFIX}{}", random()?);
    let hash = hash_of(&token);
    Ok((token, hash))
}

/// What is kept of a token.
#[must_use]
pub fn hash_of(token: &str) -> TokenHash {
    TokenHash(sha256(token))
}

fn sha256(secret: &str) -> Hash {
    Sha256::digest(secret.as_bytes()).into()
}

/// 256 random bits as text.
fn random() -> io::Result<String> {
    let mut bytes = [0; 32];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_good_once_and_the_newest_only() {
        let sessions = Sessions::default();
        assert_eq!(sessions.begin("", 0).unwrap(), None, "there is no link yet");
        let (old, link) = (sessions.new_link().unwrap(), sessions.new_link().unwrap());
        assert_eq!(sessions.begin(&old, 0).unwrap(), None);
        let session = sessions.begin(&link, 0).unwrap().unwrap();
        assert_eq!(sessions.begin(&link, 0).unwrap(), None, "once");
        assert!(sessions.is_good(&session, 1) && !sessions.is_good(&link, 1));
        sessions.end(&session);
        assert!(!sessions.is_good(&session, 1));
    }

    #[test]
    fn a_session_ends_when_it_is_not_used_and_at_last() {
        let sessions = Sessions::default();
        let begin = || sessions.begin(&sessions.new_link().unwrap(), 0).unwrap().unwrap();
        let session = begin();
        assert!(sessions.is_good(&session, IDLE_MS - 1));
        assert!(!sessions.is_good(&session, 2 * IDLE_MS));
        let session = begin();
        let used = (1..LONGEST_MS / HOUR_MS).all(|hour| sessions.is_good(&session, hour * HOUR_MS));
        assert!(used && !sessions.is_good(&session, LONGEST_MS));
    }

    #[test]
    fn only_so_many_sessions_last() {
        let sessions = Sessions::default();
        let begin = |at_ms| sessions.begin(&sessions.new_link().unwrap(), at_ms).unwrap().unwrap();
        let first = begin(0);
        for at_ms in 1..=256 {
            begin(at_ms);
        }
        assert!(!sessions.is_good(&first, 257));
    }
}
