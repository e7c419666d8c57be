//! One call of a server: its path from the table of routes, its answer as a document or as the problem that it says.

use std::{path::Path, time::Duration};

use anyhow::{Context, bail};
use reqwest::{Response, StatusCode, header};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    providers::Secret,
    web::{
        Problem, ProblemKind,
        routes::{Method, Route, encoded},
    },
};

/// How long a server may take until it is connected.
const CONNECTED_WITHIN: Duration = Duration::from_secs(10);
/// How long an answer may take.
const ANSWERED_WITHIN: Duration = Duration::from_secs(120);
/// How long an answer may be, in bytes.
const MOST_BYTES: usize = 64 << 20;
/// How long the file of a token may be, in bytes.
const MOST_TOKEN_BYTES: u64 = 4 * 1024;
/// The longest wait that a server may ask for.
const WAITS_AT_MOST: Duration = Duration::from_secs(30);
/// How often a command is asked whose answer was lost: its key makes that one command.
const TRIES: u32 = 3;

/// A server that is asked.
pub(in crate::cli) struct Client {
    url: String,
    token: Secret,
    http: reqwest::Client,
}

/// What a server said in place of an answer: its words.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.detail)]
pub(in crate::cli) struct ServerSaid(pub(in crate::cli) Problem);

impl ServerSaid {
    /// Whether it was refused, and nothing was changed.
    pub(in crate::cli) const fn is_refused(&self) -> bool {
        matches!(self.0.kind, ProblemKind::Refused | ProblemKind::Forbidden | ProblemKind::Moved)
    }
}

impl Client {
    /// A server at a URL, and the token that is shown to it: from a file, or else from `TIDEGATE_TOKEN`.
    ///
    /// # Errors
    /// When there is no token, or the URL is none.
    pub(in crate::cli) fn new(url: &str, token_file: Option<&Path>) -> anyhow::Result<Self> {
        if !url.starts_with("http://") && !url.starts_with("https://") {
            bail!("`{url}` is no server's URL: write it as `https://tidegate.example.com`");
        }
        let token = match token_file {
            Some(path) => read_token(path)?,
            None => std::env::var("TIDEGATE_TOKEN").unwrap_or_default(),
        };
        let token = token.trim();
        if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            bail!(
                "there is no token to show to {url}: `tidegate token create` on its machine makes one; name its file as \
                 `--token-file`, or put it into TIDEGATE_TOKEN"
            );
        }
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECTED_WITHIN)
            .timeout(ANSWERED_WITHIN)
            // A token goes to the server that was named, and to no other.
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("tidegate/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self { url: url.trim_end_matches('/').to_owned(), token: Secret::new(token), http })
    }

    /// Where it is.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Asks a question.
    ///
    /// # Errors
    /// [`ServerSaid`] with the server's words; or that it cannot be asked.
    pub(in crate::cli) async fn ask<T: DeserializeOwned>(
        &self,
        route: &Route,
        parts: &[(&str, &str)],
        query: &[(&str, String)],
    ) -> anyhow::Result<T> {
        let bytes = self.bytes(route, parts, query).await?;
        serde_json::from_slice(&bytes).with_context(|| format!("{} answers what this tidegate does not know", self.url))
    }

    /// The same, where the answer is no document.
    pub(in crate::cli) async fn bytes(
        &self,
        route: &Route,
        parts: &[(&str, &str)],
        query: &[(&str, String)],
    ) -> anyhow::Result<Vec<u8>> {
        let query: Vec<String> =
            query.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value))).collect();
        let mark = if query.is_empty() { "" } else { "?" };
        let at = format!("{}{}{mark}{}", self.url, route.at(parts), query.join("&"));
        let mut tries = 0;
        loop {
            tries += 1;
            let sent = self.http.get(&at).bearer_auth(self.token.expose()).send().await;
            match read(sent.map_err(|error| self.unasked(error))?).await {
                Err(error) if tries < TRIES && has_waited(&error).await => {}
                answered => return answered,
            }
        }
    }

    /// Asks for a command. Where its answer is lost it is asked again under its key, which does it once.
    ///
    /// # Errors
    /// Those of [`Client::ask`].
    pub(in crate::cli) async fn command<T: DeserializeOwned>(
        &self,
        route: &Route,
        parts: &[(&str, &str)],
        body: &impl Serialize,
        key: Option<&str>,
    ) -> anyhow::Result<T> {
        debug_assert_eq!(route.method, Method::Post, "a command is posted");
        let (at, body) = (format!("{}{}", self.url, route.at(parts)), serde_json::to_vec(body)?);
        let mut tries = 0;
        loop {
            tries += 1;
            let mut request = self.http.post(&at).bearer_auth(self.token.expose());
            request = request.header(header::CONTENT_TYPE, "application/json").body(body.clone());
            if let Some(key) = key {
                request = request.header("Idempotency-Key", key);
            }
            match request.send().await {
                Ok(response) => {
                    let bytes = match read(response).await {
                        Err(error) if tries < TRIES && has_waited(&error).await => continue,
                        answered => answered?,
                    };
                    let unknown = || format!("{} answers what this tidegate does not know", self.url);
                    return serde_json::from_slice(&bytes).with_context(unknown);
                }
                Err(error) if key.is_some() && tries < TRIES && !error.is_connect() => {}
                Err(error) => return Err(self.unasked(error)),
            }
        }
    }

    fn unasked(&self, error: reqwest::Error) -> anyhow::Error {
        let what = format!("{} cannot be asked", self.url);
        anyhow::Error::new(error.without_url()).context(what)
    }
}

/// Waits as long as the server says, where it says that this is all that it takes. Nothing was done meanwhile.
async fn has_waited(error: &anyhow::Error) -> bool {
    let said = error.downcast_ref::<ServerSaid>().and_then(|ServerSaid(problem)| problem.again_after_s);
    let Some(wait) = said.map(u64::from).map(Duration::from_secs).filter(|wait| *wait <= WAITS_AT_MOST) else {
        return false;
    };
    tokio::time::sleep(wait).await;
    true
}

/// What a server answered, or what it said in place of an answer.
async fn read(mut response: Response) -> anyhow::Result<Vec<u8>> {
    let status = response.status();
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.context("the answer broke off")? {
        if bytes.len() + chunk.len() > MOST_BYTES {
            bail!("the answer is longer than {MOST_BYTES} bytes");
        }
        bytes.extend_from_slice(&chunk);
    }
    if status == StatusCode::OK {
        return Ok(bytes);
    }
    match serde_json::from_slice::<Problem>(&bytes) {
        Ok(problem) => Err(ServerSaid(problem).into()),
        Err(_) => bail!("the server says {status}, and no tidegate says so: is it one?"),
    }
}

fn read_token(path: &Path) -> anyhow::Result<String> {
    use std::io::Read as _;
    let mut token = String::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(MOST_TOKEN_BYTES).read_to_string(&mut token))
        .with_context(|| format!("cannot read the token in {}", path.display()))?;
    Ok(token)
}
