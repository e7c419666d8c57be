//! `tidegate veto`: what somebody found to be bad never moves again.

use clap::Args;

use super::{Asking, Source, output::Output};
use crate::engine::Command;

/// Never move a commit or artifact again, nor anything that holds it, in any stage; what waits with it ends. What is
/// deployed stays until somebody rolls it back.
#[derive(Debug, Args)]
#[command(after_help = "Example: tidegate veto software@3f2a91c --reason \"it leaks memory\"")]
pub(super) struct Veto {
    /// A commit (seven digits or more, also as repository@commit), or an artifact's name or address
    what: String,
    /// Let it move again
    #[arg(long)]
    lift: bool,
    /// Why; status shows it, and whoever is refused reads it
    #[arg(long, short)]
    reason: String,
    #[command(flatten)]
    asking: Asking,
}

impl Veto {
    pub(super) async fn execute(self, source: &Source, output: Output) -> anyhow::Result<()> {
        let Self { what, lift, reason, asking } = self;
        let (done, command) = match lift {
            false => (format!("{what} never moves again"), Command::Veto { what, reason }),
            true => (format!("{what} may move again"), Command::LiftVeto { what, reason }),
        };
        asking.ask(source, output, command, &done).await
    }
}
