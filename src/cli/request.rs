//! Asks the engine for something, of one system or of each, and says what came of it. One place, so that every command asks
//! and answers alike.

use std::collections::BTreeMap;

use clap::Args;

use super::{Source, asking::Asking, output::Output};
use crate::{engine::Command, view::answers::Done};

impl Asking {
    /// Asks the engine and says what came of it.
    pub(super) async fn ask(
        &self,
        source: &Source,
        output: Output,
        command: Command,
        done: &str,
    ) -> anyhow::Result<()> {
        self.ask_and_say(source, output, command, |_| done.to_owned()).await
    }

    /// The same, where what came of it is said with who asked.
    pub(super) async fn ask_and_say(
        &self,
        source: &Source,
        output: Output,
        command: Command,
        done: impl FnOnce(&str) -> String,
    ) -> anyhow::Result<()> {
        let answers = source.open().await?;
        let asked = self.asked();
        let system = answers.find_system(&asked).await?;
        let done = done(&answers.asker(&asked).await?);
        let Done { system, seq, newest_run } = answers.command(&asked, &system, command).await?;
        let done = answers.complete(&asked, &system, &done).await?;
        output.done(&done, &serde_json::json!({ "system": system, "seq": seq, "newest_run": newest_run }))
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
    pub(super) async fn ask(
        self,
        source: &Source,
        output: Output,
        command: &Command,
        done: &str,
    ) -> anyhow::Result<()> {
        let answers = source.open().await?;
        let named = self.one.asked();
        let systems =
            if self.all { answers.visible_systems(&named).await? } else { vec![answers.find_system(&named).await?] };
        let (mut asked, mut refused) = (Vec::new(), None);
        for system in systems {
            match answers.command(&named, &system, command.clone()).await {
                Ok(done) => asked.push((system, done.seq)),
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
