//! `tidegate take-back`: undoes what a promotion merged before it failed.

use std::path::Path;

use clap::Args;

use super::{Asking, output::Output};
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
    pub(super) async fn execute(self, config: &Path, output: Output) -> anyhow::Result<()> {
        let done = format!("what {} merged is taken back: `tidegate status` shows how far it is", self.run);
        let command = Command::TakeBack { run: self.run, reason: self.reason };
        self.asking.ask(config, output, command, &done).await
    }
}
