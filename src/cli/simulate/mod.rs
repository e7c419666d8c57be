//! `tidegate simulate`: what would happen, in every repository and stage, in order. Nothing is touched.

mod text;

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, Subcommand, ValueEnum};
use tokio::signal::unix::SignalKind;

use super::{
    Asking, ServerSaid, Source,
    check::{mistakes_in, mistakes_told},
    output::{Output, say},
    run::parse_run,
    signals::told_to_stop,
};
use crate::{
    engine::RunId,
    house::predictions::{DAYS, FORCE_NEEDS_A_COMMIT, MOST_DAYS, OnlyHere},
    providers::git::commit_in,
    rules::{Mistakes, RepositoryName, RuleName, StageName},
    simulate::report::{Prediction, Stopped, Summary},
    view::predictions::{PredictionAsked, RulesText, Suppose},
};

/// Say what would happen, in every repository and stage, in order: commits with their differences, builds, gates with who
/// could pass them, deployments. The same engine and the same steps do it, on copies; nothing is touched.
#[derive(Debug, Subcommand)]
#[command(after_help = AFTER_HELP)]
pub(super) enum Simulate {
    /// If a commit were pushed
    Push {
        /// The repository
        repository: RepositoryName,
        /// The stage, to whose branch it is pushed
        stage: StageName,
        /// The commit: digits, a branch or a tag; without it and `--from`, the present head is carried forward again
        #[arg(long, value_name = "COMMIT")]
        commit: Option<String>,
        /// A clone on this machine that has the commit; its HEAD unless `--commit` names another
        #[arg(long, value_name = "PATH")]
        from: Option<PathBuf>,
        /// As a forced push, which the present head does not stand in the way of
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        ahead: Ahead,
    },
    /// If what was verified in one stage were promoted to another
    Promote {
        /// The stage it is taken from
        from: StageName,
        /// The stage it is merged into
        to: StageName,
        #[command(flatten)]
        ahead: Ahead,
    },
    /// If a stage were rolled back
    Rollback {
        /// The stage
        stage: StageName,
        /// The run that verified the version; the one before what is there unless it is given
        #[arg(long, value_parser = parse_run)]
        to: Option<RunId>,
        #[command(flatten)]
        ahead: Ahead,
    },
    /// If the failed steps of a run were done again
    Retry {
        /// The failed run
        #[arg(value_parser = parse_run)]
        run: RunId,
        #[command(flatten)]
        ahead: Ahead,
    },
    /// If a rule were run on the present head of a stage
    Run {
        /// The rule
        rule: RuleName,
        /// The stage
        #[arg(long)]
        stage: StageName,
        /// For a rule that tags start: the tag that it is to run for, once more
        #[arg(long)]
        tag: Option<String>,
        #[command(flatten)]
        ahead: Ahead,
    },
    /// If time went by: schedules that fire until then, and gates that open
    Until {
        /// `2026-08-01`, `2026-08-01 03:00` (both UTC), `2026-08-01T03:00:00+02:00`, or how long from now: `36h`
        time: String,
        #[command(flatten)]
        how: How,
    },
}

const AFTER_HELP: &str = "Example: tidegate simulate push software dev --from . --rules promotion-rules/webshop.yaml\n\
A person who is asked is supposed to agree at once, and work to take no time: every time shown is the earliest.";

/// How it is simulated.
#[derive(Debug, Args)]
pub(super) struct How {
    /// By the rules in this file rather than those in force
    #[arg(long, value_name = "FILE")]
    rules: Option<PathBuf>,
    /// Run the commands of the rules' `synth` and `lint` steps, on copies, rather than supposing that they succeed
    #[arg(long)]
    run_commands: bool,
    /// End with exit code 1 when this would come of it; may be given twice
    #[arg(long, value_enum, value_name = "WHAT")]
    fail_on: Vec<FailOn>,
    #[command(flatten)]
    asking: Asking,
}

/// How far, and how.
#[derive(Debug, Args)]
pub(super) struct Ahead {
    /// How many days are looked ahead
    #[arg(long, default_value_t = DAYS, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(MOST_DAYS)))]
    days: u32,
    #[command(flatten)]
    how: How,
}

/// What a caller does not want to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum FailOn {
    /// A run that fails
    Failure,
    /// A gate that nobody could pass
    Stuck,
}

