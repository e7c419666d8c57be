//! GitHub: github.com and Enterprise Server, by an App or by a token. Documented at <https://docs.github.com/en/rest>.

mod address;
mod call;
mod caller;
mod checks;
mod client;
mod deliveries;
mod deployments;
mod examine;
mod forge;
mod installations;
mod installed;
pub mod manifest;
pub mod oauth;
mod pace;
mod pages;
mod people;
pub mod permissions;
mod repositories;
mod settings;
mod statuses;
mod verdict;
pub mod webhook;

pub use address::Addresses;
pub use call::Limits;
pub use client::GitHub;
pub use pages::Unanswered;
pub use settings::{Access, GitHubSettings};
