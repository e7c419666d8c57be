//! The one table of routes. The router, the check of permissions, the description of the API, the client of the command line and the
//! tables of `docs/server.md` come from it, so that none of them can be forgotten.

mod across;
mod commands;
mod doors;
mod questions;
mod row;
mod sign_ins;
mod table;

pub(super) use self::row::{FIELDS, PART_OF_DOCUMENT};
pub use self::{
    across::{APPROVALS, LOG_CHECKS, RELEASE, RELEASES, SEARCH},
    commands::{CHANGES, COMMANDS, NUDGES, PREDICTIONS},
    doors::{API, GITHUB_WEBHOOK, HEALTH, ME, READY},
    questions::{
        HOLDS, JOURNEY, LOG, LOG_EVENTS, LOGS, PROMOTIONS, RULES, RUN, RUN_EXPLAINED, RUNS, STATS, STATUS,
        SYSTEM_APPROVALS, SYSTEM_STATUS, SYSTEMS, TARGET, TARGETS, TRACE, VERSIONS,
    },
    row::{Answer, Method, Needs, Parameter, ParameterKind, Route, SchemaOf, encoded},
    sign_ins::{
        GITHUB_CONNECT, GITHUB_CONNECTED, HOME, SESSION_END, SESSIONS, SIGN_IN, SIGN_IN_BACK, SIGN_IN_WITH, SIGN_OUT,
    },
    table::ROUTES,
};
