//! `tidegate promote`: promotes what was verified in one stage to the next.

use std::path::Path;

use clap::Args;

use super::{Asking, output::Output};
use crate::{engine::Command, rules::StageName};

/// Promote what was last verified in one stage to another; the promotion's conditions still hold it.
#[derive(Debug, Args)]
pub(super) struct Promote {
    /// The stage it is taken from
    from: StageName,
    /// The stage it is merged into
    to: StageName,
    #[command(flatten)]
    asking: Asking,
}

impl Promote {
    pub(super) async fn execute(self, config: &Path, output: Output) -> anyhow::Result<()> {
        let done =
            format!("what was verified in {} is on its way to {}: `tidegate status` shows how far", self.from, self.to);
        self.asking.ask(config, output, Command::Promote { from: self.from, to: self.to, version: None }, &done).await
    }
}
