//! What a command of a session has to come with beside its cookie: a token that only pages of ours can read. Programs with tokens of
//! their own need none: no browser sends those by itself.

use axum::http::{HeaderMap, HeaderName, header};

use super::{
    problem::{Problem, ProblemKind},
    secret::sha256,
    server::SignedIn,
    sessions::page_token,
};

/// The header that has it, from scripts.
const HEADER: HeaderName = HeaderName::from_static("x-tidegate-page");
/// The field that has it, in forms.
const FIELD: &str = "page";

/// Refuses a command of a session that does not come from a page of ours.
///
/// # Errors
/// [`ProblemKind::Forbidden`].
pub(super) fn check(signed_in: Option<&SignedIn>, headers: &HeaderMap, body: &[u8]) -> Result<(), Problem> {
    let Some(SignedIn::Session { secret, .. }) = signed_in else { return Ok(()) };
    let by_header = headers.get(HEADER).and_then(|said| said.to_str().ok()).map(str::to_owned);
    let by_form = || {
        let mut fields = form_urlencoded::parse(body);
        fields.find(|(name, _)| name == FIELD).map(|(_, value)| value.into_owned())
    };
    let said = by_header.or_else(|| is_form(headers).then(by_form).flatten());
    // Hashes are compared: how long that takes tells nothing.
    if said.is_some_and(|said| sha256(&said) == sha256(&page_token(secret))) {
        return Ok(());
    }
    let problem = Problem::new(ProblemKind::Forbidden, "this command does not come from a page of this server");
    Err(problem.hint(
        "send the `page_token` of `/api/v1/me` as `X-Tidegate-Page`, or use a token: `Authorization: Bearer tide_…`",
    ))
}

/// Whether a form was sent.
pub(super) fn is_form(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.split(';').next().unwrap_or_default().trim() == "application/x-www-form-urlencoded"
}
