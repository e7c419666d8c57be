//! `tidegate take-back`: undoes what a promotion merged before it failed.

use clap::Args;

use super::{Asking, Source, output::Output};
use crate::engine::{Command, RunId};

/// Undo what a promotion merged before it failed, where its rules say `on_failure: keep`. `tidegate retry` finishes it
/// instead.
#[derive(Debug, Args)]
pub(super) struct TakeBack {
    /// The promotion that stands half-way
    #[arg(value_parser = super::run::parse_run)]
    run: RunId,
    /// Why; the commits say it
    #[arg(long, short)]
    reason: String,
    #[command(flatten)]
    asking: Asking,
}

impl TakeBack {
    pub(super) async fn execute(self, source: &Source, output: Output) -> anyhow::Result<()> {
        let done = format!("what {} merged is taken back: `tidegate status` shows how far it is", self.run);
        let command = Command::TakeBack { run: self.run, reason: self.reason };
        self.asking.ask(source, output, command, &done).await
    }
}
