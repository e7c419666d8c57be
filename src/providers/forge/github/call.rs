//! The one way to GitHub's API: one call, one answer. Bounded in time and bytes, sent once and never again by itself: whoever
//! asks knows when to. Documented at <https://docs.github.com/en/rest/using-the-rest-api>.

use std::{error::Error as _, pin::Pin, sync::OnceLock, time::Duration};

use chrono::{DateTime, Utc};
use hyper::{HeaderMap, Method, Request, StatusCode, body::Body as _, header};
use octocrab::{Octocrab, models::AppId};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::timeout;

use super::{
    address::Addresses,
    settings::Access,
    verdict::{Refused, date, quoted, text, verdict},
};
use crate::providers::{Fault, Secret, http_check::is_local};

/// How long a whole call may take, however busily its bytes come.
const LONGEST_CALL: Duration = Duration::from_secs(300);
/// How often one question is sent elsewhere.
const MOST_REDIRECTS: usize = 3;
const AGENT: &str = concat!("tidegate/", env!("CARGO_PKG_VERSION"));

/// What is asked of GitHub's patience, and of ours.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// How long nothing is heard until a call is given up.
    pub silence: Duration,
    /// How long an answer is at most, in bytes. A page of 100 check runs with long summaries is some 7 MB.
    pub answer_bytes: usize,
    /// How many writes of one installation may come at once.
    pub writes_at_once: u32,
    /// The pause between writes beyond those.
    pub write_every: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            silence: Duration::from_secs(60),
            answer_bytes: 16 * 1_024 * 1_024,
            writes_at_once: 5,
            write_every: Duration::from_secs(1),
        }
    }
}

/// A question.
#[derive(Debug, Clone)]
pub(super) struct Ask {
    pub(super) method: Method,
    /// Below the API's address, with the query.
    pub(super) path: String,
    pub(super) body: Option<Value>,
}

impl Ask {
    pub(super) fn get(path: impl Into<String>) -> Self {
        Self { method: Method::GET, path: path.into(), body: None }
    }

    pub(super) fn post(path: impl Into<String>, body: Value) -> Self {
        Self { method: Method::POST, path: path.into(), body: Some(body) }
    }

    pub(super) fn patch(path: impl Into<String>, body: Value) -> Self {
        Self { method: Method::PATCH, path: path.into(), body: Some(body) }
    }

    pub(super) fn writes(&self) -> bool {
        self.method != Method::GET
    }

    /// What was tried, for people: without the query.
    pub(super) fn tried(&self) -> String {
        format!("GitHub, {} {}", self.method, self.path.split('?').next().unwrap_or_default())
    }
}

/// An answer that is a success.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub(super) tried: String,
    pub(super) body: Value,
    /// The path of the next page.
    pub(super) next: Option<String>,
    pub(super) etag: Option<String>,
    /// Nothing has changed since the answer with the ETag that was sent.
    pub(super) unchanged: bool,
    /// GitHub's clock.
    pub(super) at: Option<DateTime<Utc>>,
    /// The number of the repository, where it was asked for by a name that it has no more.
    pub(super) moved_to: Option<u64>,
}

impl Answer {
    /// What is in it.
    pub(super) fn read<T: DeserializeOwned>(&self) -> Result<T, Refused> {
        T::deserialize(&self.body).map_err(|error| {
            Refused::unheard(&self.tried, &format!("it answers something else than expected ({error})"))
        })
    }
}

/// As whom one call is made.
pub(super) enum As<'secret> {
    /// The App itself, by a JWT.
    App,
    /// Whoever has this token.
    Token(&'secret Secret),
}

/// What calls.
pub(super) struct Line {
    addresses: Addresses,
    access: Access,
    pub(super) limits: Limits,
    /// Made at the first call: it needs the runtime.
    octocrab: OnceLock<Octocrab>,
}

/// What came, before it is judged.
struct Came {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Line {
    pub(super) const fn new(addresses: Addresses, access: Access, limits: Limits) -> Self {
        Self { addresses, access, limits, octocrab: OnceLock::new() }
    }

    /// Whether there is an App to ask as whose key can be read.
    pub(super) fn check(&self) -> Result<(), Fault> {
        if let Access::App { key, .. } = &self.access {
            octocrab::EncodingKey::from_rsa_pem(key.expose().as_bytes()).map_err(|error| {
                Fault::fail(
                    format!("the App's private key cannot be used: {error}"),
                    "name the file that GitHub gave as `private_key_file`: PEM that begins with `-----BEGIN RSA PRIVATE KEY-----`",
                )
            })?;
        }
        Ok(())
    }

