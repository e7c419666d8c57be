//! Where people come in and go: the link that `tidegate serve` prints, and the end of a session.

use std::{future::Future, pin::Pin};

use axum::{
    body::Body,
    http::{HeaderValue, Response, StatusCode, header},
};

use super::{
    call::{Answered, Call, text},
    problem::{Problem, ProblemKind},
    server::SignedIn,
};
use crate::house::now_ms;

type Answering = Pin<Box<dyn Future<Output = Answered> + Send>>;

pub(super) fn home(call: Call) -> Answering {
    Box::pin(async move {
        let by = call.house.settings.principal(call.who()?)?;
        Ok(text(format!("You have signed in as {}.\nWhat can be asked is described at /api.\n", by.said())))
    })
}

/// Begins a session for whoever has the link. The link is good once; whoever comes second is told nothing else.
pub(super) fn sign_in(call: Call) -> Answering {
    Box::pin(async move {
        let secret = call.query("secret", |secret| Ok(secret.to_owned()))?.unwrap_or_default();
        let begun = call.server.sessions.begin(&secret, now_ms());
        let begun = begun.map_err(|error| Problem::new(ProblemKind::Unavailable, error.to_string()))?;
        let Some(session) = begun else {
            tracing::warn!("somebody tried to sign in with a link that is not good");
            let problem = Problem::new(ProblemKind::NotSignedIn, "this link is not good: each is good once");
            return Err(problem.hint("`tidegate serve` prints the next one where it runs"));
        };
        call.server.announce_link();
        elsewhere(&call, &session, None)
    })
}

pub(super) fn sign_out(call: Call) -> Answering {
    Box::pin(async move {
        if let Some(SignedIn::Session { secret }) = &call.signed_in {
            call.server.sessions.end(secret);
        }
        let mut response = text("You have signed out.\n");
        set_cookie(&mut response, &call, "", Some(0))?;
        Ok(response)
    })
}

/// To the page where people come in, with a cookie.
fn elsewhere(call: &Call, session: &str, age: Option<u32>) -> Answered {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SEE_OTHER;
    response.headers_mut().insert(header::LOCATION, HeaderValue::from_static("/"));
    set_cookie(&mut response, call, session, age)?;
    Ok(response)
}

fn set_cookie(response: &mut Response<Body>, call: &Call, value: &str, age: Option<u32>) -> Result<(), Problem> {
    let secure = if call.server.is_https() { "; Secure" } else { "" };
    let age = age.map_or_else(String::new, |age| format!("; Max-Age={age}"));
    let cookie = format!("{}={value}; Path=/; HttpOnly; SameSite=Lax{secure}{age}", call.server.cookie());
    let cookie =
        HeaderValue::from_str(&cookie).map_err(|error| Problem::new(ProblemKind::Broken, error.to_string()))?;
    response.headers_mut().insert(header::SET_COOKIE, cookie);
    Ok(())
}
