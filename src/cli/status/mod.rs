//! `tidegate status`: the lattice, what goes on in it, and what waits for whom.

mod holds;
mod lattice;
pub mod releases;
pub mod report;
pub(super) mod text;
mod untold;
pub mod versions;

use std::path::Path;

use clap::Args;

use self::report::StatusReport;
use super::{
    Asking, House,
    output::{Output, say},
};
use crate::driver::now_ms;

/// Show the lattice: what is where, what goes on, and what waits for whom; of every system, unless one is named.
#[derive(Debug, Args)]
#[command(after_help = "Example: tidegate status --system webshop")]
pub(super) struct Status {
    #[command(flatten)]
    asking: Asking,
}

impl Status {
    pub(super) async fn execute(self, config: &Path, output: Output) -> anyhow::Result<()> {
        let Some(house) = House::open_for(&self.asking, config).await? else { return output.nothing_yet() };
        let systems = house.systems_shown(&self.asking).await?;
        let visible = house.visible_systems(&self.asking.who).await?;
        let mut reports = Vec::new();
        for system in &systems {
            match house.ledger.read(system, StatusReport::of).await {
                Ok(report) => {
                    let half_released = releases::of(&house, system, &visible).await?;
                    reports.push(StatusReport { half_released, ..report });
                }
                Err(error) => reports.push(StatusReport::unreadable(system, error.to_string())),
            }
        }
        match output {
            Output::Json => output.json(&reports),
            Output::Text if reports.is_empty() => output.nothing_yet(),
            Output::Text => {
                for (system, report) in systems.iter().zip(&reports) {
                    say(&house.complete(&self.asking, system, &text::of(report, now_ms())).await?)?;
                }
                Ok(())
            }
        }
    }
}