    /// Asks once. A redirect within this GitHub is followed: what is redirected had no effect.
    pub(super) async fn call(
        &self,
        who: &As<'_>,
        whom: &str,
        ask: &Ask,
        etag: Option<&str>,
    ) -> Result<Answer, Refused> {
        let tried = ask.tried();
        let (mut path, mut moved_to) = (ask.path.clone(), None);
        for _ in 0..=MOST_REDIRECTS {
            let came = self.send(who, ask, &path, etag, &tried).await?;
            match came.status {
                status if status.is_success() || (status == StatusCode::NOT_MODIFIED && etag.is_some()) => {
                    return self.answer(came, tried, moved_to);
                }
                status if status.is_redirection() && status != StatusCode::NOT_MODIFIED => {
                    let to = text(&came.headers, "location").and_then(|to| self.path_of(to));
                    path = to.ok_or_else(|| {
                        let error = format!("{tried}: GitHub sends it to another server ({status})");
                        Refused::unsent(Fault::fail(error, "check `url` of [forges.github]"))
                    })?;
                    moved_to = moved_to.or_else(|| number_of(&path));
                }
                status => return Err(verdict(&tried, whom, status, &came.headers, &came.body)),
            }
        }
        let error = format!("{tried}: it is sent on and on, {MOST_REDIRECTS} times by now");
        Err(Refused::unsent(Fault::fail(error, "check the repository's name in the rules")))
    }

    fn answer(&self, came: Came, tried: String, moved_to: Option<u64>) -> Result<Answer, Refused> {
        let Came { status, headers, body } = came;
        let unchanged = status == StatusCode::NOT_MODIFIED;
        let body = match body.is_empty() {
            true => Value::Null,
            false => serde_json::from_slice(&body).map_err(|_| {
                let is_page = text(&headers, "content-type").is_some_and(|kind| kind.starts_with("text/html"));
                let what = if is_page { "a page for browsers" } else { "what is no JSON" };
                Refused::unheard(&tried, &format!("it answers {status} with {what}"))
            })?,
        };
        let next = text(&headers, "link").and_then(|link| self.path_of(next(link)?));
        let etag = text(&headers, "etag").map(str::to_owned);
        Ok(Answer { tried, body, next, etag, unchanged, at: date(&headers), moved_to })
    }

    async fn send(
        &self,
        who: &As<'_>,
        ask: &Ask,
        path: &str,
        etag: Option<&str>,
        tried: &str,
    ) -> Result<Came, Refused> {
        let own = self.octocrab().map_err(Refused::unsent)?;
        let other;
        let octocrab = match who {
            As::App => own,
            As::Token(token) => {
                other = own
                    .user_access_token(token.expose())
                    .map_err(|error| Refused::unsent(Fault::retry(said(&error))))?;
                &other
            }
        };
        let mut request = Request::builder().method(ask.method.clone()).uri(path);
        request = request.header(header::ACCEPT, "application/vnd.github+json");
        if let Some(etag) = etag {
            request = request.header(header::IF_NONE_MATCH, etag);
        }
        let request = octocrab.build_request(request, ask.body.as_ref());
        let request =
            request.map_err(|error| Refused::unsent(Fault::fail(format!("{tried}: {}", said(&error)), "")))?;
        let unheard = |error: &octocrab::Error| Refused::unheard(tried, &said(error));
        let whole = async {
            let response = octocrab.execute(request).await.map_err(|error| match &error {
                octocrab::Error::JWT { .. } => {
                    Refused::unsent(Fault::fail(format!("{tried}: {}", said(&error)), "check the App's private key"))
                }
                error => unheard(error),
            })?;
            let (parts, mut body) = response.into_parts();
            let mut bytes = Vec::new();
            while let Some(frame) = std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
                let Ok(data) = frame.map_err(|error| unheard(&error))?.into_data() else { continue };
                if bytes.len() + data.len() > self.limits.answer_bytes {
                    let most = self.limits.answer_bytes;
                    return Err(Refused::unheard(
                        tried,
                        &format!("it answers more than {most} bytes, which is not read"),
                    ));
                }
                bytes.extend_from_slice(&data);
            }
            Ok(Came { status: parts.status, headers: parts.headers, body: bytes })
        };
        let late = || Refused::unheard(tried, &format!("no whole answer came within {LONGEST_CALL:?}"));
        timeout(LONGEST_CALL, whole).await.unwrap_or_else(|_| Err(late()))
    }

