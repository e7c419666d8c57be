//! Lends git the credentials that a forge gives.

use std::{fmt, sync::Arc};

use async_trait::async_trait;

use super::settings::Settings;
use crate::providers::{
    Fault,
    forge::{Forge, github::GitHub},
    git::{Lender, Lent},
};

/// A forge that lends.
pub(crate) struct ForgeLender(pub(crate) Arc<dyn Forge>);

impl fmt::Debug for ForgeLender {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("ForgeLender")
    }
}

#[async_trait]
impl Lender for ForgeLender {
    async fn lend(&self, url: &str) -> Result<Option<Lent>, Fault> {
        let lent = self.0.git_credentials(url).await?;
        Ok(lent.map(|(username, password)| Lent { username, password }))
    }
}

impl Settings {
    /// The forge, if one is named; a new one at every call.
    ///
    /// # Errors
    /// When its key or token cannot be read.
    pub(crate) fn open_forge(&self) -> anyhow::Result<Option<Arc<dyn Forge>>> {
        let Some(github) = &self.forges.github else { return Ok(None) };
        let forge = GitHub::new(github.open()?).map_err(|fault| anyhow::anyhow!("{}", fault.whole()))?;
        Ok(Some(Arc::new(forge)))
    }

    /// Who lends git credentials, where somebody does.
    pub(crate) fn lender(&self) -> Option<Arc<dyn Lender>> {
        Some(Arc::new(ForgeLender(self.open_forge().ok()??)))
    }
}
