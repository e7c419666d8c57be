//! Releases: promotions of several systems that go on together. Each system decides for itself; what this says of one, the
//! others look at.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::engine::{
    explain,
    fact::StepFact,
    ids::RunId,
    obstacles::holds,
    refused::Refused,
    run::{Run, RunState},
    state::System,
    step_run::{StepRun, StepState},
    task::Task,
    turn::Turn,
};
use crate::rules::{Moves, StageName, StepId, SystemName};

pub use crate::engine::task::{Member, Release};

/// How far a system's promotion for a release is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "standing", rename_all = "snake_case")]
pub enum Standing {
    /// It has not been asked for.
    Missing,
    /// It waits for its own conditions.
    OnItsWay {
        /// Its run.
        run: RunId,
        /// What it waits for.
        waits_for: String,
    },
    /// All that it waits for are the others.
    Ready {
        /// Its run.
        run: RunId,
    },
    /// It merges, as all of them could.
    Merging {
        /// Its run.
        run: RunId,
    },
    /// It has merged.
    Done {
        /// Its run.
        run: RunId,
        /// When: milliseconds since 1970, UTC.
        at_ms: i64,
    },
    /// It ended otherwise.
    Ended {
        /// Its run.
        run: RunId,
        /// How and why.
        reason: String,
        /// When: milliseconds since 1970, UTC.
        at_ms: i64,
        /// When it was asked for: milliseconds since 1970, UTC.
        asked_ms: i64,
    },
}

/// What one member makes of another's standing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Counted {
    /// It can merge, or has.
    Ready,
    /// It is waited for, in these words.
    Awaited(String),
    /// It ended, and so does the release, for this reason.
    Ends(String),
}

impl Member {
    /// What this member makes of another system's standing: what ended before this one was last tried waits to be tried
    /// again, and what merged before it was asked for is an earlier release of that name.
    #[must_use]
    pub fn counts(&self, system: &SystemName, standing: Standing) -> Counted {
        match standing {
            Standing::Ready { .. } | Standing::Merging { .. } => Counted::Ready,
            Standing::Done { at_ms, .. } if at_ms >= self.asked_ms => Counted::Ready,
            Standing::Missing | Standing::Done { .. } => Counted::Awaited(format!("{system}, which was not asked yet")),
            Standing::OnItsWay { run, waits_for } => {
                Counted::Awaited(format!("{system} {run}, which waits for {waits_for}"))
            }
            Standing::Ended { run, reason, at_ms, .. } if at_ms >= self.since_ms => {
                Counted::Ends(format!("{system} {run} ended: {reason}"))
            }
            Standing::Ended { run, .. } => Counted::Awaited(format!("{system} {run} to be tried again")),
        }
    }
}

/// A release that a system promotes or has promoted for.
#[derive(Debug, Clone, Copy)]
pub struct Part<'system> {
    /// The release.
    pub release: &'system Release,
    /// The stage that is promoted into.
    pub stage: &'system StageName,
}

/// The releases that a system is part of, each by its newest promotion.
#[must_use]
pub fn parts(system: &System) -> Vec<Part<'_>> {
    let all = system.all_runs().rev().filter_map(|run| Some(Part { release: run.release()?, stage: &run.stage }));
    let mut known = BTreeSet::new();
    all.filter(|part| known.insert(&part.release.name)).collect()
}

/// A release of which some systems have merged and others ended before they could.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HalfReleased {
    /// The systems that have it, or are about to.
    pub with: Vec<SystemName>,
    /// Those that have not, with the promotions that ended.
    pub without: Vec<(SystemName, RunId)>,
}

/// Whether a release stands half-way, seen over all its systems.
#[must_use]
pub fn half_released(standings: &BTreeMap<SystemName, Standing>) -> Option<HalfReleased> {
    let ended = standings.iter().filter_map(|(system, standing)| match standing {
        Standing::Ended { run, asked_ms, .. } => Some((system.clone(), run.clone(), *asked_ms)),
        _ => None,
    });
    let ended: Vec<(SystemName, RunId, i64)> = ended.collect();
    let asked_ms = ended.iter().map(|(_, _, asked_ms)| *asked_ms).min()?;
    let has = |standing: &Standing| match standing {
        Standing::Merging { .. } => true,
        Standing::Done { at_ms, .. } => *at_ms >= asked_ms,
        _ => false,
    };
    let with: Vec<SystemName> =
        standings.iter().filter(|(_, standing)| has(standing)).map(|(system, _)| system.clone()).collect();
    let without = ended.into_iter().map(|(system, run, _)| (system, run)).collect();
    (!with.is_empty()).then_some(HalfReleased { with, without })
}

