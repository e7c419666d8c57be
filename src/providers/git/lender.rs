//! Credentials that somebody lends for a while, such as a forge the token of an installation: asked for anew for every call.

use std::fmt;

use async_trait::async_trait;

use crate::providers::{Fault, Secret};

/// A name and a password for a remote.
#[derive(Debug, Clone)]
pub struct Lent {
    /// The user's name.
    pub username: String,
    /// The password or token.
    pub password: Secret,
}

/// Who lends credentials.
#[async_trait]
pub trait Lender: Send + Sync + fmt::Debug {
    /// The credentials for the remote at `url`, which is http or https and has none of its own; none where nobody lends any, and
    /// git uses those that it is set up with.
    ///
    /// # Errors
    /// When there should be some and they cannot be had.
    async fn lend(&self, url: &str) -> Result<Option<Lent>, Fault>;
}