    fn octocrab(&self) -> Result<&Octocrab, Fault> {
        if let Some(made) = self.octocrab.get() {
            return Ok(made);
        }
        let made = self.make().map_err(|error| Fault::fail(format!("GitHub cannot be asked: {error}"), ""))?;
        // Whoever was first is used by all.
        Ok(self.octocrab.get_or_init(|| made))
    }

    fn make(&self) -> Result<Octocrab, String> {
        let Limits { silence, .. } = self.limits;
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .connect_timeout(silence)
            .read_timeout(silence)
            .user_agent(AGENT);
        let is_here = reqwest::Url::parse(&self.addresses.api).is_ok_and(|url| url.host_str().is_some_and(is_local));
        // This machine is not behind its own proxy.
        let client = if is_here { client.no_proxy() } else { client };
        let client = client.build().map_err(|error| error.to_string())?;
        let builder = Octocrab::builder().base_uri(&self.addresses.api).map_err(|error| said(&error))?;
        let builder = match &self.access {
            Access::App { id, key } => {
                builder.app_from_rsa_pem(AppId(*id), key.expose()).map_err(|error| said(&error))?
            }
            Access::Token(_) => builder,
        };
        builder.build_with_reqwest(client).map_err(|error| said(&error))
    }

    /// The path below the API's address of an address that GitHub gave: a token is sent nowhere else.
    fn path_of(&self, address: &str) -> Option<String> {
        let path = address.strip_prefix(&self.addresses.api)?;
        path.starts_with('/').then(|| path.to_owned())
    }
}

/// The number of the repository that a path is of.
fn number_of(path: &str) -> Option<u64> {
    path.strip_prefix("/repositories/")?.split(['/', '?']).next()?.parse().ok()
}

/// The address of the next page (RFC 8288).
fn next(link: &str) -> Option<&str> {
    link.split(',').find_map(|each| {
        let (address, rest) = each.trim().strip_prefix('<')?.split_once('>')?;
        rest.split(';').any(|parameter| parameter.trim() == "rel=\"next\"").then_some(address)
    })
}

/// An error of octocrab with its causes, without the trace that some of them carry.
fn said(error: &octocrab::Error) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let text = inner.to_string();
        let text = text.split("\n\nFound at").next().unwrap_or_default().to_owned();
        if !parts.last().is_some_and(|last| last.contains(&text)) {
            parts.push(text);
        }
        cause = inner.source();
    }
    if parts.is_empty() {
        parts.push(error.to_string());
    }
    quoted(&parts.join(": "))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn line(url: &str) -> Line {
        let key = |url: &str| url.trim_start_matches("https://").to_owned();
        Line::new(Addresses::of(url, key).unwrap(), Access::Token(Secret::new("x")), Limits::default())
    }

    #[test]
    fn a_token_goes_to_this_github_and_nowhere_else() {
        let (dot_com, own) = (line("https://github.com"), line("https://git.acme.example"));
        let path = |line: &Line, address: &str| line.path_of(address);
        assert_eq!(path(&dot_com, "https://api.github.com/repositories/1").as_deref(), Some("/repositories/1"));
        assert_eq!(path(&own, "https://git.acme.example/api/v3/user?page=2").as_deref(), Some("/user?page=2"));
        for elsewhere in [
            "https://evil.example/repositories/1",
            "https://api.github.com.evil.example/repositories/1",
            "https://api.github.com@evil.example/x",
            "http://api.github.com/repositories/1",
            "//evil.example/x",
            "/repositories/1",
        ] {
            assert_eq!(path(&dot_com, elsewhere), None, "{elsewhere}");
        }
    }

    #[test]
    fn the_next_page_is_that_of_rel_next() {
        let both = "<https://h/x?page=1>; rel=\"prev\", <https://h/x?page=3>; rel=\"next\"";
        assert_eq!(next(both), Some("https://h/x?page=3"));
        for none in ["", "<https://h/x>; rel=\"last\"", "<https://h/x", "rel=\"next\""] {
            assert_eq!(next(none), None, "{none}");
        }
        assert_eq!(number_of("/repositories/17/check-runs?x=1"), Some(17));
        assert_eq!(number_of("/repos/acme/shop"), None);
    }
}
