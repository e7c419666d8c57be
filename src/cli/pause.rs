//! `tidegate pause` and `tidegate resume`: nothing new starts; what runs goes on to its end.

use clap::Args;

use super::{Source, output::Output, request::AskingEach};
use crate::engine::Command;

/// Start nothing new, in one system or in all. Running steps go on to their end; approvals are still taken.
#[derive(Debug, Args)]
pub(super) struct Pause {
    /// Why; everybody who asks why nothing moves is shown it
    #[arg(long)]
    reason: String,
    #[command(flatten)]
    asking: AskingEach,
}

/// End the pause: what waited goes on.
#[derive(Debug, Args)]
pub(super) struct Resume {
    #[command(flatten)]
    asking: AskingEach,
}

impl Pause {
    pub(super) async fn execute(self, source: &Source, output: Output) -> anyhow::Result<()> {
        self.asking.ask(source, output, &Command::Pause { reason: self.reason }, "is paused").await
    }
}

impl Resume {
    pub(super) async fn execute(self, source: &Source, output: Output) -> anyhow::Result<()> {
        self.asking.ask(source, output, &Command::Resume, "goes on").await
    }
}
