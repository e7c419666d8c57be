//! The questions over all systems that whoever asks may look at, and what is asked of several at once.

use super::row::{Answer, CURSOR, KEY, Method, Needs, QUESTION, Route, needed, of, text, up_to};
use crate::{
    house::log_checks::LogChecked,
    view::{
        answers::{QuestionsPage, ReleaseAsked, ReleaseBegun, ReleaseTold},
        found::FoundTold,
    },
    web::{approvals, call::MOST_ITEMS, log_checks, releases, search},
};

/// The open questions of all systems.
pub static APPROVALS: Route = Route {
    name: "approvals",
    path: "/api/v1/approvals",
    summary: "the open questions of all systems",
    needs: Needs::SignedIn,
    query: &[text("system", "only this system"), CURSOR, up_to(MOST_ITEMS, "how many at most")],
    answer: Answer::Json(of::<QuestionsPage>),
    handler: approvals::of_all,
    ..QUESTION
};
/// What is looked for.
pub static SEARCH: Route = Route {
    name: "search",
    path: "/api/v1/search",
    summary: "the systems, runs, commits, artifacts and people that a text is found in",
    needs: Needs::SignedIn,
    query: &[
        needed("q", "the text: of commits and artifacts the beginning, of all else any part; 2 to 100 characters"),
        text("system", "only this system"),
        up_to(search::MOST_FOUND, "how many at most"),
    ],
    answer: Answer::Json(of::<FoundTold>),
    handler: search::search,
    ..QUESTION
};
/// How far a release is.
pub static RELEASE: Route = Route {
    name: "release",
    path: "/api/v1/releases/{release}",
    summary: "how far a release of several systems is",
    needs: Needs::SignedIn,
    answer: Answer::Json(of::<ReleaseTold>),
    problems: &[404],
    handler: releases::standing,
    ..QUESTION
};
/// A release begins.
pub static RELEASES: Route = Route {
    name: "begin_release",
    method: Method::Post,
    path: "/api/v1/releases",
    summary: "promotes several systems as one, after all of them would grant it",
    needs: Needs::SignedIn,
    headers: &[KEY],
    body: Some(of::<ReleaseAsked>),
    answer: Answer::Json(of::<ReleaseBegun>),
    problems: &[404, 409, 413, 415, 422],
    handler: releases::release,
    ..QUESTION
};
/// Whether logs are as they were written.
pub static LOG_CHECKS: Route = Route {
    name: "log_checks",
    path: "/api/v1/log-checks",
    summary: "whether the logs are as they were written, and all that follows from them, as `tidegate verify-log -o json` prints it",
    needs: Needs::SignedIn,
    query: &[
        text("system", "only this system"),
        text("expect", "an event that the log must have still, as an earlier check named it: `120:HASH`"),
    ],
    answer: Answer::Json(of::<Vec<LogChecked>>),
    handler: log_checks::log_checks,
    ..QUESTION
};
