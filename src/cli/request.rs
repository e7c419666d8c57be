//! Asks the engine for something, of one system or of each, and says what came of it. One place, so that every command asks
//! and answers alike.

use std::{collections::BTreeMap, path::Path};

use clap::Args;

use super::{House, asking::Asking, output::Output};
use crate::engine::{Command, RunId};

impl Asking {
    /// Asks the engine and says what came of it.
    pub(super) async fn ask(&self, config: &Path, output: Output, command: Command, done: &str) -> anyhow::Result<()> {
        self.ask_and_say(config, output, command, |_| done.to_owned()).await
    }

    /// The same, where what came of it is said with who asked.
    pub(super) async fn ask_and_say(
        &self,
        config: &Path,
        output: Output,
        command: Command,
        done: impl FnOnce(&str) -> String,
    ) -> anyhow::Result<()> {
        let house = House::open(config).await?;
        let system = house.find_system(self).await?;
        let asker = self.who.asker();
        let done = done(&house.settings.principal(&asker)?.said());
        let entry = house.command(&system, &asker, command).await?;
        let made = house.ledger.read(&system, |state| state.all_runs().next_back().map(|run| run.id.clone())).await?;
        let done = house.complete(self, &system, &done).await?;
        output.done(
            &done,
            &serde_json::json!({ "system": system, "seq": entry.seq, "newest_run": made.as_ref().map(RunId::as_str) }),
        )
    }
}

/// Which systems, and who asks.
#[derive(Debug, Args)]
pub(super) struct AskingEach {
    /// Ask it of every system that whoever asks may look at
    #[arg(long, conflicts_with = "system")]
    all: bool,
    #[command(flatten)]
    one: Asking,
}

impl AskingEach {
    /// Asks the engine of each system. One that refuses does not keep the others from being asked; the first refusal is
    /// the error.
    pub(super) async fn ask(self, config: &Path, output: Output, command: &Command, done: &str) -> anyhow::Result<()> {
        let house = House::open(config).await?;
        let asker = self.one.who.asker();
        let systems =
            if self.all { house.visible_systems(&asker).await? } else { vec![house.find_system(&self.one).await?] };
        let (mut asked, mut refused) = (Vec::new(), None);
        for system in systems {
            match house.command(&system, &asker, command.clone()).await {
                Ok(entry) => asked.push((system, entry.seq)),
                Err(error) => refused = refused.or(Some(error.context(format!("{system} was not asked for it")))),
            }
        }
        let sentence: Vec<String> = asked.iter().map(|(system, _)| format!("{system} {done}")).collect();
        if !asked.is_empty() {
            output.done(&sentence.join("\n"), &serde_json::json!({ "systems": BTreeMap::from_iter(asked) }))?;
        }
        refused.map_or(Ok(()), Err)
    }
}
