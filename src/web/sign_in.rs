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
        issuers::IssuerSettings,
        now_ms,
    },
    store::{Identity, SessionNote, SessionOwner},
};

/// Where issuers send people back to. Each has its own, so that what is meant for one is not taken from another.
pub(super) const BACK: &str = "/sign-in/{issuer}/back";

type Answering = Pin<Box<dyn Future<Output = Answered> + Send>>;

/// Begins a session for whoever has the link, which is good once; without a link, says how to sign in.
pub(super) fn sign_in(call: Call) -> Answering {
    Box::pin(async move {
        let to = call.query("to", |to| Ok(place(to).to_owned()))?.unwrap_or_else(|| "/".to_owned());
        let issuers = &call.house.settings.server.issuers;
        let Some(secret) = call.query("secret", |secret| Ok(secret.to_owned()))? else {
            return ways(issuers, &to).response(StatusCode::OK);
        };
        let owner = if issuers.is_empty() { call.server.links.take(&secret) } else { None };
        let Some(owner) = owner else {
            tracing::warn!("somebody tried to sign in with a link that is not good");
            let problem = Problem::new(ProblemKind::NotSignedIn, "this link is not good: each is good once");
            return Err(problem.hint("`tidegate serve` prints the next one where it runs"));
        };
        call.server.announce_link();
        begin(&call, owner, "/").await
    })
}

fn ways(issuers: &[IssuerSettings], to: &str) -> Page {
    if issuers.is_empty() {
        return Page::new("Sign in").says("Open the link that `tidegate serve` printed in the terminal where it runs.");
    }
    let page = Page::new("Sign in").says("Choose who knows you.");
    issuers.iter().fold(page, |page, issuer| {
        let to: String = form_urlencoded::byte_serialize(to.as_bytes()).collect();
        page.link(format!("/sign-in/{}?to={to}", issuer.name), format!("Sign in with {}", issuer.name))
    })
}

/// Sends the browser to an issuer.
pub(super) fn sign_in_with(call: Call) -> Answering {
    Box::pin(async move {
        let to = call.query("to", |to| Ok(to.to_owned()))?.unwrap_or_default();
        let settings = issuer(&call)?;
        let attempt = Attempt::begin(&settings.name, &to, now_ms());
        let attempt = attempt.map_err(|error| Problem::new(ProblemKind::Unavailable, error.to_string()))?;
        let begun = match call.server.issuers.of(settings) {
            Ok(known) => known.begin(&attempt, &back(&call, settings)).await,
            Err(refusal) => Err(refusal),
        };
        match begun {
            Ok(there) => {
                let mut response = elsewhere(&there)?;
                let age = u32::try_from(LASTS_MS / 1_000).ok();
                set_cookie(&mut response, call.server.is_https(), (&attempt_cookie(&call), &attempt.cookie()), age)?;
                Ok(response)
            }
            Err(refusal) => refused(settings, &refusal),
        }
    })
}

/// Takes a browser back from an issuer, and begins its session.
pub(super) fn sign_in_back(call: Call) -> Answering {
    Box::pin(async move {
        let settings = issuer(&call)?;
        let mut response = match returned(&call, settings).await {
            Ok((identity, to)) => admitted(&call, settings, identity, &to).await?,
            Err(refusal) => refused(settings, &refusal)?,
        };
        set_cookie(&mut response, call.server.is_https(), (&attempt_cookie(&call), ""), Some(0))?;
        Ok(response)
    })
}

