//! `tidegate hotfix`: marks a change that cannot wait.

use clap::Args;

use super::{Asking, Source, output::Output};
use crate::engine::Command;

/// Mark a change as a hotfix: it skips the gates that the rules name under `hotfix`, never an approval, and carries the
/// mark for ever, in its commits and in the log.
#[derive(Debug, Args)]
pub(super) struct Hotfix {
    /// A run that goes on, or a commit (at least 7 digits): then all runs that come of it are marked
    #[arg(value_name = "RUN|COMMIT")]
    what: String,
    /// Why it cannot wait
    #[arg(long)]
    reason: String,
    #[command(flatten)]
    asking: Asking,
}

impl Hotfix {
    pub(super) async fn execute(self, source: &Source, output: Output) -> anyhow::Result<()> {
        let done = format!("{} is a hotfix now: {}", self.what, self.reason);
        self.asking.ask(source, output, Command::Hotfix { what: self.what, reason: self.reason }, &done).await
    }
}
