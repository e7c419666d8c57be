//! `tidegate status`: the lattice, what goes on in it, and what waits for whom.

mod holds;
mod lattice;
pub mod report;
pub(super) mod text;
mod untold;
pub mod versions;

use std::path::Path;

use clap::Args;

use self::report::StatusReport;
use super::{
    House,
    output::{Output, say},
};
use crate::{driver::now_ms, rules::SystemName};

/// Show the lattice: what is where, what goes on, and what waits for whom.
#[derive(Debug, Args)]
#[command(after_help = "Example: tidegate status --system webshop")]
pub(super) struct Status {
    /// Only this system
    #[arg(long, short)]
    system: Option<SystemName>,
}

impl Status {
    pub(super) async fn execute(self, config: &Path, output: Output) -> anyhow::Result<()> {
        let house = House::open(config).await?;
        let systems = match &self.system {
            Some(_) => vec![house.system(self.system.as_ref()).await?],
            None => house.visible_systems().await?,
        };
        let mut reports = Vec::new();
        for system in &systems {
            reports.push(house.ledger.read(system, StatusReport::of).await?);
        }
        match output {
            Output::Json => output.json(&reports),
            Output::Text if reports.is_empty() => {
                say("no system has been started yet: `tidegate serve` reads the rules and begins")
            }
            Output::Text => reports.iter().try_for_each(|report| say(&text::of(report, now_ms()))),
        }
    }
}
