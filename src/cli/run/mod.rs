//! `tidegate run`: starts a rule by hand, or shows one run.

mod show;

use clap::Subcommand;

use super::{
    Asking, Source,
    output::{Output, say},
};
use crate::{
    engine::{Command, RunId},
    rules::{RuleName, StageName},
};

pub(super) use crate::view::run::parse_run;

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
    pub(super) async fn execute(self, source: &Source, output: Output) -> anyhow::Result<()> {
        match self {
            Self::Start { rule, stage, asking } => {
                let done = format!("{rule} was started in {stage}: `tidegate status` shows how far it is");
                asking.ask(source, output, Command::Run { rule, stage }, &done).await
            }
            Self::Show { run, asking } => show(source, output, &run, &asking).await,
        }
    }
}

async fn show(source: &Source, output: Output, id: &RunId, asking: &Asking) -> anyhow::Result<()> {
    let answers = source.open_to_read().await?;
    let system = answers.system(&asking.asked()).await?;
    let shown = answers.run_shown(&system, id).await?;
    match output {
        Output::Json => output.json(&shown.as_shown()),
        Output::Text => say(&answers.complete(&asking.asked(), &system, &show::text(&shown)).await?),
    }
}
