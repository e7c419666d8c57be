//! Who has signed in: the sessions of people, which are rows of the store, the link that begins one, and what tokens of programs are.
//! Only the hashes of their secrets are kept.

use std::{
    io,
    sync::{Mutex, MutexGuard, PoisonError},
};

use axum::http::{HeaderMap, header};

use super::{
    problem::{Problem, ProblemKind},
    secret::{Hash, derived, random, sha256},
};
use crate::{
    house::{House, now_ms},
    store::{Session, SessionNote, SessionOwner, StoreError, TokenHash},
};

/// What every token begins with, so that whoever finds one knows what it is.
pub const TOKEN_PREFIX: &str = "tide_";

/// After so long a session ends anyway.
const LONGEST_MS: i64 = 7 * 24 * 60 * 60 * 1_000;
/// How many one person has at once: the one that was used longest ago ends for one more.
const MOST_SESSIONS: u32 = 32;
/// How long the use of a session or token may go unnoted.
pub(super) const NOTED_EVERY_MS: i64 = 60_000;
/// How much of what a browser says of itself is kept, in characters.
const LONGEST_BROWSER: usize = 200;

/// The link that begins the next session of the user whose server this is, and what ends with the server.
#[derive(Default)]
pub(super) struct Links(Mutex<Known>);

#[derive(Default)]
struct Known {
    link: Option<Hash>,
    /// What tells this server from those before it.
    server: Option<String>,
}

impl Links {
    /// A new secret for the link. The one before is good no more.
    pub(super) fn new_link(&self) -> io::Result<String> {
        let (secret, server) = (random()?, random()?);
        let mut known = self.lock();
        known.link = Some(sha256(&secret));
        known.server.get_or_insert(server);
        Ok(secret)
    }

    /// Takes the secret of the link, which is good once. Whose session begins.
    pub(super) fn take(&self, link: &str) -> Option<SessionOwner> {
        let mut known = self.lock();
        known.link.take_if(|expected| *expected == sha256(link))?;
        Some(SessionOwner::Link { server: known.server.clone()? })
    }

    /// Whether a session that ends with its server is of this one.
    pub(super) fn is_this(&self, server: &str) -> bool {
        self.lock().server.as_deref() == Some(server)
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Begins a session. Its secret, which is shown to nobody but the browser.
pub(super) async fn begin(house: &House, owner: SessionOwner, headers: &HeaderMap) -> Result<String, Problem> {
    let no_bits = |error: io::Error| Problem::new(ProblemKind::Unavailable, error.to_string());
    let (secret, id) = (random().map_err(no_bits)?, random().map_err(no_bits)?);
    let browser = headers.get(header::USER_AGENT).and_then(|said| said.to_str().ok()).unwrap_or_default();
    let now_ms = now_ms();
    let session = Session {
        id: id.chars().take(22).collect(),
        hash: hash_of(&secret),
        owner,
        browser: browser.chars().take(LONGEST_BROWSER).collect(),
        begun_ms: now_ms,
        used_ms: now_ms,
        ends_ms: now_ms + LONGEST_MS,
    };
    house.ledger.store().note(SessionNote::Begun { session, most: MOST_SESSIONS }.into()).await?;
    Ok(secret)
}

/// The session of a secret, while it lasts.
pub(super) async fn find(house: &House, secret: &str) -> Result<Option<Session>, StoreError> {
    let session = house.ledger.store().session(hash_of(secret)).await?;
    Ok(session.filter(|session| session.is_good(now_ms())))
}

/// Notes that a session is used.
pub(super) async fn note_use(house: &House, session: &Session) {
    let at_ms = now_ms();
    if at_ms - session.used_ms >= NOTED_EVERY_MS {
        let used = SessionNote::Used { id: session.id.clone(), at_ms };
        if let Err(error) = house.ledger.store().note(used.into()).await {
            tracing::debug!(%error, "the use of a session was not noted");
        }
    }
}

/// What the pages of a session send with a command. A page of another origin cannot read it.
pub(super) fn page_token(secret: &str) -> String {
    derived(secret, "page")
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

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_good_once_and_the_newest_only() {
        let links = Links::default();
        assert_eq!(links.take(""), None, "there is no link yet");
        let (old, link) = (links.new_link().unwrap(), links.new_link().unwrap());
        assert_eq!(links.take(&old), None);
        let Some(SessionOwner::Link { server }) = links.take(&link) else { panic!("it is good") };
        assert!(links.take(&link).is_none(), "once");
        assert!(links.is_this(&server) && !Links::default().is_this(&server));
    }

    #[test]
    fn a_page_token_is_of_one_session() {
        assert_eq!(page_token("a"), page_token("a"));
        assert_ne!(page_token("a"), page_token("b"));
    }
}
