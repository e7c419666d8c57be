//! GitHub: github.com and Enterprise Server, by an App or by a token. Documented at <https://docs.github.com/en/rest>.

mod address;
pub mod manifest;
pub mod oauth;
mod pages;
pub mod permissions;

pub use address::Addresses;
pub use pages::Unanswered;

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