impl FailOn {
    /// What came of it that was not wanted.
    fn met(self, prediction: &Prediction) -> Option<String> {
        let Summary { failed, .. } = &prediction.summary;
        match self {
            Self::Failure if *failed > 0 => {
                Some(format!("{failed} {} would fail", if *failed == 1 { "run" } else { "runs" }))
            }
            Self::Stuck if prediction.stopped == Stopped::Stuck => Some("nobody could approve what waits".to_owned()),
            Self::Failure | Self::Stuck => None,
        }
    }
}

impl Simulate {
    /// Whether commands of the rules are run.
    pub(super) const fn runs_commands(&self) -> bool {
        match self {
            Self::Push { ahead, .. }
            | Self::Promote { ahead, .. }
            | Self::Rollback { ahead, .. }
            | Self::Retry { ahead, .. }
            | Self::Run { ahead, .. } => ahead.how.run_commands,
            Self::Until { how, .. } => how.run_commands,
        }
    }

    pub(super) async fn execute(self, source: &Source, output: Output) -> anyhow::Result<()> {
        let fail_on = self.fail_on().to_vec();
        let further = match &self {
            Self::Until { .. } => "a later time shows it",
            _ => "`--days` looks further ahead",
        };
        let signals = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
        let prediction = tokio::select! {
            // First, so that a signal is waited for before anything is copied.
            biased;
            // Dropped, it removes its copies.
            () = told_to_stop(&signals) => {
                anyhow::bail!("interrupted; nothing was touched")
            }
            prediction = self.predict(source) => prediction.map_err(|error| said(error, output))?,
        };
        match output {
            Output::Json => output.json(&prediction)?,
            Output::Text => say(&text::of(&prediction, further))?,
        }
        let met: Vec<String> = fail_on.iter().filter_map(|what| what.met(&prediction)).collect();
        anyhow::ensure!(met.is_empty(), "{}, which `--fail-on` asks about", met.join(", and "));
        Ok(())
    }

    fn fail_on(&self) -> &[FailOn] {
        match self {
            Self::Push { ahead, .. }
            | Self::Promote { ahead, .. }
            | Self::Rollback { ahead, .. }
            | Self::Retry { ahead, .. }
            | Self::Run { ahead, .. } => &ahead.how.fail_on,
            Self::Until { how, .. } => &how.fail_on,
        }
    }

    async fn predict(self, source: &Source) -> anyhow::Result<Prediction> {
        let mut brought = None;
        let (suppose, ahead) = match self {
            Self::Push { repository, stage, mut commit, from, force, ahead } => {
                anyhow::ensure!(!force || commit.is_some() || from.is_some(), FORCE_NEEDS_A_COMMIT);
                if let Some(clone) = from {
                    source.only_here("`--from` reads a clone on this machine")?;
                    let (found, objects) = commit_in(&clone, commit.as_deref().unwrap_or("HEAD"))?;
                    commit = Some(found);
                    brought = Some((repository.clone(), objects));
                }
                (Suppose::Push { repository, stage, commit, force }, ahead)
            }
            Self::Promote { from, to, ahead } => (Suppose::Promote { from, to }, ahead),
            Self::Rollback { stage, to, ahead } => (Suppose::Rollback { stage, to }, ahead),
            Self::Retry { run, ahead } => (Suppose::Retry { run }, ahead),
            Self::Run { rule, stage, tag, ahead } => (Suppose::Run { rule, stage, tag }, ahead),
            Self::Until { time, how } => (Suppose::Until { time }, Ahead { days: DAYS, how }),
        };
        let Ahead { days, how } = ahead;
        let answers = source.open_to_read().await?;
        let asked = how.asking.asked();
        let system = answers.system(&asked).await?;
        let rules = how.rules.as_deref().map(rules_in).transpose()?;
        let prediction = PredictionAsked { suppose, days: Some(days), rules };
        answers.predict(&asked, &system, prediction, OnlyHere { run_commands: how.run_commands, brought }).await
    }
}

/// A rules file.
fn rules_in(file: &Path) -> anyhow::Result<RulesText> {
    let text =
        std::fs::read_to_string(file).with_context(|| format!("cannot read the rules file {}", file.display()))?;
    Ok(RulesText { name: file.display().to_string(), text })
}

/// Mistakes in the rules are printed as `tidegate check` does.
fn said(error: anyhow::Error, output: Output) -> anyhow::Error {
    let told = match (error.downcast_ref::<Mistakes>(), error.downcast_ref::<ServerSaid>()) {
        (Some(mistakes), _) => return mistakes_in(mistakes, output),
        (None, Some(ServerSaid(problem))) => {
            problem.mistakes.as_ref().map(|mistakes| mistakes_told(&problem.detail, mistakes, output))
        }
        (None, None) => None,
    };
    told.unwrap_or(error)
}
