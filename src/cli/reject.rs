//! `tidegate reject`: refuses what a run shows; nothing of it is deployed.

use clap::Args;

use super::{Asking, Source, output::Output};
use crate::engine::{Command, RunId};

/// Refuse what a run shows.
#[derive(Debug, Args)]
pub(super) struct Reject {
    /// The run, as `tidegate status` names it
    #[arg(value_parser = super::run::parse_run)]
    run: RunId,
    /// Why, for its author
    #[arg(long, short)]
    reason: String,
    #[command(flatten)]
    asking: Asking,
}

impl Reject {
    pub(super) async fn execute(self, source: &Source, output: Output) -> anyhow::Result<()> {
        let run = self.run.clone();
        let done = |by: &str| format!("{by} rejected {run}");
        self.asking.ask_and_say(source, output, Command::Reject { run: self.run, reason: self.reason }, done).await
    }
}
