//! How far other systems are with a release, wherever those systems are.

use async_trait::async_trait;

use crate::{engine::version::release::Standing, rules::SystemName};

/// What is known of other systems' promotions, wherever those systems are.
#[async_trait]
pub trait Releases: Send + Sync {
    /// How far a system is with a release; an error says why it cannot be told now.
    async fn standing(&self, system: &SystemName, release: &str) -> Result<Standing, String>;
}

/// Where there is no other system: whoever waits for one waits for ever.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoReleases;

#[async_trait]
impl Releases for NoReleases {
    async fn standing(&self, _: &SystemName, _: &str) -> Result<Standing, String> {
        Ok(Standing::Missing)
    }
}
