//! `tidegate status`: the lattice, what goes on in it, and what waits for whom.

mod holds;
mod lattice;
pub mod releases;
pub mod remotes;
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
    place_waits::PlaceWaits,
};
use crate::{driver::now_ms, engine::System, providers::sandbox::SandboxKind};

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
    pub(super) async fn execute(self, config: &Path, output: Output) -> anyhow::Result<()> {
        let Some(house) = House::open_for(&self.asking, config).await? else { return output.nothing_yet() };
        let look = RulesLook::read(&house.settings);
        let not_there = self.not_there(&house, look.clone()).await?;
        // One that is not there cannot be looked for in the store.
        let named_is_not_there = self.asking.system.is_some() && !not_there.is_empty();
        let systems = if named_is_not_there { Vec::new() } else { house.systems_shown(&self.asking).await? };
        let mut reports = Vec::new();
        let unboxed = house.settings.sandbox == SandboxKind::None;
        if !systems.is_empty() {
            let visible = house.visible_systems(&self.asking.who.asker()).await?;
            for system in &systems {
                let waits = PlaceWaits::of(&house, system);
                let told = |state: &System| {
                    let mut report = StatusReport::of(state);
                    waits.tell_status(state, &mut report);
                    (report, remotes::urls(state))
                };
                match house.ledger.read(system, told).await {
                    Ok((mut report, urls)) => {
                        report.remotes = remotes::of(&house, &urls);
                        report.rules.iter_mut().for_each(|rules| rules.trouble.clone_from(&look.trouble));
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
                not_there.try_for_each(|report| say(&text::of(&report, now_ms())))?;
                if house.settings.people.is_empty() { say(NOBODY_LISTED) } else { Ok(()) }
            }
        }
    }

    /// The rules files of systems that are not there, as far as they are asked for and may be looked at.
    async fn not_there(&self, house: &House, look: RulesLook) -> anyhow::Result<Vec<NotThere>> {
        let there = house.systems().await?.into_iter().collect();
        let mut files = look.not_there(&there);
        files.retain(|file| self.asking.system.is_none() || self.asking.system == file.system);
        if !files.is_empty() && !house.settings.grants.is_empty() {
            let who = house.settings.principal(&self.asking.who.asker())?;
            files.retain(|file| house.settings.may_view(&who, file.system.as_ref()));
        }
        Ok(files)
    }
}
