//! `tidegate retry`: does the failed steps of a run again, and what comes after them.

use clap::Args;

use super::{Asking, Source, output::Output};
use crate::engine::{Command, RunId};

/// Do the failed steps of a run again.
#[derive(Debug, Args)]
pub(super) struct Retry {
    /// The failed run
    #[arg(value_parser = super::run::parse_run)]
    run: RunId,
    #[command(flatten)]
    asking: Asking,
}

impl Retry {
    pub(super) async fn execute(self, source: &Source, output: Output) -> anyhow::Result<()> {
        let done = format!("{} goes on where it failed", self.run);
        self.asking.ask(source, output, Command::Retry { run: self.run }, &done).await
    }
}
