//! A system as it was: the log is folded again, with its recorded clock, up to a moment or an event.

use anyhow::bail;

use super::{House, failure::Unanswered};
use crate::{
    driver::now_ms,
    engine::explain,
    rules::SystemName,
    store::{Store, replay},
    view::{
        history,
        status::{Past, StatusReport},
    },
};

/// Which past is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// As it was after this event.
    Seq(u64),
    /// As it was at this time: milliseconds since 1970, UTC.
    At(i64),
}

impl House {
    /// A system as it was. `tell` is told how far the log was read, and how far it will be.
    ///
    /// # Errors
    /// When there is no such moment or event; when the store cannot be read.
    pub async fn past(
        &self,
        system: &SystemName,
        moment: Moment,
        tell: impl Fn(u64, u64),
    ) -> anyhow::Result<StatusReport> {
        let store = self.ledger.store().as_ref();
        let (to_seq, at_ms) = match moment {
            Moment::Seq(seq) => (seq, None),
            Moment::At(at_ms) => (last_before(store, system, at_ms).await?, Some(at_ms)),
        };
        let last = store.last_seq(system).await?;
        if to_seq == 0 || to_seq > last {
            bail!(Unanswered::none(format!(
                "the log of {system} has no event {to_seq}: its events are 1 to {last}; `tidegate history` lists them"
            )));
        }
        let mut past = None;
        let state = replay(store, system, Some(to_seq), |recorded, _, _| {
            tell(recorded.seq, to_seq);
            if recorded.seq == to_seq {
                past = Some(Past {
                    at_ms: at_ms.unwrap_or(recorded.at_ms),
                    seq: recorded.seq,
                    event_ms: recorded.at_ms,
                    event: history::plain_words(&recorded.event),
                });
            }
        });
        let state = state.await?;
        // The first events may be of before the rules, which name the system.
        Ok(StatusReport { past, system: system.to_string(), ..StatusReport::of(&state) })
    }
}

/// The last event that was recorded at that time or before: the recorded clock never goes back, so it is found by halves.
async fn last_before(store: &dyn Store, system: &SystemName, at_ms: i64) -> anyhow::Result<u64> {
    let time_of = async |seq: u64| -> anyhow::Result<i64> {
        let rows = store.log(system, seq, 1).await?;
        match rows.first() {
            Some(row) => Ok(row.at_ms),
            None => bail!("event {seq} of {system} is missing: see `tidegate verify-log`"),
        }
    };
    if at_ms > now_ms() {
        bail!(Unanswered::none(format!(
            "{} has not come yet; `tidegate status` shows the present",
            explain::time(at_ms)
        )));
    }
    let first_ms = time_of(1).await?;
    if at_ms < first_ms {
        bail!(Unanswered::none(format!(
            "{system} begins at {}: there is nothing at {}",
            explain::time(first_ms),
            explain::time(at_ms)
        )));
    }
    let (mut at_or_before, mut after) = (1, store.last_seq(system).await? + 1);
    while after - at_or_before > 1 {
        let middle = at_or_before + (after - at_or_before) / 2;
        if time_of(middle).await? <= at_ms { at_or_before = middle } else { after = middle }
    }
    Ok(at_or_before)
}
