//! The batch API of Git LFS with its basic transfer (git-lfs, `docs/api/batch.md` and `basic-transfers.md`). Objects are asked
//! for in batches, and some are fetched at a time. Every answer that is not the object says what a person can do.

use super::super::read::shorten;
use super::super::remote::Credentials;
use super::endpoint::Endpoint;
use super::store::{Pointer, Store};
use crate::providers::Fault;
use reqwest::header::RETRY_AFTER;
use reqwest::{Client, RequestBuilder, Response, StatusCode, Url};
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

/// The media type of the API.
const MEDIA_TYPE: &str = "application/vnd.git-lfs+json";
/// How many objects are asked for at once; servers take at least a hundred.
const BATCH: usize = 100;
/// How many objects are fetched at a time.
const AT_A_TIME: usize = 4;
/// As much of an answer of the API as is read.
const MOST_ANSWER_BYTES: usize = 4 << 20;

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    transfer: Option<String>,
    #[serde(default)]
    objects: Vec<Answered>,
}

#[derive(Deserialize)]
struct Answered {
    oid: String,
    #[serde(default)]
    actions: Option<Actions>,
    #[serde(default)]
    error: Option<Refused>,
    #[serde(default)]
    authenticated: bool,
}

#[derive(Deserialize)]
struct Actions {
    download: Option<Action>,
}

#[derive(Deserialize)]
struct Action {
    href: String,
    #[serde(default)]
    header: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Refused {
    code: u16,
    #[serde(default)]
    message: String,
}

/// Fetches objects into the store.
pub(super) async fn fetch(
    mut endpoint: Endpoint,
    missing: Vec<Pointer>,
    store: Store,
    deadline: Instant,
) -> Result<(), Fault> {
    let url = endpoint.url.clone();
    let fetched = async {
        for batch in missing.chunks(BATCH) {
            let answer = ask(&mut endpoint, batch, deadline).await?;
            let mut answered: BTreeMap<String, Answered> =
                answer.objects.into_iter().map(|object| (object.oid.clone(), object)).collect();
            let mut tasks = JoinSet::new();
            for pointer in batch {
                let download = Download::of(&endpoint, pointer.clone(), answered.remove(&pointer.oid), &store)?;
                if tasks.len() == AT_A_TIME {
                    ended(tasks.join_next().await)?;
                }
                tasks.spawn(download.run());
            }
            while let Some(done) = tasks.join_next().await {
                ended(Some(done))?;
            }
        }
        Ok(())
    };
    match timeout_at(deadline, fetched).await {
        Ok(done) => done,
        Err(_) => Err(Fault::retry(format!("fetching LFS objects ({url}): no end before the deadline"))),
    }
}

fn ended(done: Option<Result<Result<(), Fault>, tokio::task::JoinError>>) -> Result<(), Fault> {
    match done {
        Some(Err(error)) => Err(Fault::retry(format!("fetching an LFS object broke off: {error}"))),
        Some(Ok(done)) => done,
        None => Ok(()),
    }
}

/// Asks where objects are. A server that asks who we are is told what git's credential helpers say.
async fn ask(endpoint: &mut Endpoint, batch: &[Pointer], deadline: Instant) -> Result<Answer, Fault> {
    let objects: Vec<_> =
        batch.iter().map(|pointer| json!({ "oid": pointer.oid, "size": pointer.size_bytes })).collect();
    let question =
        json!({ "operation": "download", "transfers": ["basic"], "objects": objects, "hash_algo": "sha256" });
    let tried = format!("asking the LFS server {} for {} objects", endpoint.url, batch.len());
    let address = format!("{}/objects/batch", endpoint.url);
    let mut response = None;
    for _ in 0..2 {
        let request = endpoint.client.post(&address).header("accept", MEDIA_TYPE).header("content-type", MEDIA_TYPE);
        let request = with(request, endpoint.credentials.as_ref()).body(question.to_string());
        let got = request.send().await.map_err(|error| failed(&tried, &error))?;
        let unknown = got.status() == StatusCode::UNAUTHORIZED && endpoint.credentials.is_none();
        response = Some(got);
        if !unknown {
            break;
        }
        endpoint.credentials = endpoint.ask_credentials(deadline).await;
        if endpoint.credentials.is_none() {
            break;
        }
    }
    let Some(mut response) = response else { return Err(Fault::retry(tried)) };
    let body = body(&mut response, MOST_ANSWER_BYTES, &tried).await?;
    if !response.status().is_success() {
        return Err(refused(&tried, response.status().as_u16(), &said(&body), after(&response)));
    }
    let answer: Answer = serde_json::from_slice(&body).map_err(|error| {
        Fault::fail(
            format!("{tried}: the answer is not that of an LFS server: {error}"),
            "the host may have no LFS, or a proxy answers in its place; or write `lfs: pointers`",
        )
    })?;
    match answer.transfer.as_deref() {
        None | Some("basic") => Ok(answer),
        Some(other) => Err(Fault::fail(
            format!("{tried}: it wants the transfer `{other}`, and `basic` was offered"),
            "let the LFS server offer basic transfers",
        )),
    }
}

/// One object on its way.
struct Download {
    client: Client,
    url: Url,
    header: BTreeMap<String, String>,
    credentials: Option<Credentials>,
    pointer: Pointer,
    store: Arc<Store>,
}

impl Download {
    fn of(endpoint: &Endpoint, pointer: Pointer, answered: Option<Answered>, store: &Store) -> Result<Self, Fault> {
        let tried = format!("the LFS object {} ({} bytes)", pointer.oid, pointer.size_bytes);
        let nothing = || Fault::retry(format!("{tried}: the LFS server {} said nothing of it", endpoint.url));
        let Answered { actions, error, authenticated, .. } = answered.ok_or_else(nothing)?;
        if let Some(Refused { code, message }) = error {
            return Err(refused(&format!("{tried} at {}", endpoint.url), code, &message, None));
        }
        let Action { href, header } = actions.and_then(|actions| actions.download).ok_or_else(nothing)?;
        let url = endpoint.url.join(&href).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        let url = url.ok_or_else(|| {
            Fault::fail(format!("{tried}: its address is not http or https"), "the LFS server is set up wrongly")
        })?;
        if endpoint.url.scheme() == "https" && url.scheme() == "http" {
            let error = format!("{tried}: its address is not encrypted, and that of the LFS server is");
            return Err(Fault::fail(error, "let the LFS server hand out https addresses"));
        }
        let says_who = authenticated || header.keys().any(|name| name.eq_ignore_ascii_case("authorization"));
        let ours = url.origin() == endpoint.url.origin() && !says_who;
        let credentials = endpoint.credentials.clone().filter(|_| ours);
        Ok(Self { client: endpoint.client.clone(), url, header, credentials, pointer, store: Arc::new(store.clone()) })
    }

