//! What is asked of GitHub without being its App: the few addresses of its pages, and of its API before there is an App. Each
//! answer is read up to a bound, within a deadline, and from nowhere else than it was asked.

use std::time::Duration;

use reqwest::{Client, RequestBuilder, StatusCode, header, redirect::Policy};
use serde::de::DeserializeOwned;

use super::Addresses;
use crate::providers::{files::reasons, http_check::is_local};

/// How long GitHub may take to answer.
const WITHIN: Duration = Duration::from_secs(15);
/// How long it may take to be reached.
const REACHED_WITHIN: Duration = Duration::from_secs(5);
/// How long an answer may be, in bytes: an App with its key has a few thousand.
const MOST_BYTES: usize = 256 * 1_024;
/// The version of the API that is spoken.
const API_VERSION: &str = "2022-11-28";

/// Why GitHub has not answered as it should.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unanswered {
    /// It says no: with which status, and in which words.
    Refused(u16, String),
    /// It cannot be reached, is not well, or answers what nobody can read.
    Down(String),
}

/// What asks a GitHub.
pub(super) struct Asking {
    client: Client,
    host: String,
}

impl Asking {
    pub(super) fn of(addresses: &Addresses) -> Result<Self, Unanswered> {
        let client = Client::builder()
            .redirect(Policy::none())
            .timeout(WITHIN)
            .connect_timeout(REACHED_WITHIN)
            .user_agent(concat!("tidegate/", env!("CARGO_PKG_VERSION")));
        let local = reqwest::Url::parse(&addresses.pages).is_ok_and(|url| url.host_str().is_some_and(is_local));
        // This machine is not behind its own proxy.
        let client = if local { client.no_proxy() } else { client };
        let client = client.build().map_err(|error| Unanswered::Down(error.to_string()))?;
        Ok(Self { client, host: addresses.host.clone() })
    }

    /// Asks the API.
    pub(super) fn api(&self, method: reqwest::Method, url: &str) -> RequestBuilder {
        let request = self.client.request(method, url).header("X-GitHub-Api-Version", API_VERSION);
        request.header(header::ACCEPT, "application/vnd.github+json")
    }

    /// Sends a form to a page, which answers in JSON.
    pub(super) fn form(&self, url: &str, fields: &[(&str, &str)]) -> RequestBuilder {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let request = self.client.post(url).header(header::ACCEPT, "application/json").body(body);
        request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
    }

    /// The answer. What it says is never quoted in an error: it may be a secret.
    pub(super) async fn answer<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, Unanswered> {
        let host = &self.host;
        let failed = |error: reqwest::Error| Unanswered::Down(format!("{host}: {}", reasons(&error.without_url())));
        let mut response = request.send().await.map_err(failed)?;
        let status = response.status();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            body.extend_from_slice(&chunk);
            if body.len() > MOST_BYTES {
                return Err(Unanswered::Down(format!("{host} answers more than {MOST_BYTES} bytes")));
            }
        }
        if status.is_success() {
            let unread = |_| Unanswered::Down(format!("{host} answers what cannot be read"));
            return serde_json::from_slice(&body).map_err(unread);
        }
        let passes = status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS || status.is_redirection();
        if passes {
            return Err(Unanswered::Down(format!("{host} answers {status}")));
        }
        Err(Unanswered::Refused(status.as_u16(), format!("{host} answers {status}")))
    }
}
