//! What forges deliver. Whoever sends it signs it, so that nobody signs in for it; where no secret is set there is no such place.

use std::{future::Future, pin::Pin};

use axum::{
    body::Body,
    http::{HeaderMap, HeaderName, Response, StatusCode},
};

use super::{
    call::{Answered, Call},
    page_token::is_form,
    problem::{Problem, ProblemKind},
};
use crate::house::{
    House,
    webhooks::{NotTaken, Sent, is_signature},
};

/// Where GitHub delivers.
pub(super) const GITHUB: &str = "/webhooks/github";
const DELIVERY: HeaderName = HeaderName::from_static("x-github-delivery");
const EVENT: HeaderName = HeaderName::from_static("x-github-event");
const SIGNATURE: HeaderName = HeaderName::from_static("x-hub-signature-256");

/// What is answered before anything is read of what was sent, where that is certain.
pub(super) fn at_once(house: &House, path: &str, headers: &HeaderMap) -> Option<Answered> {
    if !house.settings.takes_webhooks() {
        return Some(Err(Problem::nothing_at(path)));
    }
    (!is_signature(&only(headers, &SIGNATURE))).then(|| Ok(unsigned()))
}

/// Takes a delivery of GitHub in.
pub(super) fn github(call: Call) -> Pin<Box<dyn Future<Output = Answered> + Send>> {
    Box::pin(async move {
        let Call { server, house, headers, body, .. } = &call;
        let (guid, event, signature) = (only(headers, &DELIVERY), only(headers, &EVENT), only(headers, &SIGNATURE));
        let sent = Sent { guid: &guid, event: &event, signature: &signature, body };
        match house.take_webhook(&server.webhook_secrets, sent).await {
            Ok(()) => Ok(with_status(StatusCode::ACCEPTED)),
            Err(NotTaken::Unsigned) => {
                tracing::warn!("a webhook was refused: no secret of `webhook_secret_file` signed it");
                Ok(unsigned())
            }
            Err(NotTaken::Malformed(why)) => {
                tracing::warn!("a webhook was refused that is signed and cannot be read: {why}");
                let problem = Problem::new(ProblemKind::BadRequest, why);
                Err(match is_form(headers) {
                    true => problem.hint("let the webhook's content type be `application/json`"),
                    false => problem,
                })
            }
            // Why they cannot be read is in the server's log, and nobody's matter outside.
            Err(NotTaken::NoSecrets(_)) => Err(Problem::new(ProblemKind::Unavailable, "no webhook can be checked now")),
            Err(error @ NotTaken::TooMany) => Err(Problem::new(ProblemKind::Unavailable, error.to_string())),
            Err(NotTaken::Store(error)) => Err(Problem::from(&error)),
        }
    })
}

/// A header that is said once; an empty text where it is not.
fn only(headers: &HeaderMap, name: &HeaderName) -> String {
    let mut values = headers.get_all(name).iter();
    match (values.next().and_then(|value| value.to_str().ok()), values.next()) {
        (Some(value), None) => value.to_owned(),
        _ => String::new(),
    }
}

/// Tells a stranger nothing.
fn unsigned() -> Response<Body> {
    with_status(StatusCode::UNAUTHORIZED)
}

fn with_status(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}
