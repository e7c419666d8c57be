//! Commands over HTTP: what is asked of a server elsewhere, and answered as the store here would. What can be asked is in the table
//! of routes of `web/`, and nowhere else.

pub(super) mod answers;
mod client;
mod wider;

pub(super) use self::client::{Client, ServerSaid};
