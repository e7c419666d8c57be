//! `tidegate run`: starts a rule by hand, or shows one run.

mod show;

use clap::Subcommand;

use super::{
    Asking, Source,
    output::{Output, say},
};
use crate::{
    engine::{Command, RunId, StartOn},
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
        /// For a rule that tags start: the tag that it is to run for, once more
        #[arg(long)]
        tag: Option<String>,
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
            Self::Start { rule, stage, tag, asking } => {
                let of_tag = tag.as_ref().map_or_else(String::new, |tag| format!(" for tag {tag}"));
                let done = format!("{rule} was started in {stage}{of_tag}: `tidegate status` shows how far it is");
                let command = Command::Run { rule, stage, on: tag.map(StartOn::Tag) };
                asking.ask(source, output, command, &done).await
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
