//! `tidegate run`: starts a rule by hand, or shows one run.

mod show;

use std::path::Path;

use anyhow::bail;
use clap::Subcommand;

use self::show::Shown;
use super::{
    Asking, House,
    output::{Output, say},
    place_waits::PlaceWaits,
};
use crate::{
    engine::{self, Command, RunId, StartOn, System, explain},
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
    pub(super) async fn execute(self, config: &Path, output: Output) -> anyhow::Result<()> {
        match self {
            Self::Start { rule, stage, tag, asking } => {
                let of_tag = tag.as_ref().map_or_else(String::new, |tag| format!(" for tag {tag}"));
                let done = format!("{rule} was started in {stage}{of_tag}: `tidegate status` shows how far it is");
                let command = Command::Run { rule, stage, on: tag.map(StartOn::Tag) };
                asking.ask(config, output, command, &done).await
            }
            Self::Show { run, asking } => show(config, output, &run, &asking).await,
        }
    }
}

async fn show(config: &Path, output: Output, id: &RunId, asking: &Asking) -> anyhow::Result<()> {
    let house = House::open_to_read(config).await?;
    let system = house.system(asking).await?;
    let waits = PlaceWaits::of(&house, &system);
    let known = house.ledger.read(&system, |state| {
        let run = state.run(id)?.clone();
        let asks_for = run.asking().map(|step| run.digest(step)).filter(|_| !run.state.is_ended());
        let (waiting, made_here) = (explain::run(state, &run), explain::made_here(state, &run));
        let waiting = waits.instead_of(waiting, &run);
        let (strangers, changes) = (strangers(state, &run), changes(state, id));
        let known_by = explain::known_by(state, &run);
        Some(Shown { waiting, made_here, changes, asks_for, strangers, known_by, run })
    });
    let shown = match known.await? {
        Some(shown) => shown,
        None => match house.ledger.store().run(&system, id).await? {
            Some(run) => {
                let told = |state: &System| Shown {
                    waiting: None,
                    made_here: explain::made_here(state, &run),
                    changes: changes(state, id),
                    asks_for: None,
                    strangers: strangers(state, &run),
                    known_by: explain::known_by(state, &run),
                    run: run.clone(),
                };
                house.ledger.read(&system, told).await?
            }
            None => bail!("{system} has had no run `{id}`; `tidegate runs` lists them"),
        },
    };
    match output {
        Output::Json => output.json(&Shown { run: shown.run.as_shown(), ..shown }),
        Output::Text => say(&house.complete(asking, &system, &shown.text()).await?),
    }
}

/// What the rules mean that a run asks about.
fn changes(state: &System, id: &RunId) -> Vec<String> {
    state.offered_by(id).map(|offered| offered.meaning.clone()).unwrap_or_default()
}

/// Of those who wrote a run's change, those who are none of the people.
fn strangers(state: &System, run: &engine::Run) -> Vec<String> {
    let strangers = state.access.as_ref().map(|in_force| in_force.access.strangers(&run.authors)).unwrap_or_default();
    strangers.into_iter().map(str::to_owned).collect()
}

/// A run's identity from the command line.
pub(super) fn parse_run(text: &str) -> Result<RunId, String> {
    let number = text.rsplit_once('-').and_then(|(_, number)| number.parse::<u64>().ok());
    number.map(|_| RunId::new(text)).ok_or_else(|| format!("`{text}` is no run: runs are named like `deliver-7`"))
}
