//! `tidegate run`: starts a rule by hand, or shows one run.

use std::path::Path;

use clap::Subcommand;

use super::{Asking, output::Output};
use crate::{
    engine::{Command, RunId},
    rules::{RuleName, StageName, SystemName},
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
        /// The system, where there is more than one
        #[arg(long, short)]
        system: Option<SystemName>,
    },
}

impl Run {
    pub(super) async fn execute(self, config: &Path, output: Output) -> anyhow::Result<()> {
        match self {
            Self::Start { rule, stage, asking } => {
                let done = format!("{rule} was started in {stage}: `tidegate status` shows how far it is");
                asking.ask(config, output, Command::Run { rule, stage }, &done).await
            }
            Self::Show { .. } => anyhow::bail!("not yet"),
        }
    }
}

/// A run's identity from the command line.
pub(super) fn parse_run(text: &str) -> Result<RunId, String> {
    let number = text.rsplit_once('-').and_then(|(_, number)| number.parse::<u64>().ok());
    number.map(|_| RunId::new(text)).ok_or_else(|| format!("`{text}` is no run: runs are named like `deliver-7`"))
}
