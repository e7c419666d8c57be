//! What all calls share: the house, as the settings are now; who has signed in; and how much goes on at once.

use std::sync::Arc;

use axum::http::{HeaderMap, header};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_util::sync::CancellationToken;

use super::{
    attempt::Ended,
    bodies::Bodies,
    cookies::cookies,
    issuers::Issuers,
    limits::{CALLS_PER_SECOND, Limits},
    places::PerPerson,
    problem::{Problem, ProblemKind},
    sessions::{self, Links, NOTED_EVERY_MS, TOKEN_PREFIX, hash_of},
};
use crate::{
    house::{
        House,
        asker::{Asker, OsUser, TokenHolder, User},
        connect::Connected,
        current::Current,
        now_ms,
        webhooks::WebhookSecrets,
    },
    store::{Session, SessionOwner, StoreError, TokenNote},
};

/// How many questions that read whole logs go on at once.
const MOST_HEAVY: usize = 2;
/// How many streams of changes one person has.
const MOST_STREAMS_OF_ONE: usize = 16;
/// How many predictions go on at once, and how many of one person.
const MOST_PREDICTIONS: usize = 2;
const MOST_PREDICTIONS_OF_ONE: usize = 1;

/// Tells where to sign in.
pub type Announce = Box<dyn Fn(&str) + Send + Sync>;

/// What all calls share.
pub struct Server {
    current: Current,
    pub(super) links: Links,
    pub(super) issuers: Issuers,
    /// The sign-ins with issuers that ended.
    pub(super) ended: Ended,
    /// Tells the link with which the next session begins; nobody signs in by one where other machines can reach the server.
    pub(super) announce: Option<Announce>,
    /// Whether it is for whoever started it and nobody else, whoever says otherwise who somebody is.
    pub(super) is_for_its_user: bool,
    /// The App that GitHub has made through this server.
    pub(super) connected: watch::Sender<Option<Connected>>,
    /// What people type, without a slash at its end.
    pub(super) url: String,
    /// The names, with their ports, under which it is asked.
    pub(super) hosts: Vec<String>,
    /// The description of the API.
    pub(super) description: String,
    pub(super) stop: CancellationToken,
    pub(super) limits: Limits,
    pub(super) bodies: Bodies,
    pub(super) webhook_secrets: WebhookSecrets,
    heavy: Semaphore,
    streams: PerPerson,
    predictions: (Arc<Semaphore>, PerPerson),
}

/// Who has signed in, and how.
#[derive(Debug, Clone)]
pub(super) enum SignedIn {
    /// A person, in a browser.
    Session {
        /// The session's secret.
        secret: String,
        /// What is kept of it.
        session: Arc<Session>,
    },
    /// A program, by a token.
    Token {
        /// The token.
        token: String,
    },
}

impl Server {
    pub(super) fn new(
        house: Arc<House>,
        (url, hosts): (String, Vec<String>),
        announce: Option<Announce>,
        description: String,
        stop: CancellationToken,
    ) -> Self {
        let limits = Limits::new(house.settings.server.calls_per_second.unwrap_or(CALLS_PER_SECOND));
        Self {
            current: Current::new(house),
            links: Links::default(),
            issuers: Issuers::default(),
            ended: Ended::default(),
            announce,
            is_for_its_user: false,
            connected: watch::Sender::default(),
            url,
            hosts,
            description,
            stop,
            limits,
            bodies: Bodies::default(),
            webhook_secrets: WebhookSecrets::default(),
            heavy: Semaphore::new(MOST_HEAVY),
            streams: PerPerson::new(MOST_STREAMS_OF_ONE),
            predictions: (Arc::new(Semaphore::new(MOST_PREDICTIONS)), PerPerson::new(MOST_PREDICTIONS_OF_ONE)),
        }
    }

    /// The house, with the settings as they are now: people and roles change without a new start, as on the command line.
    pub(super) fn house(&self) -> Arc<House> {
        self.current.house()
    }

    /// Whether what people type begins with `https`.
    pub(super) fn is_https(&self) -> bool {
        self.url.starts_with("https://")
    }

    /// Whether somebody signs in by the link that is printed.
    pub(super) fn takes_links(&self, house: &House) -> bool {
        self.is_for_its_user || house.settings.is_for_one()
    }

    /// The App that GitHub has made through this server, once it has.
    pub async fn connected(&self) -> Option<Connected> {
        let mut connected = self.connected.subscribe();
        connected.wait_for(Option::is_some).await.ok()?.clone()
    }

    /// What the cookie of a session is called. Cookies are kept apart by name, not by port.
    pub(super) fn cookie(&self) -> String {
        if self.is_https() {
            return "__Host-tidegate".to_owned();
        }
        let port = self.url.rsplit(':').next().unwrap_or_default();
        format!("tidegate-{port}")
    }

