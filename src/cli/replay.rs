//! `tidegate replay`: the state at a past moment, from the log, as `status` prints the present.

use clap::{ArgGroup, Args};

use super::{
    Asking, Source,
    output::{Output, say},
    progress::Progress,
    status::text,
};
use crate::{
    driver::now_ms,
    house::{moment, past::Moment},
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
    pub(super) async fn execute(self, source: &Source, output: Output) -> anyhow::Result<()> {
        let answers = source.open_to_read().await?;
        let system = answers.system(&self.asking.asked()).await?;
        let progress = Progress::of(format!("replaying {system}"));
        let moment = match (self.seq, &self.at) {
            (Some(seq), _) => Moment::Seq(seq),
            (None, Some(at)) => Moment::At(moment::parse(at, now_ms())?),
            (None, None) => unreachable!("the command line demands one of them"),
        };
        let report = answers.past(&system, moment, |seq, last| progress.tell(seq, last)).await?;
        drop(progress);
        let seen_from_ms = report.past.as_ref().map_or_else(now_ms, |past| past.at_ms);
        match output {
            Output::Json => output.json(&[report]),
            Output::Text => {
                say(&answers.complete(&self.asking.asked(), &system, &text::of(&report, seen_from_ms)).await?)
            }
        }
    }
}
