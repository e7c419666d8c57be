//! What anybody asks first: whether the server is there, what can be asked, and who asks.

use super::row::{Answer, BASE, Needs, QUESTION, Route, any, of};
use crate::{
    view::answers::Me,
    web::{questions, ready},
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
