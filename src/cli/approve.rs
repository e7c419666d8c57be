//! `tidegate approve`: approves exactly what a run shows.

use clap::Args;

use super::{Asking, Source, output::Output};
use crate::engine::{Command, Digest, RunId};

/// Approve exactly what a run shows.
#[derive(Debug, Args)]
pub(super) struct Approve {
    /// The run, as `tidegate status` names it
    #[arg(value_parser = super::run::parse_run)]
    run: RunId,
    /// The digest of what was shown, or its first digits; when something else waits by now, nothing is approved
    #[arg(long)]
    digest: Option<String>,
    #[command(flatten)]
    asking: Asking,
}

impl Approve {
    pub(super) async fn execute(self, source: &Source, output: Output) -> anyhow::Result<()> {
        let run = self.run.clone();
        let done = |by: &str| format!("{by} approved {run}");
        let command = Command::Approve { run: self.run, digest: self.digest.map(Digest::new) };
        self.asking.ask_and_say(source, output, command, done).await
    }
}
