//! The server over HTTP: programs and people ask it what they ask on the command line, and are told the same. One table of routes
//! is the whole of it; the listener, the checks and the description are made from that.

mod account;
mod approvals;
mod attempt;
mod bodies;
mod call;
mod caller;
mod came_of;
mod changes;
mod commands;
mod connect;
mod cookies;
mod cursor;
mod fields;
mod identity;
mod issuer_http;
mod issuers;
mod limits;
mod listener;
mod log_checks;
mod logs;
mod loopback;
mod openapi;
mod origin;
mod own_sessions;
mod page_token;
mod pages;
mod patient;
mod places;
mod predictions;
mod problem;
mod questions;
mod ready;
mod releases;
mod router;
pub mod routes;
mod search;
mod secret;
mod server;
mod sessions;
mod sign_in;
mod strict;
mod tls;
mod versions;
mod webhooks;

pub use self::{
    connect::CONNECT,
    listener::Listening,
    openapi::description,
    problem::{Problem, ProblemKind},
    server::{Announce, Server},
    sessions::{TOKEN_PREFIX, hash_of, new_token},
};
