//! Asks a web address whether it is well. May not follow it elsewhere nor read without end.

use std::time::Duration;

use reqwest::redirect::Policy;

use crate::providers::{Fault, files};

/// As much of an answer as is read to find the expected text in.
const BODY_LIMIT_BYTES: usize = 1024 * 1024;
/// As much of an answer as is quoted.
const EXCERPT_LIMIT_CHARACTERS: usize = 500;

/// What to ask, and what must come back.
#[derive(Debug, Clone)]
pub struct Check {
    /// An `http` or `https` address, asked with GET.
    pub url: String,
    /// The status that must come back; without it, any 2xx.
    pub status: Option<u16>,
    /// A text that the first mebibyte of the body must contain.
    pub contains: Option<String>,
    /// Whether to follow redirects (10 at most); otherwise a redirect is an answer like any other.
    pub follow_redirects: bool,
    /// How long all of it may take.
    pub deadline: Duration,
}

/// An answer that is as it must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passed {
    /// The HTTP status.
    pub status: u16,
    /// The beginning of the body.
    pub excerpt: String,
}

/// Asks once. An address that cannot be reached, and an answer that is not as it must be, may be tried again: a
/// service that has just been deployed needs its time. A wrong address fails.
pub async fn check(check: &Check) -> Result<Passed, Fault> {
    let url = &check.url;
    let address = reqwest::Url::parse(url)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https"))
        .ok_or_else(|| Fault::fail(format!("GET {url}: not an http or https address"), "correct the address"))?;
    let redirects = if check.follow_redirects { Policy::limited(10) } else { Policy::none() };
    let client = reqwest::Client::builder().redirect(redirects).timeout(check.deadline);
    // This machine is not behind its own proxy.
    let client = if address.host_str().is_some_and(is_local) { client.no_proxy() } else { client };
    let client = client.build().map_err(|error| Fault::retry(format!("GET {url}: {}", files::reasons(&error))))?;

    let failed = |error: reqwest::Error| Fault::retry(format!("GET {url}: {}", files::reasons(&error)));
    let mut response = client.get(address).send().await.map_err(failed)?;
    let status = response.status();
    let mut body = Vec::new();
    while body.len() < BODY_LIMIT_BYTES {
        let Some(chunk) = response.chunk().await.map_err(failed)? else { break };
        body.extend_from_slice(&chunk);
    }
    body.truncate(BODY_LIMIT_BYTES);
    let body = String::from_utf8_lossy(&body);
    let excerpt: String = body.chars().take(EXCERPT_LIMIT_CHARACTERS).collect();

    let (as_expected, expected) = match check.status {
        Some(expected) => (status.as_u16() == expected, expected.to_string()),
        None => (status.is_success(), "2xx".to_owned()),
    };
    if !as_expected {
        return Err(Fault::retry(format!("GET {url}: answered {status}, expected {expected}; it said: {excerpt}")));
    }
    match &check.contains {
        Some(text) if !body.contains(text.as_str()) => {
            Err(Fault::retry(format!("GET {url}: answered {status} without {text:?}; it said: {excerpt}")))
        }
        _ => Ok(Passed { status: status.as_u16(), excerpt }),
    }
}

/// Whether this is a name or address of this machine.
pub(super) fn is_local(host: &str) -> bool {
    host == "localhost" || host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}
