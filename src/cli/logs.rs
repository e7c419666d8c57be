//! `tidegate logs`: shows what a run's steps printed.

use std::{
    collections::BTreeMap,
    io::{IsTerminal as _, Write as _},
    time::Duration,
};

use clap::Args;

use super::{
    Asking, Source,
    output::{Tone, colours, paint, say, shown},
};
use crate::{engine::RunId, rules::StepId, view::run::parse_run};

/// How often a log that is followed is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Show what a run's steps printed.
#[derive(Debug, Args)]
#[command(after_help = "Example: tidegate logs bake-2 -f")]
pub(super) struct Logs {
    /// The run
    #[arg(value_parser = parse_run)]
    run: RunId,
    /// Only this step
    step: Option<StepId>,
    /// Go on until the run has ended
    #[arg(long, short)]
    follow: bool,
    #[command(flatten)]
    asking: Asking,
}

impl Logs {
    pub(super) async fn execute(self, source: &Source) -> anyhow::Result<()> {
        let mut answers = source.open_to_read().await?;
        let system = answers.system(&self.asking.asked()).await?;
        let mut reader = Reader::default();
        loop {
            let (ended, printed) = answers.printed(&system, &self.run).await?;
            printed
                .iter()
                .filter(|(step, _)| self.step.as_ref().is_none_or(|only| only == step))
                .try_for_each(|(step, log)| reader.print_new(step, log))?;
            if !self.follow || ended {
                return reader.end();
            }
            tokio::time::sleep(LOOK_EVERY).await;
            // What was at rest when it was opened is read as it was then.
            answers = source.open_to_read().await?;
        }
    }
}

/// Prints what a step printed: as it is, but for a person without what would control the terminal.
fn print(bytes: &[u8]) -> anyhow::Result<()> {
    let mut out = std::io::stdout();
    if out.is_terminal() {
        write!(out, "{}", shown(&String::from_utf8_lossy(bytes), colours()))?;
    } else {
        out.write_all(bytes)?;
    }
    Ok(())
}

/// Prints the logs of a run's steps as they grow.
#[derive(Default)]
struct Reader {
    /// How much of each has been printed.
    printed: BTreeMap<StepId, usize>,
    last: Option<StepId>,
}

impl Reader {
    fn print_new(&mut self, step: &StepId, log: &[u8]) -> anyhow::Result<()> {
        let from = self.printed.get(step).copied().unwrap_or(0);
        let Some(new) = log.get(from..).filter(|new| !new.is_empty()) else { return Ok(()) };
        if self.last.as_ref() != Some(step) {
            say(&paint(&format!("==> {step} <=="), Tone::Strong))?;
            self.last = Some(step.clone());
        }
        print(new)?;
        self.printed.insert(step.clone(), log.len());
        Ok(())
    }

    fn end(&self) -> anyhow::Result<()> {
        if self.printed.is_empty() { say("nothing has been printed") } else { Ok(()) }
    }
}