    /// Prints the link with which the next session begins.
    pub(super) fn announce_link(&self) {
        let Some(announce) = &self.announce else { return };
        match self.links.new_link() {
            Ok(secret) => announce(&format!("{}/sign-in?secret={secret}", self.url)),
            Err(error) => {
                tracing::error!(%error, "there is no link to sign in with: this machine gives no random bytes")
            }
        }
    }

    /// Who asks, by the headers; nobody where they say nothing.
    pub(super) async fn signed_in(
        &self,
        headers: &HeaderMap,
        house: &House,
    ) -> Result<Option<(Asker, SignedIn)>, Problem> {
        if let Some(said) = headers.get(header::AUTHORIZATION) {
            let token = said.to_str().ok().and_then(|said| {
                let (scheme, token) = said.split_once(' ')?;
                scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
            });
            let signed_in = match token {
                Some(token) => by_token(token, house).await?,
                None => None,
            };
            let wrong = || Problem::new(ProblemKind::NotSignedIn, "this token is not good: it ended, or never was");
            return signed_in.map(Some).ok_or_else(wrong);
        }
        let name = self.cookie();
        for secret in cookies(headers, &name) {
            if let Some((user, session)) = self.by_session(secret, house).await? {
                sessions::note_use(house, &session).await;
                let signed_in = SignedIn::Session { secret: secret.to_owned(), session: Arc::new(session) };
                return Ok(Some((Asker { user, in_name_of: None }, signed_in)));
            }
        }
        Ok(None)
    }

    /// Whose session it is, if it lasts: one by the link lasts as long as this server and only while no issuer signs people in, one by an
    /// issuer as long as the settings have that.
    async fn by_session(&self, secret: &str, house: &House) -> Result<Option<(User, Session)>, StoreError> {
        let Some(session) = sessions::find(house, secret).await? else { return Ok(None) };
        let user = match &session.owner {
            SessionOwner::Link { server } => {
                (self.takes_links(house) && self.links.is_this(server)).then(|| User::Os(OsUser::current()))
            }
            SessionOwner::Issuer(identity) => house.settings.hears(identity).then(|| User::Issuer(identity.clone())),
        };
        Ok(user.map(|user| (user, session)))
    }

    /// Whether somebody who signed in may go on.
    pub(super) async fn is_good(&self, signed_in: Option<&SignedIn>, house: &House) -> bool {
        match signed_in {
            Some(SignedIn::Session { secret, .. }) => {
                self.by_session(secret, house).await.is_ok_and(|good| good.is_some())
            }
            Some(SignedIn::Token { token }) => by_token(token, house).await.is_ok_and(|good| good.is_some()),
            None => false,
        }
    }

    /// A place for a question that reads a whole log.
    pub(super) async fn heavy(&self) -> Result<tokio::sync::SemaphorePermit<'_>, Problem> {
        self.heavy.acquire().await.map_err(|_| Problem::new(ProblemKind::Unavailable, "the server ends"))
    }

    /// A place for a stream.
    pub(super) fn stream(&self, of: String) -> Result<OwnedSemaphorePermit, Problem> {
        let most = || format!("{MOST_STREAMS_OF_ONE} streams are open already");
        self.streams.take(of).ok_or_else(|| Problem::new(ProblemKind::TooMuch, most()))
    }

    /// Places for a prediction: one of its person's, and one of all.
    pub(super) fn prediction(&self, of: String) -> Result<[OwnedSemaphorePermit; 2], Problem> {
        let (all, of_one) = &self.predictions;
        let busy = |kind, who: &str| Problem::new(kind, format!("{who} already: ask again when that has ended"));
        let own = of_one.take(of).ok_or_else(|| busy(ProblemKind::TooMuch, "a prediction of yours goes on"))?;
        let one = Arc::clone(all).try_acquire_owned();
        let one = one.map_err(|_| busy(ProblemKind::Unavailable, "as many predictions go on as may at once"))?;
        Ok([own, one])
    }
}

/// Whose token it is, if it is good. It is looked for by its hash.
async fn by_token(token: &str, house: &House) -> Result<Option<(Asker, SignedIn)>, StoreError> {
    if !token.starts_with(TOKEN_PREFIX) {
        return Ok(None);
    }
    let (store, hash, now_ms) = (house.ledger.store(), hash_of(token), now_ms());
    let known = store.tokens().await?.into_iter().find(|known| known.hash == hash && known.is_good(now_ms));
    let Some(known) = known else { return Ok(None) };
    if known.used_ms.is_none_or(|used_ms| now_ms - used_ms >= NOTED_EVERY_MS) {
        let used = TokenNote::Used { name: known.name.clone(), at_ms: now_ms };
        if let Err(error) = store.note(used.into()).await {
            tracing::debug!(%error, "the use of a token was not noted");
        }
    }
    let holder = TokenHolder { name: known.name, role: known.role, systems: known.systems };
    let asker = Asker { user: User::Token(holder), in_name_of: None };
    Ok(Some((asker, SignedIn::Token { token: token.to_owned() })))
}
