//! `tidegate release`: promotes several systems as one, or shows how far that is.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use anyhow::{Context, bail};
use clap::Args;

use super::{
    House,
    asker::Asker,
    asking::Who,
    output::{Output, say},
    status::releases::sentence,
};
use crate::{
    driver::now_ms,
    engine::{
        self, Command, Event, Recorded,
        version::release::{self, Standing},
    },
    house::asker::Asked,
    rules::{StageName, SystemName},
    view::status::HalfReleased,
};

/// Promote several systems as one: each fulfils its own conditions, and all merge when all can; when one of them ends
/// before that, the others end too. Without `--systems`, show how far a release is.
#[derive(Debug, Args)]
#[command(after_help = "Example: tidegate release spring-fair --systems webshop,billing --from qa --to main")]
pub(super) struct Release {
    /// Its name
    name: String,
    /// The systems, with commas between them
    #[arg(long, value_delimiter = ',', requires_all = ["from", "to"])]
    systems: Vec<SystemName>,
    /// The stage they are taken from
    #[arg(long, requires = "systems")]
    from: Option<StageName>,
    /// The stage they are merged into
    #[arg(long, requires = "systems")]
    to: Option<StageName>,
    #[command(flatten)]
    who: Who,
}

impl Release {
    pub(super) async fn execute(self, config: &Path, output: Output) -> anyhow::Result<()> {
        match (&self.from, &self.to) {
            (Some(from), Some(to)) => {
                let house = House::open(config).await?;
                let systems: BTreeSet<SystemName> = self.systems.iter().cloned().collect();
                let release = release::Release { name: self.name.clone(), systems };
                let command =
                    Command::Promote { from: from.clone(), to: to.clone(), version: None, release: Some(release) };
                self.ask(&house, output, &command).await
            }
            _ => show(&House::open_to_read(config).await?, &self.name, &self.who.asker(), output).await,
        }
    }

    /// Asks every system, after all of them would grant it.
    async fn ask(&self, house: &House, output: Output, command: &Command) -> anyhow::Result<()> {
        let systems: BTreeSet<&SystemName> = self.systems.iter().collect();
        for name in &systems {
            house.find_system(&Asked { system: Some((*name).clone()), who: self.who.asker() }).await?;
            let by = house.settings.principal(&self.who.asker())?;
            // With the roles of the settings as they are now, as they will be when it is asked in earnest.
            house.load_access(name).await?;
            let event = Event::Command { by, command: command.clone(), key: None };
            let tried = house.ledger.read(name, |state| {
                let recorded = Recorded { seq: state.seq + 1, at_ms: now_ms().max(state.at_ms), event };
                engine::step(&mut state.clone(), &recorded).map(drop)
            });
            tried.await?.with_context(|| format!("{name} does not grant it, so that nothing was asked"))?;
        }
        for name in &systems {
            house
                .command(name, &self.who.asker(), command.clone())
                .await
                .with_context(|| format!("{name} did not grant it"))?;
        }
        let names: Vec<&str> = systems.iter().map(|system| system.as_str()).collect();
        let done = format!("{} is on its way: `tidegate release {}` shows how far", self.name, self.name);
        output.done(&done, &serde_json::json!({ "release": self.name, "systems": names }))
    }
}

async fn show(house: &House, name: &str, who: &Asker, output: Output) -> anyhow::Result<()> {
    let (mut found, mut stage) = (BTreeMap::new(), None);
    for system in house.visible_systems(who).await? {
        let part = house.ledger.read(&system, |state| {
            let its = release::parts(state).into_iter().find(|part| part.release.name == name);
            its.map(|part| (part.stage.clone(), release::standing(state, name)))
        });
        if let Some((into, standing)) = part.await? {
            stage = Some(into);
            found.insert(system, standing);
        }
    }
    if found.is_empty() {
        bail!("no system has been asked for a release `{name}`; `--systems`, `--from` and `--to` begin one");
    }
    match output {
        Output::Json => output.json(&found),
        Output::Text => {
            found.iter().try_for_each(|(system, standing)| say(&line(system, standing)))?;
            let half = stage.and_then(|stage| HalfReleased::of(name, &stage, &found));
            half.map_or(Ok(()), |half| say(&sentence(&half)))
        }
    }
}

fn line(system: &SystemName, standing: &Standing) -> String {
    let (run, words) = match standing {
        Standing::Missing => return format!("{system:<14} was not asked"),
        Standing::OnItsWay { run, waits_for } => (run, format!("waits for {waits_for}")),
        Standing::Ready { run } => (run, "is ready, and waits for the others".to_owned()),
        Standing::Merging { run } => (run, "merges".to_owned()),
        Standing::Done { run, .. } => (run, "is done".to_owned()),
        Standing::Ended { run, reason, .. } => (run, format!("ended: {reason}")),
    };
    format!("{system:<14} {run:<14} {words}")
}
