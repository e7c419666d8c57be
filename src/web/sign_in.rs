//! Where people come in and go: the page that says how, the link that `tidegate serve` prints, issuers, and the end of a session.

use std::{future::Future, pin::Pin};

use axum::http::StatusCode;

use super::{
    attempt::{Attempt, LASTS_MS, place},
    call::{Answered, Call, text},
    came_of::CameOf,
    cookies::{cookies, set_cookie},
    issuers::Refusal,
    pages::{Page, elsewhere},
    problem::{Problem, ProblemKind},
    secret::sha256,
    server::SignedIn,
    sessions,
};
use crate::{
    house::{
        asker::{Asker, OsUser, User},
        forges::GitHubForge,
        github_sign_in::NotSignedIn,
        issuers::{GITHUB, IssuerSettings},
        now_ms,
        settings::Settings,
    },
    store::{Identity, SessionNote, SessionOwner},
};

/// Where issuers send people back to. Each has its own, so that what is meant for one is not taken from another.
pub(super) const BACK: &str = "/sign-in/{issuer}/back";

type Answering = Pin<Box<dyn Future<Output = Answered> + Send>>;

/// Who says who somebody is.
#[derive(Clone, Copy)]
enum Way<'settings> {
    Issuer(&'settings IssuerSettings),
    GitHub(&'settings GitHubForge),
}

impl<'settings> Way<'settings> {
    fn all(settings: &'settings Settings) -> impl Iterator<Item = Self> {
        let issuers = settings.server.issuers.iter().map(Self::Issuer);
        issuers.chain(settings.signs_in_by_github().map(Self::GitHub))
    }

    /// As addresses and the log have it.
    fn name(self) -> &'settings str {
        match self {
            Self::Issuer(issuer) => &issuer.name,
            Self::GitHub(_) => GITHUB,
        }
    }

    /// As people read it.
    fn shown(self) -> &'settings str {
        match self {
            Self::Issuer(issuer) => &issuer.name,
            Self::GitHub(_) => "GitHub",
        }
    }

    /// Where the browser goes.
    async fn begin(self, call: &Call, attempt: &Attempt) -> Result<String, Refusal> {
        let back = back(call, self);
        match self {
            Self::Issuer(issuer) => call.server.issuers.of(issuer)?.begin(attempt, &back).await,
            Self::GitHub(github) => {
                let there = github.sign_in_address(&back, &attempt.state(), &attempt.verifier());
                there.map_err(|error| Refusal::Down(format!("{error:#}")))
            }
        }
    }

    /// Who has come back.
    async fn identity(self, call: &Call, attempt: &Attempt, code: &str) -> Result<Identity, Refusal> {
        let back = back(call, self);
        match self {
            Self::Issuer(issuer) => call.server.issuers.of(issuer)?.identity(attempt, &back, code).await,
            Self::GitHub(github) => {
                let identity = github.signed_in(&back, code, &attempt.verifier()).await;
                identity.map_err(|not| match not {
                    NotSignedIn::NotGood(why) => Refusal::NotGood(why),
                    NotSignedIn::Down(why) => Refusal::Down(why),
                })
            }
        }
    }
}

/// Begins a session for whoever has the link, which is good once; without a link, says how to sign in.
pub(super) fn sign_in(call: Call) -> Answering {
    Box::pin(async move {
        let to = call.query("to", |to| Ok(place(to).to_owned()))?.unwrap_or_else(|| "/".to_owned());
        let Some(secret) = call.query("secret", |secret| Ok(secret.to_owned()))? else {
            return ways(&call.house.settings, &to).response(StatusCode::OK);
        };
        let owner = if call.server.takes_links(&call.house) { call.server.links.take(&secret) } else { None };
        let Some(owner) = owner else {
            tracing::warn!("somebody tried to sign in with a link that is not good");
            let problem = Problem::new(ProblemKind::NotSignedIn, "this link is not good: each is good once");
            return Err(problem.hint("`tidegate serve` prints the next one where it runs"));
        };
        call.server.announce_link();
        begin(&call, owner, &to).await
    })
}

