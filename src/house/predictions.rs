//! Predicts, from what the store, the mirrors and the settings say now. Nothing is touched, so that whoever may look may ask.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context;

use super::{
    House,
    asker::Asker,
    current_program,
    failure::Unanswered,
    in_force::checked::{Checking, Standing},
    moment, now_ms, secrets,
};
use crate::{
    engine::{Command, Digest, Principal, StartOn, System, explain},
    providers::git::GitOptions,
    rules::{Loaded, RepositoryName, Rules, SystemName, printable_line},
    simulate::{Originals, Question, Supposed, predict},
    view::predictions::{PredictionAsked, RulesText, Suppose},
};

pub use crate::simulate::{Unpredictable, report::Prediction};

const DAY_MS: i64 = 24 * 60 * 60 * 1_000;
/// How many days are looked ahead unless it is said.
pub(crate) const DAYS: u32 = 7;
/// The longest that may be looked ahead, in days.
pub(crate) const MOST_DAYS: u32 = 366;

/// What only who is on this machine can add to a question.
#[derive(Debug, Default)]
pub struct OnlyHere {
    /// The rules' commands are run, on copies.
    pub run_commands: bool,
    /// A commit that is pushed is in this folder of objects.
    pub brought: Option<(RepositoryName, PathBuf)>,
}

impl House {
    /// Predicts what would happen in a system.
    ///
    /// # Errors
    /// [`Unpredictable`]; the mistakes of the rules that are asked about; that the question cannot be meant so.
    pub async fn predict(
        &self,
        system: &SystemName,
        who: &Asker,
        asked: PredictionAsked,
        only_here: OnlyHere,
    ) -> anyhow::Result<Prediction> {
        let (now_ms, PredictionAsked { suppose, days, rules }) = (now_ms(), asked);
        let (supposed, horizon_ms) = supposed(suppose, days, now_ms)?;
        let state = self.ledger.read(system, System::clone).await?;
        let rules = rules.map(|rules| self.changed_rules(rules, &state)).transpose()?;
        let objects = self.settings.objects().open_to_read()?;
        let question = Question {
            supposed,
            rules,
            now_ms,
            horizon_ms,
            by: self.supposed_asker(who),
            access: self.access_of(system).await?,
            run_commands: only_here.run_commands,
            originals: Originals {
                mirrors: self.settings.data.join("mirrors"),
                objects: Arc::clone(&objects),
                providers: self.providers(objects, self.settings.sandbox()?, &current_program()?),
                // What is foreseen is signed by nobody: a key may ask for a touch.
                git: GitOptions { proofs: self.proofs().clone(), ..self.git_options() },
                sandbox: self.settings.sandbox()?,
                secrets: secrets::files(&self.settings.secrets),
                brought: only_here.brought,
            },
            system: state,
        };
        Ok(predict(question).await?)
    }

    /// The rules of a file that may be put into force, with their places as they are for those in force.
    fn changed_rules(&self, rules: RulesText, state: &System) -> anyhow::Result<(String, Digest, Rules)> {
        let in_force =
            state.rules.as_ref().context("no rules are in force yet: `tidegate serve` reads them and begins")?;
        let RulesText { name, text } = rules;
        let name = printable_line(&name);
        // A path in it is from where the rules in force are, if those are on this machine.
        let (standing, stands_at) = match &in_force.origin {
            Some(_) => (Standing::Repository, Path::new(&name)),
            None => (Standing::Disk, Path::new(&in_force.source)),
        };
        let Loaded { rules, .. } = Checking::by(Some(&self.settings), standing).alone_at(stands_at, &name, &text)?;
        let system = &in_force.rules.system;
        if rules.system != *system {
            let (name, of) = (&name, &rules.system);
            return Err(Unanswered::unclear(format!("{name} has the rules of {of}, not of {system}")).into());
        }
        Ok((name, Digest::of(text.as_bytes()), rules))
    }

    /// Who asks. Nothing is done in their name, so a stranger may ask as well.
    fn supposed_asker(&self, who: &Asker) -> Principal {
        let stranger = |_| Principal::named(who.in_name_of.clone().unwrap_or_else(|| who.user.to_string()));
        let by = self.settings.principal(who).unwrap_or_else(stranger);
        Principal { asked_by: None, ..by }
    }
}

/// What is supposed, and how far ahead is looked: milliseconds since 1970, UTC.
fn supposed(suppose: Suppose, days: Option<u32>, now_ms: i64) -> anyhow::Result<(Supposed, i64)> {
    let days = days.unwrap_or(DAYS);
    if !(1..=MOST_DAYS).contains(&days) {
        return Err(Unanswered::unclear(format!("`days` is a number from 1 to {MOST_DAYS}")).into());
    }
    let command = match suppose {
        Suppose::Push { commit: None, force: true, .. } => {
            return Err(Unanswered::unclear(FORCE_NEEDS_A_COMMIT).into());
        }
        Suppose::Push { repository, stage, commit, force } => {
            let push = Supposed::Push { repository, stage, commit, force };
            return Ok((push, now_ms + i64::from(days) * DAY_MS));
        }
        Suppose::Until { time } => {
            let until_ms = until(&time, now_ms)?;
            return Ok((Supposed::Until { until_ms }, until_ms));
        }
        Suppose::Promote { from, to } => Command::Promote { from, to, version: None, release: None },
        Suppose::Rollback { stage, to } => Command::Rollback { stage, to, reason: "simulated".to_owned() },
        Suppose::Retry { run } => Command::Retry { run },
        Suppose::Run { rule, stage, tag } => Command::Run { rule, stage, on: tag.map(StartOn::Tag) },
    };
    Ok((Supposed::Asked { command }, now_ms + i64::from(days) * DAY_MS))
}

/// What is said where a forced push names no commit.
pub(crate) const FORCE_NEEDS_A_COMMIT: &str = "a forced push is of a commit: name it by `--commit` or `--from`";

fn until(time: &str, now_ms: i64) -> anyhow::Result<i64> {
    let from_now = |_| moment::parse(&format!("in {time}"), now_ms).ok();
    let until_ms = moment::parse(time, now_ms).or_else(|error| from_now(()).ok_or(error));
    let until_ms = until_ms.map_err(|error| Unanswered::unclear(error.to_string()))?;
    if until_ms <= now_ms {
        return Err(Unanswered::unclear(format!("{} is in the past", explain::time(until_ms))).into());
    }
    if until_ms > now_ms + i64::from(MOST_DAYS) * DAY_MS {
        return Err(Unanswered::unclear(format!("that is more than {MOST_DAYS} days ahead")).into());
    }
    Ok(until_ms)
}
