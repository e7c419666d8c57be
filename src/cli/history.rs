//! `tidegate history`.

use std::path::Path;

use clap::Args;

use super::output::Output;

/// Placeholder.
#[derive(Debug, Args)]
pub(super) struct History {}

impl History {
    pub(super) async fn execute(self, _config: &Path, _output: Output) -> anyhow::Result<()> {
        anyhow::bail!("not yet")
    }
}
