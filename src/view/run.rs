//! What is told of one run: its plan, what each step made, and what it waits for.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::engine::{
    Digest, Run, RunId, System,
    explain::{self, Waiting},
};

/// A run and what it waits for, as one document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunShown {
    /// The run.
    pub run: Run,
    /// What it waits for; absent when it has ended.
    pub waiting: Option<Waiting>,
    /// That what it deploys was made in its stage, and from what; absent where the stage before had verified all of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made_here: Option<String>,
    /// What the rules mean that it asks about, line by line.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<String>,
    /// The digest that an approval now would be of.
    pub asks_for: Option<Digest>,
    /// Of those who wrote it, those who are none of the people.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub strangers: Vec<String>,
    /// By what it is known who wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known_by: Option<String>,
}

impl RunShown {
    /// A run that the state has.
    #[must_use]
    pub fn of(state: &System, id: &RunId) -> Option<Self> {
        let run = state.run(id)?.clone();
        let asks_for = run.asking().map(|step| run.digest(step)).filter(|_| !run.state.is_ended());
        let waiting = explain::run(state, &run);
        Some(Self { waiting, asks_for, ..Self::ended(state, run) })
    }

    /// A run that ended so long ago that only the history has it.
    #[must_use]
    pub fn ended(state: &System, run: Run) -> Self {
        Self {
            waiting: None,
            made_here: explain::made_here(state, &run),
            changes: changes(state, &run.id),
            asks_for: None,
            strangers: strangers(state, &run),
            known_by: explain::known_by(state, &run),
            run,
        }
    }

    /// The same as a document: without what no one may see of a run.
    #[must_use]
    pub fn as_shown(self) -> Self {
        Self { run: self.run.as_shown(), ..self }
    }
}

/// What the rules mean that a run asks about.
fn changes(state: &System, id: &RunId) -> Vec<String> {
    state.offered_by(id).map(|offered| offered.meaning.clone()).unwrap_or_default()
}

/// Of those who wrote a run's change, those who are none of the people.
fn strangers(state: &System, run: &Run) -> Vec<String> {
    let strangers = state.access.as_ref().map(|in_force| in_force.access.strangers(&run.authors)).unwrap_or_default();
    strangers.into_iter().map(str::to_owned).collect()
}

/// A run's identity, as people write it.
pub(crate) fn parse_run(text: &str) -> Result<RunId, String> {
    let number = text.rsplit_once('-').and_then(|(_, number)| number.parse::<u64>().ok());
    number.map(|_| RunId::new(text)).ok_or_else(|| format!("`{text}` is no run: runs are named like `deliver-7`"))
}
