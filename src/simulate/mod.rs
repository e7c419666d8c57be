//! What would happen: the engine itself is stepped on a copy of the state, and the steps are done on copies of the
//! repositories and the object store, so that a prediction is made by what would act. Nothing outside is touched. It decides
//! nothing: where the world would answer (a build, a deployment, a person), the answer is supposed, and marked as such.
//!
//! The clock is virtual. Work takes no time, and when nothing is left to do at a moment, the next moment is the one at which
//! something is due: every time in a prediction is the earliest.

mod builder;
mod go_on;
mod people;
mod record;
pub mod report;
mod scratch;
mod suppose;
mod tell;

use std::collections::{BTreeMap, BTreeSet};

pub use self::scratch::Originals;
use self::{
    record::Record,
    report::{Prediction, RulesUsed, Stopped, Summary, What},
    scratch::Scratch,
};
use crate::{
    engine::{Access, Command, Digest, Effect, EffectId, Event, Principal, Recorded, Refused, System, step},
    providers::Fault,
    rules::{RepositoryName, Rules, StageName},
    steps::foresight::{Certainty, Foresight, Placeholders},
};

/// As much of differences as is kept of one commit.
const MOST_DIFF_BYTES: usize = 32 * 1024;

/// What is supposed.
#[derive(Debug, Clone, PartialEq)]
pub enum Supposed {
    /// A commit is pushed.
    Push {
        /// To this repository.
        repository: RepositoryName,
        /// To the branch of this stage.
        stage: StageName,
        /// The commit, or what names it; without one, the present head is carried forward again.
        commit: Option<String>,
        /// Whether it is a forced push, which the branch's head does not stand in the way of.
        force: bool,
    },
    /// Somebody asks for something: a promotion, a way back, a retry.
    Asked {
        /// For this.
        command: Command,
    },
    /// The clock goes on.
    Until {
        /// Until this moment: milliseconds since 1970, UTC.
        until_ms: i64,
    },
}

/// What is to be predicted, and from what.
pub struct Question {
    /// What is supposed.
    pub supposed: Supposed,
    /// The state as it is.
    pub system: System,
    /// Rules to go by in place of those in force: where they were read, their digest, and what they say.
    pub rules: Option<(String, Digest, Rules)>,
    /// The present: milliseconds since 1970, UTC.
    pub now_ms: i64,
    /// No further than this: milliseconds since 1970, UTC.
    pub horizon_ms: i64,
    /// Who asks.
    pub by: Principal,
    /// The people and roles by which gates are passed; when there are no people, there is always somebody.
    pub access: Access,
    /// Whether the rules' commands are run, on copies.
    pub run_commands: bool,
    /// What is copied.
    pub originals: Originals,
}

/// Why nothing could be predicted.
#[derive(Debug, thiserror::Error)]
pub enum Unpredictable {
    /// The engine would refuse it.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// Git would refuse it.
    #[error("{what}; {hint}")]
    NotPushed {
        /// What, and why.
        what: String,
        /// What to do instead.
        hint: String,
    },
    /// The copies could not be made.
    #[error("{0}{hint}", hint = hint(.0))]
    Copies(#[from] Fault),
}

fn hint(fault: &Fault) -> String {
    match fault {
        Fault::Fail { hint, .. } if !hint.is_empty() => format!("; {hint}"),
        Fault::Fail { .. } | Fault::Retry { .. } => String::new(),
    }
}

/// Predicts.
///
/// # Errors
/// [`Unpredictable::Refused`] and [`Unpredictable::NotPushed`] when what is supposed would be refused; [`Unpredictable::Copies`] when a copy cannot be made.
pub async fn predict(question: Question) -> Result<Prediction, Unpredictable> {
    let Question { supposed, mut system, rules, now_ms, horizon_ms, by, access, run_commands, originals } = question;
    let changed = rules.is_some();
    let mut notes = Vec::new();
    let at_ms = now_ms.max(system.at_ms);
    if system.access.as_ref().map_or(access != Access::default(), |in_force| in_force.digest != access.digest()) {
        let seq = system.seq + 1;
        step(&mut system, &Recorded { seq, at_ms, event: Event::AccessLoaded { access } })?;
    }
    if let Some((source, digest, rules)) = rules {
        notes.extend(not_seen(&system, &rules));
        let event = Event::RulesLoaded { source, digest, rules: Box::new(rules) };
        let seq = system.seq + 1;
        step(&mut system, &Recorded { seq, at_ms, event })?;
    }
    let in_force = system.rules.clone().ok_or(Refused::NoRules)?;
    let placeholders = Placeholders::default();
    let scratch = Scratch::make(&mut system, &originals, placeholders.clone())?;
    let mut simulation = Simulation {
        waits: system
            .due
            .values()
            .cloned()
            .enumerate()
            .map(|(order, effect)| (effect.id.clone(), (order, effect)))
            .collect(),
        emitted: system.due.len(),
        told_before: system.notices.made,
        system,
        at_ms,
        horizon_ms,
        scratch,
        foresight: Foresight { placeholders, run_commands },
        record: Record::default(),
        scheduled: BTreeSet::new(),
        until_horizon: matches!(supposed, Supposed::Until { .. }),
        stuck: BTreeMap::new(),
        notes,
    };
    let clause = simulation.suppose(&supposed, &by).await?;
    let stopped = simulation.go_on().await?;
    Ok(simulation.into_prediction(
        clause,
        RulesUsed { source: in_force.source, digest: in_force.digest.to_string(), changed },
        at_ms,
        stopped,
    ))
}

/// What the rules name and nobody has looked at yet.
fn not_seen(system: &System, rules: &Rules) -> Vec<String> {
    let unseen = |name: &&RepositoryName| system.repositories.get(*name).is_none_or(|watched| watched.seen.is_empty());
    let note =
        |name| format!("{name} is not watched yet, so nothing is known of its branches; seen first, it starts nothing");
    rules.repositories.keys().filter(unseen).map(note).collect()
}

/// A simulation on its way.
struct Simulation {
    system: System,
    at_ms: i64,
    horizon_ms: i64,
    scratch: Scratch,
    foresight: Foresight,
    record: Record,
    /// The pending effects, in the order in which they were asked for.
    waits: BTreeMap<EffectId, (usize, Effect)>,
    emitted: usize,
    /// How many notices there were before.
    told_before: u64,
    /// The numbers of the runs that a schedule began, and all that came of them.
    scheduled: BTreeSet<u64>,
    until_horizon: bool,
    /// Gates that nobody could pass: run and step → the place in the log at which that was so.
    stuck: BTreeMap<(u64, String), u64>,
    notes: Vec<String>,
}

impl Simulation {
    fn into_prediction(self, supposed: String, rules: RulesUsed, from_ms: i64, stopped: Stopped) -> Prediction {
        let waiting = self.still_waiting();
        let scheduled = matches!(stopped, Stopped::Settled | Stopped::Stuck);
        let system = self.system.rules().map_or_else(String::new, |rules| rules.system.to_string());
        let placeholders = self.foresight.placeholders.lock().map(|all| all.clone()).unwrap_or_default();
        let events = self.record.into_events(&self.scratch);
        let (summary, besides) = Summary::of(&events, self.until_horizon);
        Prediction {
            system,
            supposed,
            rules,
            from_ms,
            to_ms: if self.until_horizon && scheduled { self.horizon_ms } else { self.at_ms },
            summary,
            besides,
            placeholders: tell::used(placeholders, &events),
            events,
            waiting,
            stopped,
            notes: self.notes,
        }
    }
}
