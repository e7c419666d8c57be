//! `tidegate pin` and `tidegate unpin`: a stage stays at one version.

use clap::Args;

use super::{Asking, Source, output::Output};
use crate::{
    engine::{Command, RunId},
    rules::StageName,
};

/// Hold a stage at one version: nothing else moves into it or is deployed there, and what would, waits. Where another
/// version is there, the stage is taken to this one.
#[derive(Debug, Args)]
#[command(after_help = "Example: tidegate pin main --version deliver-10 --reason \"the fair is on\"")]
pub(super) struct Pin {
    /// The stage
    stage: StageName,
    /// The run that verified the version; what is there now unless it is given
    #[arg(long, value_parser = super::run::parse_run)]
    version: Option<RunId>,
    /// Why; status shows it
    #[arg(long, short)]
    reason: String,
    #[command(flatten)]
    asking: Asking,
}

/// Hold a stage no longer; what waits goes on.
#[derive(Debug, Args)]
pub(super) struct Unpin {
    /// The stage
    stage: StageName,
    #[command(flatten)]
    asking: Asking,
}

impl Pin {
    pub(super) async fn execute(self, source: &Source, output: Output) -> anyhow::Result<()> {
        let done = format!("{} stays where it is told to until `tidegate unpin {}`", self.stage, self.stage);
        let command = Command::Pin { stage: self.stage, version: self.version, reason: self.reason };
        self.asking.ask(source, output, command, &done).await
    }
}

impl Unpin {
    pub(super) async fn execute(self, source: &Source, output: Output) -> anyhow::Result<()> {
        let done = format!("{} is free to move", self.stage);
        self.asking.ask(source, output, Command::Unpin { stage: self.stage }, &done).await
    }
}
