//! As whom GitHub is asked: the App, one of its installations, or a token. Each has a quota, a pace and answers of its own.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use chrono::{DateTime, Utc};
use hyper::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::{
    call::{Answer, As, Ask, Limits, Line},
    pace::Pace,
    verdict::{Refused, until},
};
use crate::providers::{Fault, Secret};

/// How much life a token must have left to be used: git may need it for a while.
const LEAST_LIFE: Duration = Duration::from_secs(600);
/// How many answers are kept to be compared, and how long all of them are, in bytes.
const MOST_KEPT: (usize, usize) = (500, 8 * 1_024 * 1_024);
/// How many pages of a list are read.
const MOST_PAGES: usize = 100;

/// Who asks, and all that has to be known of them.
pub(super) struct Caller {
    /// For people: `the App at acme`.
    pub(super) whom: String,
    identity: Identity,
    known: Mutex<Known>,
    minting: tokio::sync::Mutex<()>,
    writes: tokio::sync::Mutex<Pace>,
    /// Whether GitHub has no such installation any more.
    gone: AtomicBool,
}

enum Identity {
    App,
    Installation(u64),
    Token(Secret),
}

#[derive(Default)]
struct Known {
    token: Option<Token>,
    /// Until when nothing may be sent.
    silent: Option<(Instant, String)>,
    /// Path → what was answered. Of one token's life: ETags are of the token too.
    answers: BTreeMap<String, Answer>,
    answers_bytes: usize,
}

struct Token {
    text: Secret,
    ends: Instant,
}

impl Caller {
    pub(super) fn app(limits: &Limits) -> Self {
        Self::new("the App".to_owned(), Identity::App, limits)
    }

    pub(super) fn installation(id: u64, owner: &str, limits: &Limits) -> Self {
        Self::new(format!("the App at {owner}"), Identity::Installation(id), limits)
    }

    pub(super) fn token(token: Secret, limits: &Limits) -> Self {
        Self::new("the token".to_owned(), Identity::Token(token), limits)
    }

    fn new(whom: String, identity: Identity, limits: &Limits) -> Self {
        let writes = tokio::sync::Mutex::new(Pace::new(limits.writes_at_once, limits.write_every));
        let (known, minting) = (Mutex::default(), tokio::sync::Mutex::new(()));
        Self { whom, identity, known, minting, writes, gone: AtomicBool::new(false) }
    }

