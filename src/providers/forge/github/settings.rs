//! Which GitHub is asked, and as whom.

use super::address::Addresses;
use crate::providers::Secret;

/// How a GitHub is asked.
#[derive(Debug, Clone)]
pub struct GitHubSettings {
    /// Where it is.
    pub addresses: Addresses,
    /// As whom.
    pub access: Access,
}

/// As whom a GitHub is asked.
#[derive(Debug, Clone)]
pub enum Access {
    /// As an App, wherever it is installed.
    App {
        /// The App's number.
        id: u64,
        /// Its private key, in PEM.
        key: Secret,
    },
    /// As whoever a token is of.
    Token(Secret),
}