fn ways(settings: &Settings, to: &str) -> Page {
    if settings.is_for_one() {
        return Page::new("Sign in").says("Open the link that `tidegate serve` printed in the terminal where it runs.");
    }
    let page = Page::new("Sign in").says("Choose who knows you.");
    Way::all(settings).fold(page, |page, way| {
        let to: String = form_urlencoded::byte_serialize(to.as_bytes()).collect();
        page.link(format!("/sign-in/{}?to={to}", way.name()), format!("Sign in with {}", way.shown()))
    })
}

/// Sends the browser to an issuer.
pub(super) fn sign_in_with(call: Call) -> Answering {
    Box::pin(async move {
        let to = call.query("to", |to| Ok(to.to_owned()))?.unwrap_or_default();
        let way = way(&call)?;
        let attempt = Attempt::begin(way.name(), &to, now_ms());
        let attempt = attempt.map_err(|error| Problem::new(ProblemKind::Unavailable, error.to_string()))?;
        match way.begin(&call, &attempt).await {
            Ok(there) => {
                let mut response = elsewhere(&there)?;
                let age = u32::try_from(LASTS_MS / 1_000).ok();
                set_cookie(&mut response, call.server.is_https(), (&attempt_cookie(&call), &attempt.cookie()), age)?;
                Ok(response)
            }
            Err(refusal) => refused(way, &refusal),
        }
    })
}

/// Takes a browser back from an issuer, and begins its session.
pub(super) fn sign_in_back(call: Call) -> Answering {
    Box::pin(async move {
        let way = way(&call)?;
        let mut response = match returned(&call, way).await {
            Ok((identity, to)) => admitted(&call, way, identity, &to).await?,
            Err(refusal) => refused(way, &refusal)?,
        };
        set_cookie(&mut response, call.server.is_https(), (&attempt_cookie(&call), ""), Some(0))?;
        Ok(response)
    })
}

/// Who has come back from an issuer, and where they wanted to go.
async fn returned(call: &Call, way: Way<'_>) -> Result<(Identity, String), Refusal> {
    let not_good = |why: &str| Refusal::NotGood(why.to_owned());
    let now_ms = now_ms();
    let name = attempt_cookie(call);
    let attempt = cookies(&call.headers, &name).find_map(|cookie| Attempt::of_cookie(cookie, LASTS_MS, now_ms));
    let attempt = attempt.ok_or_else(|| not_good("this browser has not begun to sign in, or too long ago"))?;
    if attempt.issuer != way.name() {
        return Err(not_good("this browser began to sign in with another issuer"));
    }
    let said = |name: &str| call.query.get(name).map(String::as_str);
    // Hashes are compared: how long that takes tells nothing.
    if said("state").map(sha256) != Some(sha256(&attempt.state())) {
        return Err(not_good("the state is not this browser's"));
    }
    if !call.server.ended.end(&attempt.state(), now_ms) {
        return Err(not_good("this sign-in has ended already"));
    }
    if let Way::Issuer(settings) = way {
        call.server.issuers.of(settings)?.is_sender(said("iss")).await?;
    }
    if let Some(error) = said("error") {
        let error: String = error.chars().take(64).collect();
        return Err(Refusal::NotGood(format!("the issuer says `{}`", error.escape_debug())));
    }
    let code = said("code").filter(|code| !code.is_empty()).ok_or_else(|| not_good("there is no code"))?;
    let identity = way.identity(call, &attempt, code).await?;
    Ok((identity, attempt.to))
}

/// Begins the session of somebody whom an issuer knows, if they are known here.
async fn admitted(call: &Call, way: Way<'_>, identity: Identity, to: &str) -> Answered {
    let who = Asker { user: User::Issuer(identity.clone()), in_name_of: None };
    if call.house.settings.principal(&who).is_ok() {
        tracing::info!(issuer = way.name(), person = identity.person, "somebody has signed in");
        return begin(call, SessionOwner::Issuer(identity), to).await;
    }
    tracing::warn!(
        issuer = way.name(),
        person = identity.person,
        "somebody has signed in whom the settings do not know"
    );
    let (issuer, person) = (way.shown(), &identity.person);
    let asks = match way {
        Way::Issuer(settings) if settings.people.is_empty() => format!("[people.\"{person}\"]"),
        Way::Issuer(_) => format!("\"{person}\" = \"YOUR NAME\" in `people` of the issuer {issuer}"),
        Way::GitHub(_) => format!("github = \"{person}\" in your [people.NAME]"),
    };
    let mut response = Page::new("Tidegate does not know you yet")
        .says(format!(
            "{issuer} knows you as {person}, and tidegate.toml lists nobody of that name. You may look at nothing."
        ))
        .says(format!("Ask whoever looks after Tidegate to add to tidegate.toml: {asks}. Then sign in again."))
        .link("/sign-in", "Sign in again")
        .response(StatusCode::FORBIDDEN)?;
    let why = format!("tidegate.toml lists nobody of the name {person}");
    let who = Some((who.user.to_string(), way.name().to_owned()));
    response.extensions_mut().insert(CameOf { who, why: Some(why), seq: None });
    Ok(response)
}