    pub(super) fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Relaxed)
    }

    pub(super) const fn installation_id(&self) -> Option<u64> {
        match self.identity {
            Identity::Installation(id) => Some(id),
            Identity::App | Identity::Token(_) => None,
        }
    }

    /// Asks. Writes go one after the other; nothing is sent while GitHub wants to be left alone.
    pub(super) async fn call(&self, line: &Line, ask: &Ask) -> Result<Answer, Refused> {
        if !ask.writes() {
            return self.attempt(line, ask).await;
        }
        let mut pace = self.writes.lock().await;
        self.may_speak(ask)?;
        sleep(pace.take(Instant::now())).await;
        self.attempt(line, ask).await
    }

    /// All pages of a list, whose items are below `member` or are the answer itself.
    pub(super) async fn pages(&self, line: &Line, path: &str, member: Option<&str>) -> Result<Vec<Value>, Refused> {
        self.pages_until(line, path, member, MOST_PAGES, |_| false).await
    }

    /// The pages of a list until one of which this is true; so many at most.
    pub(super) async fn pages_until(
        &self,
        line: &Line,
        path: &str,
        member: Option<&str>,
        most: usize,
        enough: impl Fn(&[Value]) -> bool + Send,
    ) -> Result<Vec<Value>, Refused> {
        let (mut all, mut path) = (Vec::new(), path.to_owned());
        for _ in 0..most {
            let answer = self.call(line, &Ask::get(path.as_str())).await?;
            let items = match member {
                Some(member) => answer.body[member].as_array(),
                None => answer.body.as_array(),
            };
            let items =
                items.ok_or_else(|| Refused::unheard(&answer.tried, "it answers something else than a list"))?;
            all.extend_from_slice(items);
            match answer.next {
                Some(next) if next != path && !enough(items) => path = next,
                _ => return Ok(all),
            }
        }
        Ok(all)
    }

    /// A token with some life left; none where the App itself asks.
    pub(super) async fn lend(&self, line: &Line) -> Result<Option<Secret>, Refused> {
        match &self.identity {
            Identity::App => Ok(None),
            Identity::Token(token) => Ok(Some(token.clone())),
            Identity::Installation(id) => self.minted(line, *id).await.map(Some),
        }
    }

    async fn attempt(&self, line: &Line, ask: &Ask) -> Result<Answer, Refused> {
        let first = self.once(line, ask).await;
        let is_refused = first.as_ref().is_err_and(|refused| refused.is(StatusCode::UNAUTHORIZED));
        if !is_refused || !matches!(self.identity, Identity::Installation(_)) {
            return first;
        }
        // Its hour may be over by GitHub's clock, or it was taken back: what it was refused had no effect.
        self.forget_token();
        self.once(line, ask).await
    }

    async fn once(&self, line: &Line, ask: &Ask) -> Result<Answer, Refused> {
        self.may_speak(ask)?;
        let answered = self.compared(line, ask).await;
        if let Err(Refused { pause: Some(pause), message, .. }) = &answered {
            self.known().silent = Some((Instant::now() + *pause, message.clone()));
        }
        answered
    }

    /// Asks, with the ETag of what is known already.
    async fn compared(&self, line: &Line, ask: &Ask) -> Result<Answer, Refused> {
        let token = self.lend(line).await?;
        let who = token.as_ref().map_or(As::App, As::Token);
        let before = (!ask.writes()).then(|| self.known().answers.get(&ask.path).cloned()).flatten();
        let etag = before.as_ref().and_then(|before| before.etag.as_deref());
        let answer = line.call(&who, &self.whom, ask, etag).await?;
        if answer.unchanged {
            return before.ok_or_else(|| Refused::unheard(&answer.tried, "it answers nothing"));
        }
        if !ask.writes() && answer.etag.is_some() {
            self.keep(&ask.path, &answer);
        }
        Ok(answer)
    }

    /// Whether GitHub may be asked now.
    fn may_speak(&self, ask: &Ask) -> Result<(), Refused> {
        let mut known = self.known();
        let Some((end, reason)) = &known.silent else { return Ok(()) };
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            known.silent = None;
            return Ok(());
        }
        let error = format!("{}: {} from {}: {reason}", ask.tried(), until(left), self.whom);
        Err(Refused::unsent(Fault::Retry { error, after: Some(left) }))
    }

    fn keep(&self, path: &str, answer: &Answer) {
        let bytes = path.len() + answer.body.to_string().len();
        let mut known = self.known();
        if known.answers.len() >= MOST_KEPT.0 || known.answers_bytes + bytes > MOST_KEPT.1 {
            known.answers.clear();
            known.answers_bytes = 0;
        }
        known.answers_bytes += bytes;
        known.answers.insert(path.to_owned(), answer.clone());
    }

    fn forget_token(&self) {
        let mut known = self.known();
        known.token = None;
        known.answers.clear();
        known.answers_bytes = 0;
    }

    fn living(&self) -> Option<Secret> {
        let known = self.known();
        let token = known.token.as_ref()?;
        (token.ends > Instant::now() + LEAST_LIFE).then(|| token.text.clone())
    }

    /// The installation's token; a new one where the one that is here ends soon. Many who need one ask for one.
    async fn minted(&self, line: &Line, id: u64) -> Result<Secret, Refused> {
        if let Some(token) = self.living() {
            return Ok(token);
        }
        let _one = self.minting.lock().await;
        if let Some(token) = self.living() {
            return Ok(token);
        }
        let ask = Ask::post(format!("/app/installations/{id}/access_tokens"), json!({}));
        let answer = line.call(&As::App, &self.whom, &ask, None).await;
        if answer.as_ref().is_err_and(|refused| refused.is(StatusCode::NOT_FOUND)) {
            self.gone.store(true, Ordering::Relaxed);
        }
        let answer = answer?;
        let Minted { token, expires_at } = answer.read()?;
        // By GitHub's clock, from its clock: ours may be off.
        let life = (expires_at - answer.at.unwrap_or_else(Utc::now)).to_std().unwrap_or(Duration::ZERO);
        let (text, ends) = (Secret::new(token), Instant::now() + life);
        self.forget_token();
        self.known().token = Some(Token { text: text.clone(), ends });
        Ok(text)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Deserialize)]
struct Minted {
    token: String,
    expires_at: DateTime<Utc>,
}
