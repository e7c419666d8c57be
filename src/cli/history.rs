//! `tidegate history`: lists what happened, in order, in words.

use clap::Args;

use super::{
    Asking, Source,
    output::{Output, Tone, paint, say},
};
use crate::{
    engine::{Event, Recorded, explain},
    view::history::words,
};

/// List what happened, in order. The log is never shortened; `--since` pages through it.
#[derive(Debug, Args)]
#[command(after_help = "Example: tidegate history --limit 50")]
pub(super) struct History {
    /// How many events at most
    #[arg(long, default_value_t = 30)]
    limit: u32,
    /// From this place in the log on; without it, the newest events
    #[arg(long, value_name = "SEQ")]
    since: Option<u64>,
    #[command(flatten)]
    asking: Asking,
}

impl History {
    pub(super) async fn execute(self, source: &Source, output: Output) -> anyhow::Result<()> {
        let answers = source.open_to_read().await?;
        let system = answers.system(&self.asking.asked()).await?;
        let events = answers.history(&system, self.since, self.limit).await?;
        match output {
            Output::Json => output.json(&events),
            Output::Text => events.iter().try_for_each(|event| say(&line(event))),
        }
    }
}

fn line(recorded: &Recorded<Event>) -> String {
    let at = paint(&format!("{:>5}  {}", recorded.seq, explain::time(recorded.at_ms)), Tone::Quiet);
    format!("{at}  {}", words(&recorded.event, paint))
}
