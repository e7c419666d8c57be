//! The account of what was asked to be done over HTTP: by whom, from where, and what came of it. Questions are left out.

use std::{collections::BTreeMap, net::IpAddr};

use axum::{
    body::Body,
    http::{HeaderName, HeaderValue, Response},
};

use super::{
    call::Answered,
    came_of::CameOf,
    routes::{COMMANDS, Method, Route},
    secret::random,
    server::Server,
};
use crate::{
    engine::Command,
    house::{House, asker::Asker, now_ms},
    rules::SystemName,
    store::CallNote,
    view::history::asked_for,
};

/// What names a call in its answer, in the account and in the server's log.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// How many characters that has: 128 bits.
const LENGTH_OF_ID: usize = 22;
/// The status of a call that was one too many.
const TOO_MANY: u16 = 429;
/// How much of a reason is kept, in characters.
const MOST_WHY: usize = 500;

/// A call, as far as it is known.
pub(super) struct Account {
    route: &'static Route,
    at_ms: i64,
    request: String,
    pub(super) from: IpAddr,
    who: Option<(String, String)>,
    system: Option<SystemName>,
    asked: String,
}

impl Account {
    pub(super) fn begin(route: &'static Route, path: &BTreeMap<String, String>, from: IpAddr) -> Self {
        // Without random bits nobody signs in either.
        let request = random().unwrap_or_default().chars().take(LENGTH_OF_ID).collect();
        let system = path.get("system").and_then(|name| SystemName::new(name).ok());
        let asked = if route.signs_in { "sign-in".to_owned() } else { route.name.replace('_', "-") };
        Self { route, at_ms: now_ms(), request, from, who: None, system, asked }
    }

    /// Who asks is known now.
    pub(super) fn is_by(&mut self, who: &Asker, house: &House) {
        let name = house.settings.principal(who).map_or_else(|_| who.user.to_string(), |by| by.said());
        self.who = Some((name, who.user.way_in().to_owned()));
    }

    /// What was sent is known now.
    pub(super) fn says(&mut self, body: &[u8]) {
        if self.route.name == COMMANDS.name {
            let command = serde_json::from_slice::<Command>(body);
            self.asked = command.map_or_else(|_| "something that is no command".to_owned(), |it| asked_for(&it));
        }
    }

    /// Whether it asked for something to be done: signing in is that, looking at how is not.
    fn is_kept(&self, answered: &Answered) -> bool {
        let came_of = |response: &Response<Body>| response.extensions().get::<CameOf>().is_some();
        let is_done = answered.as_ref().map_or(self.route.signs_in, came_of);
        let asks = self.route.method == Method::Post && !self.route.is_signed;
        asks || is_done
    }

    /// Writes it down, and names it in the answer.
    pub(super) async fn end(self, server: &Server, house: &House, answered: Answered) -> Response<Body> {
        let is_kept = self.is_kept(&answered);
        let why = answered.as_ref().err().map(|problem| problem.detail.clone());
        let mut response = answered.unwrap_or_else(|problem| problem.response());
        if let Ok(value) = HeaderValue::from_str(&self.request) {
            response.headers_mut().insert(REQUEST_ID, value);
        }
        let came_of = response.extensions().get::<CameOf>().cloned().unwrap_or_default();
        let status = response.status().as_u16();
        if (self.route.signs_in || self.route.is_signed) && matches!(status, 401 | 403) {
            // Whoever may not try any more is told so at the next try.
            drop(server.limits.of_failed_try(self.from));
        }
        let who = came_of.who.or(self.who);
        // What is bounded by nothing else would push out the rest: strangers, and calls that were too many.
        let is_bounded = who.is_some() && status != TOO_MANY;
        if is_kept && (is_bounded || server.limits.notes_excess()) {
            let (who, signed_in_by) = who.unzip();
            let why = came_of.why.or(why).map(|why| why.chars().take(MOST_WHY).collect());
            let Self { at_ms, request, from, system, asked, .. } = self;
            let (from, seq) = (from.to_string(), came_of.seq);
            let note = CallNote { at_ms, request, from, who, signed_in_by, system, asked, status, why, seq };
            if let Err(error) = house.ledger.store().note(note.into()).await {
                tracing::warn!(%error, "what was asked is not in the account of calls");
            }
        }
        response
    }
}
