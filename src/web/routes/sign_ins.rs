//! Where people come in and go, and their sessions; and where a forge is connected.

use super::row::{Answer, BASE, Method, Needs, QUESTION, Route, of, text};
use crate::{
    view::answers::{SessionEnded, SessionTold},
    web::{connect, own_sessions, sign_in},
};

/// Where people come in.
pub static HOME: Route = Route {
    name: "home",
    path: "/",
    summary: "who has signed in",
    needs: Needs::SignedIn,
    answer: Answer::Page,
    handler: own_sessions::home,
    ..BASE
};
/// How to sign in, and where the link leads.
pub static SIGN_IN: Route = Route {
    name: "sign_in",
    path: "/sign-in",
    summary: "says how to sign in; signs in whoever has the link that `tidegate serve` printed, once",
    needs: Needs::Nothing,
    query: &[text("secret", "the secret of the link"), text("to", "the place of this server to go to afterwards")],
    signs_in: true,
    answer: Answer::Page,
    problems: &[401],
    handler: sign_in::sign_in,
    ..BASE
};
/// Where signing in with an issuer begins.
pub static SIGN_IN_WITH: Route = Route {
    name: "sign_in_with",
    path: "/sign-in/{issuer}",
    summary: "leads to an issuer, to sign in there",
    needs: Needs::Nothing,
    query: &[text("to", "the place of this server to go to afterwards")],
    answer: Answer::Elsewhere,
    problems: &[404],
    handler: sign_in::sign_in_with,
    ..BASE
};
/// Where an issuer sends people back to.
pub static SIGN_IN_BACK: Route = Route {
    name: "sign_in_back",
    path: sign_in::BACK,
    summary: "takes people back from an issuer, and signs them in",
    needs: Needs::Nothing,
    query: &[
        text("code", "what the issuer gives out for a token"),
        text("state", "what tells whose sign-in it is"),
        text("iss", "which issuer says so"),
        text("error", "why the issuer signed nobody in"),
    ],
    takes_more: true,
    signs_in: true,
    answer: Answer::Elsewhere,
    problems: &[401, 403, 404],
    handler: sign_in::sign_in_back,
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
/// Where GitHub is connected.
pub static GITHUB_CONNECT: Route = Route {
    name: "github_connect",
    path: connect::CONNECT,
    summary: "connects GitHub: says what App will be made there, and has the button that does it",
    needs: Needs::SignedIn,
    query: &[
        text("organization", "the organization that the App is for; one's own account without it"),
        text("url", "the address of GitHub"),
    ],
    answer: Answer::Page,
    problems: &[403],
    handler: connect::page,
    ..BASE
};
/// Where GitHub sends the browser back to.
pub static GITHUB_CONNECTED: Route = Route {
    name: "github_connected",
    path: connect::CONNECTED,
    summary: "takes a browser back from GitHub, and the App that was made there",
    needs: Needs::SignedIn,
    query: &[text("code", "what GitHub gives out for the App"), text("state", "what tells which browser began")],
    takes_more: true,
    answer: Answer::Page,
    problems: &[403, 503],
    handler: connect::connected,
    ..BASE
};
/// The sessions of whoever asks.
pub static SESSIONS: Route = Route {
    name: "sessions",
    path: "/api/v1/sessions",
    summary: "where whoever asks has signed in, the newest first",
    needs: Needs::SignedIn,
    answer: Answer::Json(of::<Vec<SessionTold>>),
    handler: own_sessions::sessions,
    ..QUESTION
};
/// The end of one of them.
pub static SESSION_END: Route = Route {
    name: "session_end",
    method: Method::Post,
    path: own_sessions::END,
    summary: "ends a session of whoever asks",
    needs: Needs::SignedIn,
    answer: Answer::Json(of::<SessionEnded>),
    problems: &[404],
    handler: own_sessions::end,
    ..BASE
};
