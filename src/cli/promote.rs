//! `tidegate promote`: promotes what was verified in one stage to the next.

use clap::Args;

use super::{Asking, Source, output::Output};
use crate::{
    engine::{Command, RunId},
    rules::StageName,
};

/// Promote what was last verified in one stage, or an older version, to another; the promotion's conditions still hold it.
#[derive(Debug, Args)]
pub(super) struct Promote {
    /// The stage it is taken from
    from: StageName,
    /// The stage it is merged into
    to: StageName,
    /// The run that verified the version that is wanted; where a newer one is there, the stage goes back to it
    #[arg(long, value_parser = super::run::parse_run)]
    version: Option<RunId>,
    #[command(flatten)]
    asking: Asking,
}

impl Promote {
    pub(super) async fn execute(self, source: &Source, output: Output) -> anyhow::Result<()> {
        let Self { from, to, version, asking } = self;
        let what = version
            .as_ref()
            .map_or_else(|| format!("what was verified in {from}"), |run| format!("what {run} verified in {from}"));
        let done = format!("{what} is on its way to {to}: `tidegate status` shows how far");
        asking.ask(source, output, Command::Promote { from, to, version, release: None }, &done).await
    }
}
