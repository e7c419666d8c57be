//! `tidegate target`: what is deployed to, how it stands, and what people do to it by hand.

mod list;
mod show;

use std::io::IsTerminal as _;

use anyhow::bail;
use clap::{Args, Subcommand};

use super::{Asking, Source, output::Output};
use crate::{
    engine::Command,
    house::questions::RunsWanted,
    rules::{Operation, StageName, TargetName},
    view::answers::Done,
};

/// Look at what is deployed to, and provision, delete or recover it.
#[derive(Debug, Subcommand)]
pub(super) enum Target {
    /// List the targets: where each is in its life, how it stands, who has it
    List(list::List),
    /// Show one target, with the plan that a run now would make and what another hand changed
    Show(show::Show),
    /// Look at a target now
    Observe(At),
    /// Make a target, with nothing deployed to it yet
    Provision(At),
    /// Remove a target, with all that is in it
    Delete(Delete),
    /// Take the way out that a stuck target offers
    Recover(At),
}

/// A target at its stage.
#[derive(Debug, Args)]
pub(super) struct At {
    /// The target
    target: TargetName,
    /// Its stage
    #[arg(long)]
    stage: StageName,
    #[command(flatten)]
    asking: Asking,
}

/// Removes a target.
#[derive(Debug, Args)]
#[command(after_help = "Example: tidegate target delete webshop --stage dev --confirm webshop")]
pub(super) struct Delete {
    #[command(flatten)]
    at: At,
    /// The target's name once more; asked for on a terminal
    #[arg(long, value_name = "TARGET")]
    confirm: Option<String>,
}

impl Target {
    pub(super) async fn execute(self, source: &Source, output: Output) -> anyhow::Result<()> {
        match self {
            Self::List(list) => list.execute(source, output).await,
            Self::Show(show) => show.execute(source, output).await,
            Self::Observe(at) => at.observe(source, output).await,
            Self::Provision(at) => at.ask(Operation::Provision, source, output).await,
            Self::Recover(at) => at.ask(Operation::Recover, source, output).await,
            Self::Delete(delete) => delete.execute(source, output).await,
        }
    }
}

impl At {
    async fn observe(self, source: &Source, output: Output) -> anyhow::Result<()> {
        let (target, stage) = (self.target, self.stage);
        let done = format!("{target} in {stage} is looked at: `tidegate target show {target} --stage {stage}`");
        self.asking.ask(source, output, Command::Observe { target, stage }, &done).await
    }

    /// Asks for an operation, and names the run that does it.
    async fn ask(self, operation: Operation, source: &Source, output: Output) -> anyhow::Result<()> {
        let answers = source.open().await?;
        let system = answers.find_system(&self.asking.asked()).await?;
        let command = Command::Operate { operation, target: self.target.clone(), stage: self.stage.clone() };
        let asked = self.asking.asked();
        let Done { seq, .. } = answers.command(&asked, &system, command).await?;
        let rule = Some(operation.name().to_owned());
        let wanted = RunsWanted { rule, stage: None, state: None, before: None, limit: 1 };
        let newest = answers.runs(&system, &wanted).await?;
        let run = newest.first().map(|run| run.id.to_string()).unwrap_or_default();
        let done = format!("{run} is to {} {} in {}", operation.name(), self.target, self.stage);
        let done = answers.complete(&asked, &system, &done).await?;
        output.done(&done, &serde_json::json!({ "system": system, "seq": seq, "run": run }))
    }
}

impl Delete {
    async fn execute(self, source: &Source, output: Output) -> anyhow::Result<()> {
        let Self { at, confirm } = self;
        let given = match confirm {
            Some(given) => given,
            None if std::io::stdin().is_terminal() && output == Output::Text => {
                eprint_line(&format!("{} in {} and all that is in it will be removed. Its name:", at.target, at.stage));
                let mut line = String::new();
                std::io::stdin().read_line(&mut line)?;
                line.trim().to_owned()
            }
            None => bail!("nothing was deleted: write `--confirm {}`", at.target),
        };
        if given != at.target.as_str() {
            bail!("nothing was deleted: `{given}` is not the name of the target, which is `{}`", at.target);
        }
        at.ask(Operation::Delete, source, output).await
    }
}

fn eprint_line(line: &str) {
    use std::io::Write as _;
    // Where standard error is gone, the question cannot be seen, and the answer will not fit.
    let _ = writeln!(std::io::stderr(), "{line}");
}
