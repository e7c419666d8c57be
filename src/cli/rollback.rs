//! `tidegate rollback`: takes a stage back to a version that was verified there before.

use clap::Args;

use super::{Asking, Source, output::Output};
use crate::{
    engine::{Command, RunId},
    rules::StageName,
};

/// Take a stage back to a version that was verified there before. Every repository gets an ordinary commit on top; what
/// others push meanwhile stays; the runs that follow deploy it as they deploy everything.
#[derive(Debug, Args)]
#[command(after_help = "Example: tidegate rollback qa --to deliver-6 --reason \"it leaks memory\"")]
pub(super) struct Rollback {
    /// The stage
    stage: StageName,
    /// The run that verified the version, as `tidegate status` lists them; the one before what is there unless it is given
    #[arg(long, value_parser = super::run::parse_run)]
    to: Option<RunId>,
    /// Why; the commits say it
    #[arg(long, short)]
    reason: String,
    #[command(flatten)]
    asking: Asking,
}

impl Rollback {
    pub(super) async fn execute(self, source: &Source, output: Output) -> anyhow::Result<()> {
        let done = format!("{} goes back: `tidegate status` shows how far it is", self.stage);
        let command = Command::Rollback { stage: self.stage, to: self.to, reason: self.reason };
        self.asking.ask(source, output, command, &done).await
    }
}
