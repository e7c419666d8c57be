//! What anybody asks first: whether the server is there, what can be asked, and who asks.

use super::row::{Answer, BASE, Method, Needs, QUESTION, Route, any, needed, of};
use crate::{
    view::answers::Me,
    web::{questions, ready, webhooks},
};

/// Whether the process is there.
pub static HEALTH: Route = Route {
    name: "health",
    path: "/healthz",
    summary: "whether the process is there",
    needs: Needs::Nothing,
    handler: questions::health,
    ..BASE
};
/// Whether it works.
pub static READY: Route = Route {
    name: "ready",
    path: "/readyz",
    summary: "whether the store can be written and what is due is begun",
    needs: Needs::Nothing,
    problems: &[503],
    handler: ready::ready,
    ..BASE
};
/// The description of this API.
pub static API: Route = Route {
    name: "api",
    path: "/api",
    summary: "this description, as OpenAPI 3.1",
    needs: Needs::Nothing,
    answer: Answer::Json(any),
    handler: questions::describe,
    ..BASE
};
/// Where GitHub delivers what happens there.
pub static GITHUB_WEBHOOK: Route = Route {
    name: "github_webhook",
    method: Method::Post,
    path: webhooks::GITHUB,
    summary: "takes in what GitHub delivers; it is not there before `[forges.github]` has a `webhook_secret_file`",
    needs: Needs::Nothing,
    is_signed: true,
    headers: &[
        needed("X-GitHub-Delivery", "what names the delivery: the same again, and nothing moves"),
        needed("X-GitHub-Event", "what happened"),
        needed("X-Hub-Signature-256", "`sha256=` and the HMAC of the body's bytes"),
    ],
    body: Some(any),
    answer: Answer::Accepted,
    problems: &[401, 404],
    handler: webhooks::github,
    ..BASE
};
/// Who asks.
pub static ME: Route = Route {
    name: "me",
    path: "/api/v1/me",
    summary: "who asks, and what they may do where",
    needs: Needs::SignedIn,
    answer: Answer::Json(of::<Me>),
    handler: questions::me,
    ..QUESTION
};
