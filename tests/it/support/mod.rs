//! What the tests stand on.

pub(crate) mod http_git;
pub(crate) mod repo;
