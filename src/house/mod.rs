//! What is opened to answer anybody, on the command line or over HTTP: the settings, the store, what steps work with, the rules
//! in force, and who asks. It prints nothing and listens to nobody.

pub mod asker;
pub mod at_github;
pub mod channels;
pub mod connect;
mod connect_files;
pub mod current;
pub mod failure;
pub mod forges;
pub mod forwarding;
pub mod git_settings;
pub mod github_sign_in;
pub(crate) mod in_force;
pub mod issuers;
mod ledger_releases;
pub(crate) mod lending;
pub mod log_checks;
pub(crate) mod moment;
mod opened;
pub mod past;
mod permissions;
pub(crate) mod place_waits;
pub mod predictions;
pub(crate) mod private;
pub mod questions;
mod release;
mod releases;
pub(crate) mod remotes;
pub(crate) mod rules_from;
mod search;
pub(crate) mod secrets;
pub mod server_settings;
pub mod settings;
pub mod signing;
pub mod webhooks;
mod whereabouts;

pub use self::opened::{House, Once};
pub(crate) use self::opened::{NOTHING_YET, current_program};
pub use crate::driver::now_ms;
