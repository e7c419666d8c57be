//! `tidegate withdraw`: takes back one's approval while the question is open.

use clap::Args;

use super::{Asking, Source, output::Output};
use crate::engine::{Command, RunId};

/// Take back your approval of a run, or one that was given in your place, while others are still asked.
#[derive(Debug, Args)]
pub(super) struct Withdraw {
    /// The run
    #[arg(value_parser = super::run::parse_run)]
    run: RunId,
    #[command(flatten)]
    asking: Asking,
}

impl Withdraw {
    pub(super) async fn execute(self, source: &Source, output: Output) -> anyhow::Result<()> {
        let run = self.run.clone();
        let done = |by: &str| format!("{by} does not approve {run} any more");
        self.asking.ask_and_say(source, output, Command::Withdraw { run: self.run }, done).await
    }
}
