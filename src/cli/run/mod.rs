//! `tidegate run`: starts a rule by hand, or shows one run.

mod show;

use std::path::Path;

use anyhow::bail;
use clap::Subcommand;

use self::show::Shown;
use super::{
    Asking, House,
    output::{Output, say},
};
use crate::{
    engine::{Command, RunId, explain},
    rules::{RuleName, StageName},
};

/// Start a rule by hand, or show one run.
#[derive(Debug, Subcommand)]
pub(super) enum Run {
    /// Run a rule on the present head of a stage
    Start {
        /// The rule
        rule: RuleName,
        /// The stage
        #[arg(long)]
        stage: StageName,
        #[command(flatten)]
        asking: Asking,
    },
    /// Show one run: its plan, what each step made, and what it waits for
    Show {
        /// The run, as `deliver-7`
        #[arg(value_parser = parse_run)]
        run: RunId,
        #[command(flatten)]
        asking: Asking,
    },
}

impl Run {
    pub(super) async fn execute(self, config: &Path, output: Output) -> anyhow::Result<()> {
        match self {
            Self::Start { rule, stage, asking } => {
                let done = format!("{rule} was started in {stage}: `tidegate status` shows how far it is");
                asking.ask(config, output, Command::Run { rule, stage }, &done).await
            }
            Self::Show { run, asking } => show(config, output, &run, &asking).await,
        }
    }
}

async fn show(config: &Path, output: Output, id: &RunId, asking: &Asking) -> anyhow::Result<()> {
    let house = House::open_to_read(config).await?;
    let system = house.system(asking).await?;
    let known = house.ledger.read(&system, |state| {
        let run = state.run(id)?.clone();
        let asks_for = run.asking().map(|step| run.digest(step)).filter(|_| !run.state.is_ended());
        Some(Shown { waiting: explain::run(state, &run), made_here: explain::made_here(state, &run), asks_for, run })
    });
    let shown = match known.await? {
        Some(shown) => shown,
        None => match house.ledger.store().run(&system, id).await? {
            Some(run) => {
                let made_here = house.ledger.read(&system, |state| explain::made_here(state, &run)).await?;
                Shown { run, waiting: None, made_here, asks_for: None }
            }
            None => bail!("{system} has had no run `{id}`; `tidegate runs` lists them"),
        },
    };
    match output {
        Output::Json => output.json(&Shown { run: shown.run.as_shown(), ..shown }),
        Output::Text => say(&house.complete(asking, &system, &shown.text()).await?),
    }
}

/// A run's identity from the command line.
pub(super) fn parse_run(text: &str) -> Result<RunId, String> {
    let number = text.rsplit_once('-').and_then(|(_, number)| number.parse::<u64>().ok());
    number.map(|_| RunId::new(text)).ok_or_else(|| format!("`{text}` is no run: runs are named like `deliver-7`"))
}
