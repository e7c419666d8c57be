//! GitHub as the forge, against a GitHub on a real socket that is held to its own description.

mod client;
mod fake;
