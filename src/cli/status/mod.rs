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
    in_force::{NotThere, RulesLook},
    output::{Output, say},
};
use crate::{driver::now_ms, providers::sandbox::SandboxKind};

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
        let not_there = self.not_there(&house).await?;
        // One that is not there cannot be looked for in the store.
        let named_is_not_there = self.asking.system.is_some() && !not_there.is_empty();
        let systems = if named_is_not_there { Vec::new() } else { house.systems_shown(&self.asking).await? };
        let mut reports = Vec::new();
        let unboxed = house.settings.sandbox == SandboxKind::None;
        if !systems.is_empty() {
            let visible = house.visible_systems(&self.asking.who).await?;
            for system in &systems {
                match house.ledger.read(system, StatusReport::of).await {
                    Ok(report) => {
                        let half_released = releases::of(&house, system, &visible).await?;
                        reports.push(StatusReport { half_released, unboxed, ..report });
                    }
                    Err(error) => reports.push(StatusReport::unreadable(system, error.to_string())),
                }
            }
        }
        match output {
            Output::Json => {
                reports.extend(not_there.into_iter().map(StatusReport::not_there));
                output.json(&reports)
            }
            Output::Text if reports.is_empty() && not_there.is_empty() => output.nothing_yet(),
            Output::Text => {
                for (system, report) in systems.iter().zip(&reports) {
                    say(&house.complete(&self.asking, system, &text::of(report, now_ms())).await?)?;
                }
                let mut not_there = not_there.into_iter().map(StatusReport::not_there);
                not_there.try_for_each(|report| say(&text::of(&report, now_ms())))
            }
        }
    }

    /// The rules files of systems that are not there, as far as they are asked for and may be looked at.
    async fn not_there(&self, house: &House) -> anyhow::Result<Vec<NotThere>> {
        let there = house.systems().await?.into_iter().collect();
        let mut files = RulesLook::read(&house.settings).not_there(&there);
        files.retain(|file| self.asking.system.is_none() || self.asking.system == file.system);
        if !files.is_empty() && !house.settings.grants.is_empty() {
            let who = house.settings.principal(&self.asking.who)?;
            files.retain(|file| house.settings.may_view(&who, file.system.as_ref()));
        }
        Ok(files)
    }
}
