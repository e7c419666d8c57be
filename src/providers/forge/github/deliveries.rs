//! Deliveries of the App's webhook: which GitHub did not get rid of, and to have them again. Documented at
//! <https://docs.github.com/en/rest/apps/webhooks>.

use std::time::Duration;

use chrono::{DateTime, Utc};
use hyper::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{call::Ask, client::GitHub, verdict::Refused};
use crate::providers::{Fault, forge::Delivered};

/// How long GitHub keeps deliveries: three days, and seven on Enterprise.
const KEPT: (Duration, Duration) = (Duration::from_secs(3 * 86_400), Duration::from_secs(7 * 86_400));
/// How many pages of 100 are read.
const MOST_PAGES: usize = 500;

#[derive(Deserialize)]
struct Item {
    id: u64,
    guid: String,
    delivered_at: DateTime<Utc>,
    #[serde(default)]
    status_code: i64,
}

impl GitHub {
    /// For how long GitHub tells of deliveries.
    #[must_use]
    pub const fn deliveries_kept(&self) -> Duration {
        if self.addresses.is_enterprise { KEPT.1 } else { KEPT.0 }
    }

    /// All attempts since then (milliseconds since 1970, UTC), newest first.
    ///
    /// # Errors
    /// When GitHub cannot be asked, or not as an App.
    pub async fn deliveries(&self, since_ms: i64) -> Result<Vec<Delivered>, Fault> {
        let before = |item: &Value| {
            let at = item["delivered_at"].as_str().and_then(|at| DateTime::parse_from_rfc3339(at).ok());
            at.is_some_and(|at| at.timestamp_millis() < since_ms)
        };
        let enough = |items: &[Value]| items.last().is_some_and(before);
        let path = "/app/hook/deliveries?per_page=100";
        let items = self.own.pages_until(&self.line, path, None, MOST_PAGES, enough).await?;
        let read = items.iter().map(Item::deserialize).collect::<Result<Vec<_>, _>>();
        let read = read.map_err(|error| Refused::unheard("GitHub, deliveries", &error.to_string()))?;
        let all = read.into_iter().map(|Item { id, guid, delivered_at, status_code }| Delivered {
            id,
            guid,
            at_ms: delivered_at.timestamp_millis(),
            status: u16::try_from(status_code).unwrap_or(0),
        });
        Ok(all.filter(|delivered| delivered.at_ms >= since_ms).collect())
    }

    /// Has something delivered again. It comes as any other delivery, under the GUID that it had.
    ///
    /// # Errors
    /// When GitHub cannot be asked, or does not keep it any more.
    pub async fn redeliver(&self, id: u64) -> Result<(), Fault> {
        let ask = Ask::post(format!("/app/hook/deliveries/{id}/attempts"), json!({}));
        match self.own.call(&self.line, &ask).await {
            Ok(_) => Ok(()),
            Err(refused) if refused.is(StatusCode::NOT_FOUND) => Err(Fault::fail(
                format!("GitHub does not keep delivery {id} any more"),
                "polling heals what it told of",
            )),
            Err(refused) => Err(refused.fault),
        }
    }
}
