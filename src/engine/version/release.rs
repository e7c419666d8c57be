//! Releases: promotions of several systems that go on together. Each system decides for itself; what this says of one, the
//! others look at.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::engine::{
    explain,
    gate::reopen::shut_window,
    ids::RunId,
    plan::Task,
    run::{Run, RunState, StepRun, StepState},
    system::System,
    turn::Refused,
};
use crate::rules::SystemName;

/// A name, and the systems whose promotions it holds together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// The name, as people say it.
    pub name: String,
    /// The systems.
    pub systems: BTreeSet<SystemName>,
}

/// One promotion's part in a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// The release.
    pub release: Release,
    /// What ended before this moment is of an earlier try: milliseconds since 1970, UTC.
    pub since_ms: i64,
}

/// How far a system's promotion for a release is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
    },
    /// It ended otherwise.
    Ended {
        /// Its run.
        run: RunId,
        /// How and why.
        reason: String,
        /// When: milliseconds since 1970, UTC.
        at_ms: i64,
    },
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
    // Looking at the others, it has just recorded what time it is.
    let shut = shut_window(run, step, system.at_ms);
    match (run.state, step.state) {
        (RunState::Done, _) => Standing::Done { run: id },
        (ended, _) if ended.is_ended() || ended == RunState::Ending => {
            let reason = run.reason.clone().unwrap_or_else(|| "it ended".to_owned());
            Standing::Ended { run: id, reason, at_ms: run.ended_ms.unwrap_or(system.at_ms) }
        }
        (_, StepState::Done) => Standing::Merging { run: id },
        (_, StepState::Active) => match shut.map(|gate| &gate.task) {
            Some(Task::Window { window, .. }) => {
                Standing::OnItsWay { run: id, waits_for: format!("the window {window}") }
            }
            _ => Standing::Ready { run: id },
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
    system.runs.values().rev().find_map(|run| {
        let is_its = |task: &Task| matches!(task, Task::Release(member) if member.release.name == name);
        run.steps.iter().find(|step| is_its(&step.task)).map(|step| (run, step))
    })
}
