//! The questions about systems.

use super::row::{
    Answer, BASE, CURSOR, Needs, Parameter, ParameterKind, QUESTION, Route, STAGE, STATE, needed, of, place, text,
    up_to,
};
use crate::{
    store::Traced,
    view::{
        answers::{EventsPage, LogsTold, PromotionsPage, QuestionsPage, RulesTold, RunsPage, SystemSummary},
        explain::{JourneyExplained, RunExplained},
        holds::HoldsTold,
        run::RunShown,
        stats::SystemStats,
        status::StatusReport,
        target::TargetReport,
        versions::VersionsOfStage,
    },
    web::{approvals, call::MOST_ITEMS, logs, questions, versions},
};

/// The systems.
pub static SYSTEMS: Route = Route {
    name: "systems",
    path: "/api/v1/systems",
    summary: "the systems, with the place of the last event of each",
    needs: Needs::SignedIn,
    answer: Answer::Json(of::<Vec<SystemSummary>>),
    handler: questions::systems,
    ..QUESTION
};
/// The lattice of all systems.
pub static STATUS: Route = Route {
    name: "status",
    path: "/api/v1/status",
    summary: "the lattices, as `tidegate status -o json` prints them",
    needs: Needs::SignedIn,
    query: &[text("system", "only this system")],
    answer: Answer::Json(of::<Vec<StatusReport>>),
    handler: questions::status,
    ..QUESTION
};
/// The lattice of a system, now or then.
pub static SYSTEM_STATUS: Route = Route {
    name: "system_status",
    path: "/api/v1/systems/{system}/status",
    summary: "the lattice of a system: what is where, what goes on, and what waits for whom; also as it was",
    query: &[
        text("at", "as it was at this time: `2026-11-20 12:00` (UTC), `2026-11-20T12:00:00Z` or `2h ago`"),
        place("seq", "as it was after this event"),
    ],
    answer: Answer::Json(of::<StatusReport>),
    handler: questions::system_status,
    ..QUESTION
};
/// Runs.
pub static RUNS: Route = Route {
    name: "runs",
    path: "/api/v1/systems/{system}/runs",
    summary: "the runs, the newest first",
    query: &[
        text("rule", "only runs of this rule; `promote` for promotions"),
        STAGE,
        STATE,
        CURSOR,
        up_to(MOST_ITEMS, "how many at most"),
    ],
    answer: Answer::Json(of::<RunsPage>),
    handler: questions::runs,
    ..QUESTION
};
/// A run.
pub static RUN: Route = Route {
    name: "run",
    path: "/api/v1/systems/{system}/runs/{run}",
    summary: "one run: its plan, what each step made, and what it waits for",
    answer: Answer::Json(of::<RunShown>),
    handler: questions::run,
    ..QUESTION
};
/// Why a run is where it is.
pub static RUN_EXPLAINED: Route = Route {
    name: "run_explained",
    path: "/api/v1/systems/{system}/runs/{run}/explanation",
    summary: "why a run is where it is: what has passed, what it waits for, and who can end that",
    answer: Answer::Json(of::<RunExplained>),
    handler: questions::run_explained,
    ..QUESTION
};
/// The logs of a run.
pub static LOGS: Route = Route {
    name: "logs",
    path: "/api/v1/systems/{system}/runs/{run}/logs",
    summary: "which steps of a run printed something, and how much",
    answer: Answer::Json(of::<LogsTold>),
    handler: questions::logs,
    ..QUESTION
};
/// The log of a step.
pub static LOG: Route = Route {
    name: "log",
    path: "/api/v1/systems/{system}/runs/{run}/steps/{step}/log",
    summary: "what a step printed so far; followed, until it ends",
    query: &[Parameter {
        kind: ParameterKind::OneOf(&["true", "false"]),
        ..text("follow", "as it comes, until the step ends")
    }],
    headers: &[text("Range", "only a part: `bytes=4096-`")],
    answer: Answer::Bytes,
    problems: &[416],
    handler: logs::log,
    ..BASE
};
/// Where a commit or artifact is on its way.
pub static JOURNEY: Route = Route {
    name: "journey",
    path: "/api/v1/systems/{system}/journey",
    summary: "where a commit or artifact is on its way to a stage, and why",
    query: &[
        needed("what", "a commit (also `image@193772ea94`), or the name of an artifact; its first digits are enough"),
        needed("stage", "the stage it is asked about"),
    ],
    answer: Answer::Json(of::<JourneyExplained>),
    handler: questions::journey,
    ..QUESTION
};
/// What was made from what.
pub static TRACE: Route = Route {
    name: "trace",
    path: "/api/v1/systems/{system}/trace",
    summary: "what an artifact or commit was made from, and what was made from it",
    query: &[needed("name", "its name, or the beginning of it")],
    answer: Answer::Json(of::<Traced>),
    handler: questions::trace,
    ..QUESTION
};
/// The log.
pub static LOG_EVENTS: Route = Route {
    name: "events_of_system",
    path: "/api/v1/systems/{system}/events",
    summary: "the events of the log in order, from the oldest; without `cursor` and `from`, the newest",
    query: &[place("from", "from this place of the log on"), CURSOR, up_to(MOST_ITEMS, "how many at most")],
    answer: Answer::Json(of::<EventsPage>),
    handler: questions::events,
    ..QUESTION
};
/// How well delivery goes.
pub static STATS: Route = Route {
    name: "stats",
    path: "/api/v1/systems/{system}/stats",
    summary: "lead time, deployment frequency, change failure rate and time to restore",
    query: &[text("since", "from when on: `30d`, or a moment; 30 days unless it is said"), STAGE],
    answer: Answer::Json(of::<SystemStats>),
    handler: questions::stats,
    ..QUESTION
};
/// Targets.
pub static TARGETS: Route = Route {
    name: "targets",
    path: "/api/v1/systems/{system}/targets",
    summary: "what is deployed to: where each is in its life, how it stands, who has it",
    answer: Answer::Json(of::<Vec<TargetReport>>),
    handler: questions::targets,
    ..QUESTION
};
/// A target.
pub static TARGET: Route = Route {
    name: "target",
    path: "/api/v1/systems/{system}/targets/{target}/stages/{stage}",
    summary: "one target at its stage, with the plan that a run now would make",
    answer: Answer::Json(of::<TargetReport>),
    handler: questions::target,
    ..QUESTION
};
/// The rules.
pub static RULES: Route = Route {
    name: "rules",
    path: "/api/v1/systems/{system}/rules",
    summary: "the rules in force with their source, and the mistakes of those that were refused since",
    answer: Answer::Json(of::<RulesTold>),
    handler: questions::rules,
    ..QUESTION
};
/// The open questions of a system.
pub static SYSTEM_APPROVALS: Route = Route {
    name: "system_approvals",
    path: "/api/v1/systems/{system}/approvals",
    summary: "the open questions: what each shows, who may answer it, and what is missing",
    query: &[CURSOR, up_to(MOST_ITEMS, "how many at most")],
    answer: Answer::Json(of::<QuestionsPage>),
    handler: approvals::of_system,
    ..QUESTION
};
/// What is held.
pub static HOLDS: Route = Route {
    name: "holds",
    path: "/api/v1/systems/{system}/holds",
    summary: "what keeps things from moving: the pause, freezes, windows, pinned stages and vetoes, with who, why and until when",
    answer: Answer::Json(of::<HoldsTold>),
    handler: versions::holds,
    ..QUESTION
};
/// Versions.
pub static VERSIONS: Route = Route {
    name: "versions",
    path: "/api/v1/systems/{system}/versions",
    summary: "the versions of each stage, the newest first: what was verified together, and of which artifacts",
    query: &[STAGE],
    answer: Answer::Json(of::<Vec<VersionsOfStage>>),
    handler: versions::versions,
    ..QUESTION
};
/// Promotions.
pub static PROMOTIONS: Route = Route {
    name: "promotions",
    path: "/api/v1/systems/{system}/promotions",
    summary: "the promotions, the newest first",
    query: &[STAGE, STATE, CURSOR, up_to(MOST_ITEMS, "how many at most")],
    answer: Answer::Json(of::<PromotionsPage>),
    handler: versions::promotions,
    ..QUESTION
};
