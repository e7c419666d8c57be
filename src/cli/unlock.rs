//! `tidegate unlock`: makes a broken target available again.

use clap::Args;

use super::{Asking, Source, output::Output};
use crate::{
    engine::Command,
    rules::{StageName, TargetName},
};

/// Make a broken target available again; the next run in its queue goes on.
#[derive(Debug, Args)]
pub(super) struct Unlock {
    /// The target
    target: TargetName,
    /// Its stage
    #[arg(long)]
    stage: StageName,
    #[command(flatten)]
    asking: Asking,
}

impl Unlock {
    pub(super) async fn execute(self, source: &Source, output: Output) -> anyhow::Result<()> {
        let done = format!("{} is available again in {}", self.target, self.stage);
        self.asking.ask(source, output, Command::Unlock { target: self.target, stage: self.stage }, &done).await
    }
}
