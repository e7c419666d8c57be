//! Whether logs are as they were written, of the systems that somebody may look at.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{House, asker::Asked};
use crate::{
    rules::SystemName,
    store::{self, Expected, LogCheck},
};

/// What was checked of one system, and what was found.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct LogChecked {
    /// The system.
    pub system: SystemName,
    /// What was found.
    #[serde(flatten)]
    pub check: LogCheck,
}

impl House {
    /// The systems whose logs are checked, also those whose head was taken away. An event that is expected is of one system.
    ///
    /// # Errors
    /// When there is no such system, or several to choose from; when the store cannot be read.
    pub async fn systems_checked(&self, asked: &Asked, expects: bool) -> anyhow::Result<Vec<SystemName>> {
        let named_anywhere = self.ledger.store().named_anywhere().await?;
        let all = self.visible_of(named_anywhere.into_iter().collect(), &asked.who)?;
        match &asked.system {
            Some(named) if all.contains(named) => Ok(vec![named.clone()]),
            None if !expects || all.len() == 1 => Ok(all),
            _ => Ok(vec![self.system(asked).await?]),
        }
    }

    /// Checks a log. `tell` is told how far it was checked, and how far it goes.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn check_log(
        &self,
        system: &SystemName,
        expected: Option<&Expected>,
        tell: &(dyn Fn(u64, u64) + Send + Sync),
    ) -> anyhow::Result<LogChecked> {
        let check = store::verify_log_telling(self.ledger.store().as_ref(), system, expected, tell).await?;
        Ok(LogChecked { system: system.clone(), check })
    }
}
