//! Something that leads a browser to somebody else and back, and has begun and not ended: a sign-in. All of it is in a cookie of the browser that began it: what is sent to the issuer follows from
//! a secret that nobody else has, so that a state, a nonce and a verifier belong to one browser, one issuer and one moment.

use std::{
    collections::BTreeMap,
    io,
    sync::{Mutex, PoisonError},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use super::secret::{Hash, derived, random, sha256};

/// How long a sign-in may take.
pub(super) const LASTS_MS: i64 = 10 * 60 * 1_000;
/// The longest that anything of this kind may take.
pub(super) const LONGEST_MS: i64 = 60 * 60 * 1_000;
/// How many that ended are remembered, so that none ends twice. Beyond that the oldest is forgotten: an issuer takes its own code once
/// too.
const MOST_ENDED: usize = 4_096;
/// How long the place to return to may be, in bytes.
const LONGEST_PLACE: usize = 1_024;

/// A sign-in that has begun.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Attempt {
    secret: String,
    /// With which issuer, by its name.
    pub(super) issuer: String,
    /// Where to go afterwards.
    pub(super) to: String,
    begun_ms: i64,
}

impl Attempt {
    /// One that begins.
    pub(super) fn begin(issuer: &str, to: &str, now_ms: i64) -> io::Result<Self> {
        Ok(Self { secret: random()?, issuer: issuer.to_owned(), to: place(to).to_owned(), begun_ms: now_ms })
    }

    /// What the browser keeps.
    pub(super) fn cookie(&self) -> String {
        let Self { secret, issuer, to, begun_ms } = self;
        format!("{secret}.{begun_ms}.{issuer}.{}", URL_SAFE_NO_PAD.encode(to))
    }

    /// What a browser has kept, unless that was too long ago.
    pub(super) fn of_cookie(cookie: &str, lasts_ms: i64, now_ms: i64) -> Option<Self> {
        let mut parts = cookie.split('.');
        let (secret, begun, issuer, to) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let to = String::from_utf8(URL_SAFE_NO_PAD.decode(to).ok()?).ok()?;
        let begun_ms =
            begun.parse().ok().filter(|begun_ms| (0..lasts_ms).contains(&now_ms.saturating_sub(*begun_ms)))?;
        let is_whole = parts.next().is_none() && secret.len() == 43;
        is_whole.then(|| Self {
            secret: secret.to_owned(),
            issuer: issuer.to_owned(),
            to: place(&to).to_owned(),
            begun_ms,
        })
    }

    /// What the issuer hands back with the browser. It covers all that the browser has kept.
    pub(super) fn state(&self) -> String {
        self.derived("state")
    }

    /// What the issuer puts into its token.
    pub(super) fn nonce(&self) -> String {
        self.derived("nonce")
    }

    /// With what the code is taken (PKCE).
    pub(super) fn verifier(&self) -> String {
        self.derived("verifier")
    }

    fn derived(&self, what: &str) -> String {
        let Self { secret, issuer, to, begun_ms } = self;
        derived(secret, &format!("{what}\n{issuer}\n{begun_ms}\n{to}"))
    }
}

/// A place of this server to go to; its first page where it is anything else. `//host` and `/\host` are other servers to a browser.
pub(super) fn place(to: &str) -> &str {
    let is_plain = to.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    let is_ours = to.starts_with('/') && !to.starts_with("//") && !to.starts_with("/sign-in");
    if is_plain && is_ours && to.len() <= LONGEST_PLACE { to } else { "/" }
}

/// The sign-ins that ended not long ago.
#[derive(Default)]
pub(super) struct Ended(Mutex<BTreeMap<Hash, i64>>);

impl Ended {
    /// Ends one. Whether it had not ended before.
    pub(super) fn end(&self, state: &str, now_ms: i64) -> bool {
        let mut ended = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        ended.retain(|_, at_ms| now_ms.saturating_sub(*at_ms) < LONGEST_MS);
        if ended.len() >= MOST_ENDED
            && let Some(oldest) = ended.iter().min_by_key(|(_, at_ms)| **at_ms).map(|(hash, _)| *hash)
        {
            ended.remove(&oldest);
        }
        ended.insert(sha256(state), now_ms).is_none()
    }

    /// It has not ended after all: nothing came of it, and it may be tried again.
    pub(super) fn take_back(&self, state: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&sha256(state));
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn only_places_of_this_server_are_returned_to() {
        for good in ["/", "/api/v1/systems?x=1#y", "/a//b", "/http://evil.example"] {
            assert_eq!(place(good), good);
        }
        let long = format!("/{}", "x".repeat(1_024));
        for bad in [
            "",
            "evil",
            "//evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "https://evil.example",
            "javascript:alert(1)",
            "/\t/evil.example",
            "/a\r\nSet-Cookie: x=1",
            "/ä",
            " /",
            "/sign-in/corp",
            long.as_str(),
        ] {
            assert_eq!(place(bad), "/", "{bad:?}");
        }
    }

    #[test]
    fn an_attempt_is_one_browsers_for_a_while() {
        let attempt = Attempt::begin("corp", "/api", 5).unwrap();
        let other = Attempt::begin("corp", "/api", 5).unwrap();
        assert!(attempt.state() != other.state() && attempt.nonce() != other.nonce());
        assert!(attempt.state() != attempt.nonce() && attempt.nonce() != attempt.verifier());
        let cookie = attempt.cookie();
        let again = Attempt::of_cookie(&cookie, LASTS_MS, 6).unwrap();
        assert!(again == attempt && again.state() == attempt.state());
        assert!(
            Attempt::of_cookie(&cookie, LASTS_MS, 5 + LASTS_MS).is_none()
                && Attempt::of_cookie(&cookie, LASTS_MS, 4).is_none()
        );
        // Whoever changes a part of it has another state.
        for (part, change) in [(".corp.", ".evil."), (".5.", ".6.")] {
            let changed = Attempt::of_cookie(&cookie.replace(part, change), LASTS_MS, 6).unwrap();
            assert_ne!(changed.state(), attempt.state());
        }
        for bad in ["", "x", "....", &cookie[1..], &format!("{cookie}.x"), &cookie.replace(".5.", ".x.")] {
            assert!(Attempt::of_cookie(bad, LASTS_MS, 6).is_none(), "{bad}");
        }
    }

    #[test]
    fn an_attempt_ends_once() {
        let ended = Ended::default();
        assert!(ended.end("a", 0) && !ended.end("a", 1) && ended.end("b", 1));
        ended.take_back("a");
        assert!(ended.end("a", 2) && !ended.end("a", 3));
        for number in 0..MOST_ENDED + 100 {
            ended.end(&number.to_string(), 2);
        }
        assert!(ended.0.lock().unwrap().len() <= MOST_ENDED);
    }
}
