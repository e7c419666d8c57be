//! `tidegate simulate`: what would happen, in every repository and stage, in order. Nothing is touched.

mod text;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context;
use clap::{Args, Subcommand, ValueEnum};
use tokio::signal::unix::SignalKind;

use super::{
    Asking, House,
    asker::Asker,
    check::mistakes_in,
    in_force::checked::{Checking, Standing},
    moment,
    output::{Output, say},
    run::parse_run,
    secrets,
    signals::told_to_stop,
};
use crate::{
    driver::now_ms,
    engine::{Command, Digest, Principal, RunId, StartOn, System, explain},
    house::current_program,
    providers::git::{GitOptions, commit_in},
    rules::{Loaded, RepositoryName, RuleName, Rules, StageName},
    simulate::{
        Originals, Question, Supposed, predict,
        report::{Prediction, Stopped, Summary},
    },
};

const DAY_MS: i64 = 24 * 60 * 60 * 1_000;
/// The longest that may be looked ahead, in days.
const MOST_DAYS: i64 = 366;

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
    #[arg(long, default_value_t = 7, value_name = "N", value_parser = clap::value_parser!(i64).range(1..=MOST_DAYS))]
    days: i64,
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

impl Ahead {
    fn from(self, now_ms: i64) -> (How, i64) {
        (self.how, now_ms + self.days * DAY_MS)
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

    pub(super) async fn execute(self, config: &Path, output: Output) -> anyhow::Result<()> {
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
            prediction = self.predict(config, output) => prediction?,
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

    async fn predict(self, config: &Path, output: Output) -> anyhow::Result<Prediction> {
        let now_ms = now_ms();
        let asked = |command: Command, ahead: Ahead| {
            let (how, until_ms) = ahead.from(now_ms);
            (Supposed::Asked { command }, None, how, until_ms)
        };
        let (supposed, brought, how, until_ms) = match self {
            Self::Push { repository, stage, commit, from, force, ahead } => {
                anyhow::ensure!(
                    !force || commit.is_some() || from.is_some(),
                    "a forced push is of a commit: name it by `--commit` or `--from`"
                );
                let (commit, brought) = match from {
                    Some(clone) => {
                        let (commit, objects) = commit_in(&clone, commit.as_deref().unwrap_or("HEAD"))?;
                        (Some(commit), Some((repository.clone(), objects)))
                    }
                    None => (commit, None),
                };
                let (how, until_ms) = ahead.from(now_ms);
                (Supposed::Push { repository, stage, commit, force }, brought, how, until_ms)
            }
            Self::Promote { from, to, ahead } => {
                asked(Command::Promote { from, to, version: None, release: None }, ahead)
            }
            Self::Rollback { stage, to, ahead } => {
                asked(Command::Rollback { stage, to, reason: "simulated".to_owned() }, ahead)
            }
            Self::Retry { run, ahead } => asked(Command::Retry { run }, ahead),
            Self::Run { rule, stage, tag, ahead } => {
                asked(Command::Run { rule, stage, on: tag.map(StartOn::Tag) }, ahead)
            }
            Self::Until { time, how } => {
                let from_now = |_| moment::parse(&format!("in {time}"), now_ms).ok();
                let until_ms = moment::parse(&time, now_ms).or_else(|error| from_now(()).ok_or(error))?;
                anyhow::ensure!(until_ms > now_ms, "{} is in the past", explain::time(until_ms));
                let most_ms = now_ms + MOST_DAYS * DAY_MS;
                anyhow::ensure!(until_ms <= most_ms, "that is more than {MOST_DAYS} days ahead");
                (Supposed::Until { until_ms }, None, how, until_ms)
            }
        };
        let house = House::open_to_read(config).await?;
        let system = house.system(&how.asking.asked()).await?;
        let state = house.ledger.read(&system, System::clone).await?;
        let rules = how.rules.as_deref().map(|file| changed_rules(file, &state, &house, output)).transpose()?;
        let objects = house.settings.objects().open_to_read()?;
        let question = Question {
            supposed,
            rules,
            now_ms,
            horizon_ms: until_ms,
            by: asking(&house, &how.asking.who.asker()),
            access: house.settings.access().for_system(&system),
            run_commands: how.run_commands,
            originals: Originals {
                mirrors: house.settings.data.join("mirrors"),
                objects: Arc::clone(&objects),
                providers: house.providers(objects, house.settings.sandbox()?, &current_program()?),
                // What is foreseen is signed by nobody: a key may ask for a touch.
                git: GitOptions { proofs: house.proofs().clone(), ..house.git_options() },
                sandbox: house.settings.sandbox()?,
                secrets: secrets::files(&house.settings.secrets),
                brought,
            },
            system: state,
        };
        Ok(predict(question).await?)
    }
}

/// The rules of a file that may be put into force, with their places as they are for those in force.
fn changed_rules(
    file: &Path,
    state: &System,
    house: &House,
    output: Output,
) -> anyhow::Result<(String, Digest, Rules)> {
    let in_force = state.rules.as_ref().context("no rules are in force yet: `tidegate serve` reads them and begins")?;
    let text =
        std::fs::read_to_string(file).with_context(|| format!("cannot read the rules file {}", file.display()))?;
    // A path in it is from where the rules in force are, if those are on this machine.
    let (standing, stands_at) = match &in_force.origin {
        Some(_) => (Standing::Repository, file),
        None => (Standing::Disk, Path::new(&in_force.source)),
    };
    let name = file.display().to_string();
    let loaded = Checking::by(Some(&house.settings), standing).alone_at(stands_at, &name, &text);
    let Loaded { rules, .. } = loaded.map_err(|mistakes| mistakes_in(&mistakes, output))?;
    let system = &in_force.rules.system;
    anyhow::ensure!(rules.system == *system, "{name} has the rules of {}, not of {system}", rules.system);
    Ok((name, Digest::of(text.as_bytes()), rules))
}

/// Who asks. Nothing is done in their name, so a stranger may ask as well.
fn asking(house: &House, who: &Asker) -> Principal {
    let stranger = |_| Principal::named(who.in_name_of.clone().unwrap_or_else(|| who.user.to_string()));
    let by = house.settings.principal(who).unwrap_or_else(stranger);
    Principal { asked_by: None, ..by }
}
