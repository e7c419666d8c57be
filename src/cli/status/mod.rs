//! `tidegate status`: the lattice, what goes on in it, and what waits for whom.

mod lattice;
pub(super) mod releases;
pub(super) mod remotes;
pub(super) mod text;
mod untold;
mod versions;

use clap::Args;

use super::{
    Asking, Source,
    output::{Output, say},
};
use crate::{driver::now_ms, house::questions::StatusTold};

/// Said where anybody can be anybody.
const NOBODY_LISTED: &str = "tidegate.toml lists no people: everything here is one person's, and everybody is taken at \
                             their word (docs/gates.md, Roles).\n";

/// Show the lattice: what is where, what goes on, and what waits for whom; of every system, unless one is named.
#[derive(Debug, Args)]
#[command(after_help = "Example: tidegate status --system webshop")]
pub(super) struct Status {
    #[command(flatten)]
    asking: Asking,
}

impl Status {
    pub(super) async fn execute(self, source: &Source, output: Output) -> anyhow::Result<()> {
        let Some(answers) = source.open_for(&self.asking.asked()).await? else { return output.nothing_yet() };
        let asked = self.asking.asked();
        let StatusTold { there, not_there } = answers.status(&asked).await?;
        match output {
            Output::Json => {
                output.json(&there.into_iter().map(|(_, report)| report).chain(not_there).collect::<Vec<_>>())
            }
            Output::Text if there.is_empty() && not_there.is_empty() => output.nothing_yet(),
            Output::Text => {
                for (system, report) in &there {
                    say(&answers.complete(&asked, system, &text::of(report, now_ms())).await?)?;
                }
                not_there.iter().try_for_each(|report| say(&text::of(report, now_ms())))?;
                if answers.lists_people() { Ok(()) } else { say(NOBODY_LISTED) }
            }
        }
    }
}
