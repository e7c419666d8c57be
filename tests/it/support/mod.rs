//! What the tests stand on.

pub(crate) mod certificate;
pub(crate) mod hook;
pub(crate) mod http_git;
pub(crate) mod issuer;
pub(crate) mod lfs_server;
pub(crate) mod mailbox;
pub(crate) mod people;
pub(crate) mod repo;
pub(crate) mod sandbox;
