//! A step within a run, how far it is, and the answers of people to its question.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    access::Principal,
    authorship::{Authorship, Written},
    content::Artifact,
    event::is_none,
    ids::{Digest, EffectId},
    made::Made,
    shared::Shared,
    target::Class,
    task::Task,
};
use crate::rules::{Moves, Retry, StepId};

/// A step within a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StepRun {
    /// Its id within the run.
    pub id: StepId,
    /// What it does. Runs of one rule share it.
    pub task: Arc<Task>,
    /// The steps it waits for.
    pub needs: Vec<StepId>,
    /// How it is tried again.
    pub retry: Retry,
    /// How long it may take in all, in milliseconds.
    pub timeout_ms: i64,
    /// How far it is.
    pub state: StepState,
    /// How often it was done anew by hand; 1 at first. Part of its key.
    pub round: u32,
    /// How often it was tried in this round.
    pub tries: u32,
    /// How many effects it has had in this round; makes their identities unique.
    pub ticks: u32,
    /// The effect that is pending for it.
    pub effect: Option<EffectId>,
    /// When this round of it started.
    pub started_ms: Option<i64>,
    /// How long its effects have waited for a place in this round, in milliseconds: its own time stood still.
    #[serde(default, skip_serializing_if = "is_none")]
    pub waited_ms: i64,
    /// When it ended.
    pub ended_ms: Option<i64>,
    /// How to find what goes on outside.
    pub handle: Option<String>,
    /// What a person may be told while it goes on.
    pub progress: Option<String>,
    /// What later steps may use.
    pub outputs: Shared<Map<String, Value>>,
    /// What the engine goes by of what it made.
    #[serde(default, skip_serializing_if = "Made::is_nothing")]
    pub made: Made,
    /// What it made.
    pub artifacts: Shared<Vec<Artifact>>,
    /// The last failure: what was tried and what came back.
    pub error: Option<String>,
    /// What to do about it.
    pub hint: Option<String>,
    /// The answers to its question, for a step that asks people.
    pub answers: Vec<Answer>,
    /// Answers that were given and do not count any more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub void: Vec<VoidAnswer>,
    /// Who wrote what its question is about, as far as git was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorship: Option<Shared<Authorship>>,
    /// The plan for its target, once it is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub planned: Option<Box<Planned>>,
    /// Whether a hotfix skips it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub skippable: bool,
    /// Why it was skipped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skipped: Option<String>,
    /// That there may be news since its pending poll was asked for: another follows at once.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub nudged: bool,
}

/// The steps of a run, in the order of the plan. Copies share those that have not changed since.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Steps(Box<[Shared<StepRun>]>);

impl Steps {
    /// The steps.
    #[must_use]
    pub fn iter(&self) -> <&Self as IntoIterator>::IntoIter {
        self.into_iter()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The first of them.
    #[must_use]
    pub fn first(&self) -> Option<&StepRun> {
        self.iter().next()
    }

    /// The steps, to be shared by another plan.
    pub(super) fn shared(&self) -> impl Iterator<Item = Shared<StepRun>> {
        self.0.iter().cloned()
    }

    /// The step of that id, to be changed.
    pub(super) fn get_mut(&mut self, id: &StepId) -> Option<&mut StepRun> {
        self.0.iter_mut().find(|step| step.id == *id).map(|step| &mut **step)
    }

    /// All of them, to be changed.
    pub(super) fn change(&mut self, change: impl FnOnce(&mut Vec<Shared<StepRun>>)) {
        let mut steps = std::mem::take(&mut self.0).into_vec();
        change(&mut steps);
        self.0 = steps.into_boxed_slice();
    }
}

impl<'steps> IntoIterator for &'steps Steps {
    type Item = &'steps StepRun;
    type IntoIter = std::iter::Map<std::slice::Iter<'steps, Shared<StepRun>>, fn(&Shared<StepRun>) -> &StepRun>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter().map(|step| &**step)
    }
}

impl From<Vec<StepRun>> for Steps {
    fn from(steps: Vec<StepRun>) -> Self {
        Self(steps.into_iter().map(Shared::new).collect())
    }
}

impl std::ops::Index<usize> for Steps {
    type Output = StepRun;

    fn index(&self, at: usize) -> &StepRun {
        &self.0[at]
    }
}

/// The plan that a step made for its target. Its acts are steps of the run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Planned {
    /// What it does, and to what.
    #[serde(default, skip_serializing_if = "Class::is_empty")]
    pub class: Class,
    /// Whether what comes after its acts is planned when they are done.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub then_again: bool,
}

/// How far a step is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum StepState {
    /// A step that it needs is not done.
    Blocked,
    /// All that it needs is done; it waits for the target or for its place to write to.
    Ready,
    /// It was started.
    Active,
    /// It succeeded.
    Done,
    /// It failed.
    Failed,
    /// It was cancelled while active.
    Cancelled,
}

/// One person's approval of one digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Answer {
    /// Who.
    pub by: Principal,
    /// Of what was shown.
    pub digest: Digest,
    /// When: milliseconds since 1970, UTC.
    pub at_ms: i64,
    /// In whose place, when it is not their own voice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_place_of: Option<String>,
}

/// An answer that does not count any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct VoidAnswer {
    /// The answer.
    pub answer: Answer,
    /// Why it is void.
    pub because: String,
}

impl Answer {
    /// Whose voice it is: one person has one, whoever lends it.
    #[must_use]
    pub fn seat(&self) -> &str {
        self.in_place_of.as_deref().unwrap_or(&self.by.name)
    }
}

impl StepRun {
    /// When it must be over if it started then: milliseconds since 1970, UTC. A wait for a place is none of its time.
    #[must_use]
    pub const fn deadline_ms(&self, started_ms: i64) -> i64 {
        started_ms.saturating_add(self.waited_ms).saturating_add(self.timeout_ms)
    }

    /// Whether it is a merge that is made, or about to be: the others of its promotion belong to it. A promotion of a
    /// release that let the other systems merge has begun as well.
    #[must_use]
    pub fn is_begun_merge(&self) -> bool {
        match self.task.kind().moves {
            Moves::Merge => matches!(self.state, StepState::Active | StepState::Done),
            Moves::Others => matches!(self.state, StepState::Done),
            Moves::Nothing | Moves::Pins | Moves::Back | Moves::Deployment | Moves::Target => false,
        }
    }

    /// Whether it is a merge or a way back that is made, or about to be: the others of its set belong to it.
    #[must_use]
    pub fn is_begun_move(&self) -> bool {
        let restores = matches!(self.task.kind().moves, Moves::Back);
        self.is_begun_merge() || (restores && matches!(self.state, StepState::Active | StepState::Done))
    }

    /// Whether it is still to change what its stage is at.
    #[must_use]
    pub fn is_to_move(&self) -> bool {
        self.task.kind().moves_something() && matches!(self.state, StepState::Blocked | StepState::Ready)
    }

    /// Who wrote what its question is about, as git answered.
    #[must_use]
    pub fn written(&self) -> Option<&Written> {
        self.authorship.as_ref()?.written.as_ref()
    }
}
