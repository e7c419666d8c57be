//! Deliveries that a forge did not get rid of. It does not try again by itself: so it is asked which they are, and to deliver each of
//! them once more.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::{
    house::now_ms,
    providers::{
        Fault,
        forge::{Delivered, Forge},
    },
    store::{DeliveryNote, Store, StoreError},
};

/// How often it is asked.
const EVERY: Duration = Duration::from_secs(600);
/// How far before the last time it is asked about, in milliseconds: its clock is another, and it tells of an attempt when that ended.
const MARGIN_MS: i64 = 15 * 60 * 1_000;
/// How many are asked for in one round: each is a call, and calls have a quota.
const MOST_ASKED_FOR: usize = 500;

/// Why a round did not do all that it should.
#[derive(Debug, thiserror::Error)]
enum Unfinished {
    #[error("{}", .0.whole())]
    Forge(Fault),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Asks, at once and then again and again, until it is told to stop.
pub(super) async fn recover(store: Arc<dyn Store>, forge: Arc<dyn Forge>, stop: CancellationToken) {
    let Some(kept) = forge.deliveries_kept() else { return };
    let kept_ms = i64::try_from(kept.as_millis()).unwrap_or(i64::MAX);
    loop {
        match round(&*store, &*forge, now_ms(), kept_ms).await {
            Ok(0) => {}
            Ok(asked) => tracing::info!(asked, "GitHub was asked to deliver again what it did not get rid of"),
            Err(error) => tracing::warn!(%error, "what GitHub did not get rid of is asked for later"),
        }
        if stop.run_until_cancelled(sleep(EVERY)).await.is_none() {
            return;
        }
    }
}

/// Asks once. How many are delivered again.
async fn round(store: &dyn Store, forge: &dyn Forge, now_ms: i64, kept_ms: i64) -> Result<usize, Unfinished> {
    let listed_ms = store.deliveries_listed_ms().await?;
    let oldest_ms = now_ms.saturating_sub(kept_ms);
    let since_ms = listed_ms.map_or(oldest_ms, |listed_ms| (listed_ms - MARGIN_MS).max(oldest_ms));
    let attempts = forge.deliveries(since_ms).await.map_err(Unfinished::Forge)?;
    let mut asked = 0;
    for attempt in failed(attempts) {
        // One that was answered too late for the forge has come all the same.
        if store.delivery(&attempt.guid).await?.is_some() {
            continue;
        }
        if asked == MOST_ASKED_FOR {
            return Ok(asked);
        }
        let guid = attempt.guid;
        // Noted first: it is asked for at most once, even where this ends between the two.
        if !store.note(DeliveryNote::AskedFor { guid: guid.clone(), at_ms: now_ms }.into()).await? {
            continue;
        }
        match forge.redeliver(attempt.id).await {
            Ok(()) => asked += 1,
            Err(fault @ Fault::Retry { .. }) => {
                store.note(DeliveryNote::NotAskedFor { guid }.into()).await?;
                return Err(Unfinished::Forge(fault));
            }
            Err(fault) => tracing::warn!(guid, "GitHub does not deliver this again: {}", fault.whole()),
        }
    }
    store.note(DeliveryNote::Listed { until_ms: now_ms }.into()).await?;
    Ok(asked)
}

/// The newest attempt of each delivery of which that one failed, the oldest first.
fn failed(attempts: Vec<Delivered>) -> Vec<Delivered> {
    let mut newest: BTreeMap<String, Delivered> = BTreeMap::new();
    for attempt in attempts {
        let known = newest.get(&attempt.guid);
        if known.is_none_or(|known| (known.at_ms, known.id) < (attempt.at_ms, attempt.id)) {
            newest.insert(attempt.guid.clone(), attempt);
        }
    }
    let mut failed: Vec<Delivered> = newest.into_values().filter(|attempt| !attempt.succeeded()).collect();
    failed.sort_by_key(|attempt| (attempt.at_ms, attempt.id));
    failed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_attempt_tells_whether_a_delivery_was_lost() {
        let attempt = |id, guid: &str, at_ms, succeeded| {
            let status = if succeeded { 202 } else { 502 };
            Delivered { id, guid: guid.to_owned(), at_ms, status }
        };
        let attempts = vec![
            attempt(5, "again", 50, true),
            attempt(2, "again", 20, false),
            attempt(4, "lost", 40, false),
            attempt(1, "earlier", 10, false),
            attempt(6, "earlier", 10, false),
            attempt(3, "taken", 30, true),
            attempt(7, "worse", 31, false),
            attempt(2, "worse", 30, true),
        ];
        let failed: Vec<(u64, String)> = failed(attempts).into_iter().map(|it| (it.id, it.guid)).collect();
        let expected = [(6, "earlier"), (7, "worse"), (4, "lost")].map(|(id, guid)| (id, guid.to_owned()));
        assert_eq!(failed, expected);
    }
}