/// Tells a browser that nobody has signed in. Why, the log says.
fn refused(way: Way<'_>, refusal: &Refusal) -> Answered {
    let issuer = way.name();
    let (page, status) = match refusal {
        Refusal::NotGood(why) => {
            tracing::warn!(issuer, why, "a sign-in was refused");
            let page = Page::new("You have not signed in")
                .says("Begin again. Where that does not help, the server's log says why.");
            (page, StatusCode::UNAUTHORIZED)
        }
        Refusal::Down(why) => {
            tracing::error!(issuer, why, "nobody can sign in with an issuer");
            let page = Page::new(format!("{} does not answer", way.shown()))
                .says("Nobody can sign in with it now. Whoever has signed in already may go on. Try again later.");
            (page, StatusCode::SERVICE_UNAVAILABLE)
        }
    };
    let mut response = page.link("/sign-in", "Begin again").response(status)?;
    let (Refusal::NotGood(why) | Refusal::Down(why)) = refusal;
    response.extensions_mut().insert(CameOf { why: Some(why.clone()), ..CameOf::default() });
    Ok(response)
}

fn way(call: &Call) -> Result<Way<'_>, Problem> {
    let name = call.path.get("issuer").map_or("", String::as_str);
    let way = Way::all(&call.house.settings).find(|way| way.name() == name);
    way.ok_or_else(|| Problem::not_found("there is no such issuer").hint("`/sign-in` lists those that there are"))
}

/// Where this one sends people back to.
fn back(call: &Call, way: Way<'_>) -> String {
    format!("{}{}", call.server.url, BACK.replace("{issuer}", way.name()))
}

pub(super) fn sign_out(call: Call) -> Answering {
    Box::pin(async move {
        if let Some(SignedIn::Session { session, .. }) = &call.signed_in {
            call.house.ledger.store().note(SessionNote::Ended { id: session.id.clone() }.into()).await?;
        }
        let mut response = if super::page_token::is_form(&call.headers) {
            elsewhere("/sign-in")?
        } else {
            text("You have signed out.\n")
        };
        set_cookie(&mut response, call.server.is_https(), (&call.server.cookie(), ""), Some(0))?;
        Ok(response)
    })
}

/// Begins a session, under a secret that nobody had before; the one that this browser had ends.
async fn begin(call: &Call, owner: SessionOwner, to: &str) -> Answered {
    let cookie = call.server.cookie();
    for secret in cookies(&call.headers, &cookie) {
        if let Some(before) = sessions::find(&call.house, secret).await? {
            call.house.ledger.store().note(SessionNote::Ended { id: before.id }.into()).await?;
        }
    }
    let who = match &owner {
        SessionOwner::Link { .. } => User::Os(OsUser::current()),
        SessionOwner::Issuer(identity) => User::Issuer(identity.clone()),
    };
    let way_in = who.way_in().to_owned();
    let (user, who) = (who.to_string(), Asker { user: who, in_name_of: None });
    let name = match call.house.settings.principal(&who) {
        Ok(by) => by.said(),
        // Whoever may write the settings need not be in them.
        Err(_) if call.server.is_for_its_user => user,
        Err(error) => return Err(error.into()),
    };
    let secret = sessions::begin(&call.house, owner, &call.headers).await?;
    let mut response = elsewhere(to)?;
    response.extensions_mut().insert(CameOf { who: Some((name, way_in)), ..CameOf::default() });
    set_cookie(&mut response, call.server.is_https(), (&cookie, &secret), None)?;
    Ok(response)
}

fn attempt_cookie(call: &Call) -> String {
    format!("{}-signing-in", call.server.cookie())
}
