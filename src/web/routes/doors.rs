//! Where people and programs come in: whether the server is there, who has signed in, and what can be asked.

use super::row::{Answer, BASE, Method, Needs, QUESTION, Route, any, needed, of};
use crate::{
    view::answers::Me,
    web::{questions, ready, sign_in},
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
/// Where people come in.
pub static HOME: Route = Route {
    name: "home",
    path: "/",
    summary: "who has signed in",
    needs: Needs::SignedIn,
    handler: sign_in::home,
    ..BASE
};
/// Where the link leads.
pub static SIGN_IN: Route = Route {
    name: "sign_in",
    path: "/sign-in",
    summary: "signs in whoever has the link that `tidegate serve` printed, once",
    needs: Needs::Nothing,
    query: &[needed("secret", "the secret of the link")],
    answer: Answer::Elsewhere,
    problems: &[401],
    handler: sign_in::sign_in,
    ..BASE
};
/// The end of a session.
pub static SIGN_OUT: Route = Route {
    name: "sign_out",
    method: Method::Post,
    path: "/sign-out",
    summary: "ends the session",
    needs: Needs::SignedIn,
    handler: sign_in::sign_out,
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
