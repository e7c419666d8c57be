//! `tidegate abort`: ends a run.

use clap::Args;

use super::{Asking, Source, output::Output};
use crate::engine::{Command, RunId};

/// End a run: cancel what is active, start nothing new.
#[derive(Debug, Args)]
pub(super) struct Abort {
    /// The run
    #[arg(value_parser = super::run::parse_run)]
    run: RunId,
    /// Why, for the history
    #[arg(long, short, default_value = "")]
    reason: String,
    #[command(flatten)]
    asking: Asking,
}

impl Abort {
    pub(super) async fn execute(self, source: &Source, output: Output) -> anyhow::Result<()> {
        let done = format!("{} is being ended", self.run);
        self.asking.ask(source, output, Command::Abort { run: self.run, reason: self.reason }, &done).await
    }
}
