//! Signing in by GitHub, as an App has it: the page that asks, the code, and the token that it is exchanged for.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::{
    super::http::Request,
    pages::{Page, fields, json, page, seen, sent_to, with_query},
    state::{Asker, State, Token},
};

/// How long a code is good, in seconds.
const CODE_S: i64 = 600;
/// How long a token of a person is good.
const TOKEN_S: i64 = 8 * 3_600;

/// A code that somebody was sent back with.
#[derive(Clone)]
pub(crate) struct SigningIn {
    login: String,
    back: String,
    challenge: String,
    ends: DateTime<Utc>,
}

pub(super) fn answer(state: &mut State, request: &Request, path: &str) -> Page {
    match (request.method.as_str(), path) {
        ("GET", "/login/oauth/authorize") => asks(state, request),
        ("POST", "/login/oauth/authorize") => agreed(state, request),
        ("POST", "/login/oauth/access_token") => token(state, request),
        _ => seen(404, "Not Found"),
    }
}

fn asks(state: &State, request: &Request) -> Page {
    let said = fields(request.query.as_bytes());
    let of = |name: &str| said.get(name).map_or("", String::as_str);
    if of("client_id") != state.app.client_id {
        return seen(404, "There is no such client");
    }
    if !state.app.callback_urls.iter().any(|url| url == of("redirect_uri")) {
        return seen(400, "The redirect_uri is not associated with this application.");
    }
    if of("code_challenge_method") != "S256" || of("code_challenge").len() != 43 || of("state").is_empty() {
        return seen(400, "There is no challenge or state");
    }
    let names = ["redirect_uri", "code_challenge", "state"];
    let mut all = vec![("action", "/login/oauth/authorize")];
    all.extend(names.map(|name| (name, of(name))));
    page(&format!("Authorize as {}", state.browser), &all)
}

fn agreed(state: &mut State, request: &Request) -> Page {
    let said = fields(&request.body);
    let code = format!("0a{:018}", state.number());
    let signing_in = SigningIn {
        login: state.browser.clone(),
        back: said["redirect_uri"].clone(),
        challenge: said["code_challenge"].clone(),
        ends: state.now() + TimeDelta::seconds(CODE_S),
    };
    state.signing_in.insert(code.clone(), signing_in);
    sent_to(&with_query(&said["redirect_uri"], &[("code", &code), ("state", &said["state"])]))
}

/// A token for a code; what is wrong is said with status 200.
fn token(state: &mut State, request: &Request) -> Page {
    let said = fields(&request.body);
    let of = |name: &str| said.get(name).map_or("", String::as_str);
    let no = |error: &str| json(&json!({ "error": error, "error_description": "…", "error_uri": "/apps/…" }));
    if !request.header("accept").is_some_and(|accept| accept.contains("application/json")) {
        return seen(200, "error=it+was+not+asked+for+in+json");
    }
    if of("client_id") != state.app.client_id || of("client_secret") != state.app.client_secret {
        return no("incorrect_client_credentials");
    }
    let Some(signing_in) = state.signing_in.remove(of("code")).filter(|it| it.ends > state.now()) else {
        return no("bad_verification_code");
    };
    if signing_in.back != of("redirect_uri") {
        return no("redirect_uri_mismatch");
    }
    if URL_SAFE_NO_PAD.encode(Sha256::digest(of("code_verifier"))) != signing_in.challenge {
        return no("bad_verification_code");
    }
    let token = format!("ghu_{:036}", state.number());
    let ends = state.now() + TimeDelta::seconds(TOKEN_S);
    state.tokens.insert(token.clone(), Token { of: Asker::Person(signing_in.login), ends });
    json(&json!({ "access_token": token, "token_type": "bearer", "scope": "", "expires_in": TOKEN_S }))
}
