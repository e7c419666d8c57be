//! What would happen: the engine itself is stepped on a copy of the state, and the steps are done on copies of the
//! repositories and the object store, so that a prediction is made by what would act. Nothing outside is touched. It decides
//! nothing: where the world would answer (a build, a deployment, a person), the answer is supposed, and marked as such.
//!
//! The clock is virtual. Work takes no time, and when nothing is left to do at a moment, the next moment is the one at which
//! something is due: every time in a prediction is the earliest.

mod builder;
mod go_on;
mod people;
mod question;
mod record;
pub mod report;
mod scratch;
mod simulation;
mod suppose;
mod tell;

use std::collections::{BTreeMap, BTreeSet};

pub use self::{
    question::{Question, Supposed, Unpredictable},
    scratch::Originals,
};
use self::{
    record::Record,
    report::{Prediction, RulesUsed, Stopped, Summary},
    scratch::Scratch,
    simulation::Simulation,
};
use crate::{
    engine::{Access, Event, Recorded, Refused, System, step},
    rules::{RepositoryName, Rules},
    steps::foresight::{Foresight, Placeholders},
};

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
        let event = Event::RulesLoaded { source, digest, rules: Box::new(rules), origin: None, secret: None };
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