    async fn run(self) -> Result<(), Fault> {
        let tried = format!("fetching the LFS object {} ({} bytes)", self.pointer.oid, self.pointer.size_bytes);
        let request = with(self.client.get(self.url.clone()), self.credentials.as_ref());
        let request = self.header.iter().fold(request, |request, (name, value)| request.header(name, value));
        let mut response = request.send().await.map_err(|error| failed(&tried, &error))?;
        if response.status() != StatusCode::OK {
            let (status, after) = (response.status().as_u16(), after(&response));
            let body = body(&mut response, MOST_ANSWER_BYTES, &tried).await.unwrap_or_default();
            return Err(refused(&tried, status, &said(&body), after));
        }
        let mut incoming = self.store.incoming(&self.pointer)?;
        while let Some(chunk) = response.chunk().await.map_err(|error| failed(&tried, &error))? {
            incoming.write(&chunk)?;
        }
        incoming.keep()
    }
}

fn with(request: RequestBuilder, credentials: Option<&Credentials>) -> RequestBuilder {
    match credentials {
        Some(Credentials { username, password }) => request.basic_auth(username, Some(password)),
        None => request,
    }
}

async fn body(response: &mut Response, most: usize, tried: &str) -> Result<Vec<u8>, Fault> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| failed(tried, &error))? {
        body.extend_from_slice(&chunk);
        if body.len() > most {
            return Err(Fault::fail(format!("{tried}: its answer has more than {most} bytes"), "look at the server"));
        }
    }
    Ok(body)
}

/// What a server says of its refusal: the `message` of its JSON, or the beginning of its text.
fn said(body: &[u8]) -> String {
    let json: Option<serde_json::Value> = serde_json::from_slice(body).ok();
    let message = json.as_ref().and_then(|json| json.get("message")?.as_str()).map(str::to_owned);
    shorten(message.unwrap_or_else(|| String::from_utf8_lossy(body).into_owned()).trim())
}

fn after(response: &Response) -> Option<Duration> {
    let after = response.headers().get(RETRY_AFTER)?.to_str().ok()?;
    after.trim().parse().ok().map(Duration::from_secs)
}

fn failed(tried: &str, error: &reqwest::Error) -> Fault {
    // The address may hold a signature.
    let mut reasons = String::new();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        reasons = if reasons.is_empty() { error.to_string() } else { format!("{reasons}: {error}") };
        cause = error.source();
    }
    let what = if error.is_timeout() { "it sent nothing for too long" } else { "it cannot be reached" };
    Fault::retry(format!("{tried}: {what}: {reasons}"))
}

/// What a status of the API means to a person (`docs/api/batch.md`, "Response errors").
fn refused(tried: &str, status: u16, said: &str, after: Option<Duration>) -> Fault {
    let quoted = if said.is_empty() { String::new() } else { format!("; it said: {said}") };
    let error = format!("{tried}: {}{quoted}", named(status));
    let hint = match status {
        401 | 403 => "give the engine credentials that may read this repository's LFS objects",
        404 => {
            "push the object from a clone that has it (`git lfs push --all origin`); if the host has no LFS, or hides it from \
             these credentials, enable it there, or write `lfs: pointers`"
        }
        410 => "it was removed for ever: commit the file anew, or write `lfs: pointers`",
        413 => "the server takes fewer objects at once than every LFS server must",
        422 => "the pointer in the tree is wrong: commit the file anew with git-lfs",
        509 => "the host's bandwidth or storage for LFS is used up: buy more, or wait",
        408 | 425 | 429 => return Fault::Retry { error, after },
        500..=599 if !matches!(status, 501 | 507) => return Fault::Retry { error, after },
        _ => "the log of the LFS server says what it does not like",
    };
    Fault::fail(error, hint)
}

fn named(status: u16) -> String {
    match status {
        404 => "answered 404: it is not there".to_owned(),
        410 => "answered 410: it was removed".to_owned(),
        422 => "answered 422: it calls the request invalid".to_owned(),
        429 => "answered 429: we ask too often".to_owned(),
        507 => "answered 507: its storage is full".to_owned(),
        509 => "answered 509: its bandwidth is used up".to_owned(),
        status => format!("answered {status}"),
    }
}
