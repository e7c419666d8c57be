//! `tidegate replay`: the state at a past moment, from the log, as `status` prints the present.

use std::path::Path;

use anyhow::bail;
use clap::{ArgGroup, Args};

use super::{
    Asking, House, history, moment,
    output::{Output, say},
    progress::Progress,
    status::{
        report::{Past, StatusReport},
        text,
    },
};
use crate::{
    driver::now_ms,
    engine::explain,
    rules::SystemName,
    store::{Store, replay},
};

/// Show the lattice as it was: the log is taken in again, with its recorded clock, up to a moment or an event.
#[derive(Debug, Args)]
#[command(
    group = ArgGroup::new("moment").required(true).args(["at", "seq"]),
    after_help = "Examples: tidegate replay --at \"2h ago\"\n          tidegate replay --at \"2026-11-20 12:00\"\n          \
                  tidegate replay --seq 120"
)]
pub(super) struct Replay {
    /// The moment: `2026-11-20T12:00:00Z`, `2026-11-20 12:00` (UTC) or `2h ago`
    #[arg(long, value_name = "TIME", value_parser = moment::as_typed)]
    at: Option<String>,
    /// The place in the log of the last event that is taken in, as `history` numbers them
    #[arg(long)]
    seq: Option<u64>,
    #[command(flatten)]
    asking: Asking,
}

impl Replay {
    pub(super) async fn execute(self, config: &Path, output: Output) -> anyhow::Result<()> {
        let house = House::open_to_read(config).await?;
        let system = house.system(&self.asking).await?;
        let store = house.ledger.store().as_ref();
        let at_ms = self.at.as_ref().map(|text| moment::parse(text, now_ms())).transpose()?;
        let to_seq = match (self.seq, at_ms) {
            (Some(seq), _) => seq,
            (None, Some(at_ms)) => last_before(store, &system, at_ms).await?,
            (None, None) => unreachable!("the command line demands one of them"),
        };
        let last = store.last_seq(&system).await?;
        if to_seq == 0 || to_seq > last {
            bail!(
                "the log of {system} has no event {to_seq}: its events are 1 to {last}; `tidegate history` lists them"
            );
        }
        let report = report(store, &system, to_seq, at_ms).await?;
        let seen_from_ms = report.past.as_ref().map_or_else(now_ms, |past| past.at_ms);
        match output {
            Output::Json => output.json(&[report]),
            Output::Text => say(&house.complete(&self.asking, &system, &text::of(&report, seen_from_ms)).await?),
        }
    }
}

async fn report(
    store: &dyn Store,
    system: &SystemName,
    to_seq: u64,
    at_ms: Option<i64>,
) -> anyhow::Result<StatusReport> {
    let progress = Progress::of(format!("replaying {system}"));
    let mut past = None;
    let state = replay(store, system, Some(to_seq), |recorded, _, _| {
        progress.tell(recorded.seq, to_seq);
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
        bail!("{} has not come yet; `tidegate status` shows the present", explain::time(at_ms));
    }
    let first_ms = time_of(1).await?;
    if at_ms < first_ms {
        bail!("{system} begins at {}: there is nothing at {}", explain::time(first_ms), explain::time(at_ms));
    }
    let (mut at_or_before, mut after) = (1, store.last_seq(system).await? + 1);
    while after - at_or_before > 1 {
        let middle = at_or_before + (after - at_or_before) / 2;
        if time_of(middle).await? <= at_ms { at_or_before = middle } else { after = middle }
    }
    Ok(at_or_before)
}
