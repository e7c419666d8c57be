//! The one table of routes. The router, the check of permissions, the description of the API, the client of the command line and the
//! tables of `docs/server.md` come from it, so that none of them can be forgotten.

mod row;
mod sign_ins;

use self::row::{BASE, CURSOR, IF_MATCH, KEY, QUESTION, STAGE, any, needed, of, place, text, up_to};
pub use self::{
    row::{Answer, Method, Needs, Parameter, ParameterKind, Route, SchemaOf, encoded},
    sign_ins::{HOME, SESSION_END, SESSIONS, SIGN_IN, SIGN_IN_BACK, SIGN_IN_WITH, SIGN_OUT},
};
use super::{call::MOST_ITEMS, changes, commands, questions};
use crate::{
    engine::Command,
    store::Traced,
    view::{
        answers::{Done, EventTold, EventsPage, LogsTold, Me, NudgeAsked, Nudged, RulesTold, RunsPage, SystemSummary},
        explain::{JourneyExplained, RunExplained},
        run::RunShown,
        stats::SystemStats,
        status::StatusReport,
        target::TargetReport,
    },
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
    summary: "whether the store can be written and what is due is done",
    needs: Needs::Nothing,
    problems: &[503],
    handler: questions::ready,
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
    summary: "who asks, and what they may look at",
    needs: Needs::SignedIn,
    answer: Answer::Json(of::<Me>),
    handler: questions::me,
    ..QUESTION
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
    summary: "what a step printed so far",
    headers: &[text("Range", "only a part: `bytes=4096-`")],
    answer: Answer::Bytes,
    problems: &[416],
    handler: questions::log,
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
/// Commands.
pub static COMMANDS: Route = Route {
    name: "command",
    method: Method::Post,
    path: "/api/v1/systems/{system}/commands",
    summary: "asks for something: what `tidegate` asks for on the command line",
    needs: Needs::Command,
    headers: &[KEY, IF_MATCH],
    body: Some(of::<Command>),
    answer: Answer::Json(of::<Done>),
    problems: &[409, 412, 413, 415, 422],
    handler: commands::command,
    ..BASE
};
/// Nudges.
pub static NUDGES: Route = Route {
    name: "nudge",
    method: Method::Post,
    path: "/api/v1/systems/{system}/nudges",
    summary: "has something looked at now, rather than when its turn comes",
    needs: Needs::Command,
    body: Some(of::<NudgeAsked>),
    answer: Answer::Json(of::<Nudged>),
    problems: &[409, 413, 415, 422],
    handler: commands::nudge,
    ..BASE
};
/// Changes, as they come.
pub static CHANGES: Route = Route {
    name: "changes",
    path: "/api/v1/events",
    summary: "the events of all systems as they come, each once",
    needs: Needs::SignedIn,
    query: &[
        text("system", "only this system"),
        text("after", "after these places: `webshop:12,billing:3`; of systems that it does not name, from now on"),
    ],
    headers: &[text("Last-Event-ID", "the `id` of the last event that came: none is lost, and none comes again")],
    answer: Answer::Events(of::<EventTold>),
    problems: &[429],
    handler: changes::changes,
    ..BASE
};

/// All routes.
pub static ROUTES: [&Route; 29] = [
    &HEALTH,
    &READY,
    &HOME,
    &SIGN_IN,
    &SIGN_IN_WITH,
    &SIGN_IN_BACK,
    &SIGN_OUT,
    &API,
    &ME,
    &SESSIONS,
    &SESSION_END,
    &SYSTEMS,
    &STATUS,
    &SYSTEM_STATUS,
    &RUNS,
    &RUN,
    &RUN_EXPLAINED,
    &LOGS,
    &LOG,
    &JOURNEY,
    &TRACE,
    &LOG_EVENTS,
    &STATS,
    &TARGETS,
    &TARGET,
    &RULES,
    &COMMANDS,
    &NUDGES,
    &CHANGES,
];
