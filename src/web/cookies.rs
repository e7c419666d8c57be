//! Cookies: for this host alone, unseen by scripts, not sent with what other pages post, and over TLS alone where there is TLS.

use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, Response, header},
};

use super::problem::{Problem, ProblemKind};

/// How many of a name are looked at: a browser has one, and pages of neighbouring names may have added others.
const MOST: usize = 4;

/// The values of the cookies of a name.
pub(super) fn cookies<'headers>(headers: &'headers HeaderMap, name: &str) -> impl Iterator<Item = &'headers str> {
    let all = headers.get_all(header::COOKIE).iter().filter_map(|cookies| cookies.to_str().ok());
    let all = all.flat_map(|cookies| cookies.split(';'));
    all.filter_map(move |cookie| cookie.trim().strip_prefix(name)?.strip_prefix('=')).take(MOST)
}

/// Has a browser keep a cookie, for so many seconds or until it is closed.
pub(super) fn set_cookie(
    response: &mut Response<Body>,
    by_tls: bool,
    (name, value): (&str, &str),
    age_s: Option<u32>,
) -> Result<(), Problem> {
    let secure = if by_tls { "; Secure" } else { "" };
    let age = age_s.map_or_else(String::new, |age_s| format!("; Max-Age={age_s}"));
    let cookie = format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax{secure}{age}");
    let cookie =
        HeaderValue::from_str(&cookie).map_err(|error| Problem::new(ProblemKind::Broken, error.to_string()))?;
    response.headers_mut().append(header::SET_COOKIE, cookie);
    Ok(())
}