impl Release {
    /// Refuses a release that has no name, or that the system is no part of.
    pub(in crate::engine) fn allows(&self, system: &SystemName) -> Result<(), Refused> {
        if self.name.trim().is_empty() || self.name.contains(char::is_control) {
            return Err(Refused::unknown("a release needs a name of one line", "name it as people will ask for it"));
        }
        if !self.systems.contains(system) {
            let names: Vec<&str> = self.systems.iter().map(SystemName::as_str).collect();
            return Err(Refused::unknown(
                format!("{system} is no part of the release {}", self.name),
                format!("its systems are: {}", names.join(", ")),
            ));
        }
        Ok(())
    }
}

/// How far a system is with a release.
#[must_use]
pub fn standing(system: &System, name: &str) -> Standing {
    let Some((run, step)) = newest(system, name) else { return Standing::Missing };
    let id = run.id.clone();
    match (run.state, step.state) {
        (RunState::Done, _) => Standing::Done { run: id, at_ms: run.ended_ms.unwrap_or(system.at_ms) },
        (ended, _) if ended.is_ended() || ended == RunState::Ending => {
            let reason = run.reason.clone().unwrap_or_else(|| "it ended".to_owned());
            let asked_ms = run.created_ms;
            Standing::Ended { run: id, reason, at_ms: run.ended_ms.unwrap_or(system.at_ms), asked_ms }
        }
        (_, StepState::Done) => Standing::Merging { run: id },
        (_, StepState::Active) => match explain::held(system, run, step) {
            Some(held) => Standing::OnItsWay { run: id, waits_for: held.for_what },
            None => Standing::Ready { run: id },
        },
        _ => {
            let waiting = explain::run(system, run);
            let waits_for = waiting.map_or_else(|| "its checks".to_owned(), |waiting| waiting.for_what);
            Standing::OnItsWay { run: id, waits_for }
        }
    }
}

/// The newest promotion of a release, with the step that waits for the others.
fn newest<'system>(system: &'system System, name: &str) -> Option<(&'system Run, &'system StepRun)> {
    system.all_runs().rev().find_map(|run| {
        let is_its = |task: &Task| matches!(task, Task::Release(member) if member.release.name == name);
        run.steps.iter().find(|step| is_its(&step.task)).map(|step| (run, step))
    })
}

impl Run {
    /// Whether a promotion may end for a release that promotes the same set: it is in none, and moves nothing yet.
    pub(in crate::engine) fn may_give_way_to_release(&self) -> bool {
        let has_begun = self.steps.iter().any(StepRun::is_begun_merge);
        self.release().is_none() && !has_begun && self.state != RunState::Ending
    }

    /// The release that it is a part of.
    #[must_use]
    pub fn release(&self) -> Option<&Release> {
        self.steps.iter().find_map(|step| match &*step.task {
            Task::Release(member) => Some(&member.release),
            _ => None,
        })
    }
}

impl Turn<'_> {
    /// Whether the others of a release are ready while something holds this one: it then does not merge, and looks at them
    /// anew when that ends.
    pub(in crate::engine) fn release_waits_again(&mut self, number: u64, id: &StepId) -> bool {
        let (run, step) = (self.run(number), self.step_of(number, id));
        let is_release = step.task.kind().moves == Moves::Others;
        if !is_release || holds(&self.system, run, step, self.at_ms).next().is_none() {
            return false;
        }
        let round = step.round;
        self.record_step(number, id, StepFact::PutBack { state: StepState::Ready, round });
        true
    }

    /// A promotion is tried again: what ended until now is of the try before, however far this one had come.
    pub(in crate::engine) fn begin_release_again(&mut self, number: u64) {
        let waits = |step: &&StepRun| step.state != StepState::Done && step.task.kind().moves == Moves::Others;
        let steps = self.run(number).steps.iter().filter(waits).map(|step| step.id.clone());
        for id in steps.collect::<Vec<_>>() {
            self.record_step(number, &id, StepFact::ReleaseTried { since_ms: self.at_ms });
        }
    }
}
