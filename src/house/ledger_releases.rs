//! How far the other systems of a release are, where all of them are in this program's own store.

use std::sync::Arc;

use async_trait::async_trait;

use crate::{
    engine::version::release::{self, Standing},
    rules::SystemName,
    steps::Releases,
    store::Ledger,
};

/// Releases of the systems in this program's own store.
pub(crate) struct LedgerReleases(pub(super) Arc<Ledger>);

#[async_trait]
impl Releases for LedgerReleases {
    async fn standing(&self, system: &SystemName, name: &str) -> Result<Standing, String> {
        let read = self.0.read(system, |state| release::standing(state, name)).await;
        read.map_err(|error| error.to_string())
    }
}
