//! `tidegate pause` and `tidegate resume`: nothing new starts; what runs goes on to its end.

use std::path::Path;

use clap::Args;

use super::{output::Output, request::AskingEach};
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
    pub(super) async fn execute(self, config: &Path, output: Output) -> anyhow::Result<()> {
        self.asking.ask(config, output, &Command::Pause { reason: self.reason }, "is paused").await
    }
}

impl Resume {
    pub(super) async fn execute(self, config: &Path, output: Output) -> anyhow::Result<()> {
        self.asking.ask(config, output, &Command::Resume, "goes on").await
    }
}