/// Who has come back from an issuer, and where they wanted to go.
async fn returned(call: &Call, settings: &IssuerSettings) -> Result<(Identity, String), Refusal> {
    let not_good = |why: &str| Refusal::NotGood(why.to_owned());
    let now_ms = now_ms();
    let name = attempt_cookie(call);
    let attempt = cookies(&call.headers, &name).find_map(|cookie| Attempt::of_cookie(cookie, now_ms));
    let attempt = attempt.ok_or_else(|| not_good("this browser has not begun to sign in, or too long ago"))?;
    if attempt.issuer != settings.name {
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
    let known = call.server.issuers.of(settings)?;
    known.is_sender(said("iss")).await?;
    if let Some(error) = said("error") {
        let error: String = error.chars().take(64).collect();
        return Err(Refusal::NotGood(format!("the issuer says `{}`", error.escape_debug())));
    }
    let code = said("code").filter(|code| !code.is_empty()).ok_or_else(|| not_good("there is no code"))?;
    let identity = known.identity(&attempt, &back(call, settings), code).await?;
    Ok((identity, attempt.to))
}

/// Begins the session of somebody whom an issuer knows, if they are known here.
async fn admitted(call: &Call, settings: &IssuerSettings, identity: Identity, to: &str) -> Answered {
    let who = Asker { user: User::Issuer(identity.clone()), in_name_of: None };
    if call.house.settings.principal(&who).is_ok() {
        tracing::info!(issuer = settings.name, person = identity.person, "somebody has signed in");
        return begin(call, SessionOwner::Issuer(identity), to).await;
    }
    tracing::warn!(
        issuer = settings.name,
        person = identity.person,
        "somebody has signed in whom the settings do not know"
    );
    let Identity { issuer, person, .. } = &identity;
    let (title, asks) = match settings.people.is_empty() {
        true => ("Tidegate does not know you yet", format!("[people.\"{person}\"]")),
        false => (
            "Tidegate does not know you yet",
            format!("\"{person}\" = \"YOUR NAME\" in `people` of the issuer {issuer}"),
        ),
    };
    let mut response = Page::new(title)
        .says(format!(
            "{issuer} knows you as {person}, and tidegate.toml lists nobody of that name. You may look at nothing."
        ))
        .says(format!("Ask whoever looks after Tidegate to add to tidegate.toml: {asks}. Then sign in again."))
        .link("/sign-in", "Sign in again")
        .response(StatusCode::FORBIDDEN)?;
    let why = format!("tidegate.toml lists nobody of the name {person}");
    let who = Some((who.user.to_string(), issuer.clone()));
    response.extensions_mut().insert(CameOf { who, why: Some(why), seq: None });
    Ok(response)
}

/// Tells a browser that nobody has signed in. Why, the log says.
fn refused(settings: &IssuerSettings, refusal: &Refusal) -> Answered {
    let issuer = &settings.name;
    let (page, status) = match refusal {
        Refusal::NotGood(why) => {
            tracing::warn!(issuer, why, "a sign-in was refused");
            let page = Page::new("You have not signed in")
                .says("Begin again. Where that does not help, the server's log says why.");
            (page, StatusCode::UNAUTHORIZED)
        }
        Refusal::Down(why) => {
            tracing::error!(issuer, why, "nobody can sign in with an issuer");
            let page = Page::new(format!("{issuer} does not answer"))
                .says("Nobody can sign in with it now. Whoever has signed in already may go on. Try again later.");
            (page, StatusCode::SERVICE_UNAVAILABLE)
        }
    };
    let mut response = page.link("/sign-in", "Begin again").response(status)?;
    let (Refusal::NotGood(why) | Refusal::Down(why)) = refusal;
    response.extensions_mut().insert(CameOf { why: Some(why.clone()), ..CameOf::default() });
    Ok(response)
}

fn issuer(call: &Call) -> Result<&IssuerSettings, Problem> {
    let name = call.path.get("issuer").map_or("", String::as_str);
    let issuer = call.house.settings.server.issuers.iter().find(|issuer| issuer.name == name);
    issuer.ok_or_else(|| Problem::not_found("there is no such issuer").hint("`/sign-in` lists those that there are"))
}

/// Where this issuer sends people back to.
fn back(call: &Call, settings: &IssuerSettings) -> String {
    format!("{}{}", call.server.url, BACK.replace("{issuer}", &settings.name))
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
    let name = call.house.settings.principal(&Asker { user: who, in_name_of: None })?.said();
    let secret = sessions::begin(&call.house, owner, &call.headers).await?;
    let mut response = elsewhere(to)?;
    response.extensions_mut().insert(CameOf { who: Some((name, way_in)), ..CameOf::default() });
    set_cookie(&mut response, call.server.is_https(), (&cookie, &secret), None)?;
    Ok(response)
}

fn attempt_cookie(call: &Call) -> String {
    format!("{}-signing-in", call.server.cookie())
}
