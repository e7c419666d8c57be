//! Facts about runs and their steps.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::engine::{
    authorship::Authorship,
    content::{Artifact, CommitSet},
    ids::CommitId,
    made::Made,
    origin::Origin,
    run::{Hotfix, RunState},
    shared::Shared,
    step_run::{Answer, Planned, StepState, Steps},
};
use crate::rules::StepId;

/// What is said of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunFact {
    /// It goes on.
    Began,
    /// Nothing of it starts any more; what is active drains.
    Ending {
        /// What it becomes then.
        ends_as: RunState,
        /// Why.
        reason: String,
    },
    /// It is over.
    Ended {
        /// What it became.
        state: RunState,
        /// Why, when that needs saying.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        /// When.
        at_ms: i64,
    },
    /// It is done again.
    Retried,
    /// A step of it made the plan for its target: these steps are its acts, in the place of those that are not done.
    Planned {
        /// The step.
        step: StepId,
        /// What the plan does.
        plan: Planned,
        /// Its acts.
        acts: Steps,
    },
    /// The plan of a step does not hold any more; its acts are gone with it.
    PlanDropped {
        /// The step.
        step: StepId,
    },
    /// The state keeps it no longer.
    Forgotten,
    /// It is of a hotfix.
    Marked(Hotfix),
    /// Git said who wrote the changes in it.
    Attributed {
        /// Who.
        authors: Shared<BTreeSet<String>>,
        /// That there are others who wrote some of it, whom nobody can tell.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        others_wrote: bool,
    },
    /// What it works on, as it is now that all of it has come.
    ContentSet {
        /// The commit of every repository that led to it.
        set: CommitSet,
        /// What is pinned in its commit, and what that was made from.
        #[serde(default, skip_serializing_if = "Shared::is_default")]
        origin: Shared<Origin>,
        /// Who wrote the changes in it.
        authors: Shared<BTreeSet<String>>,
        /// That there are others who wrote some of it, whom nobody can tell.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        others_wrote: bool,
    },
}

/// What is said of a step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepFact {
    /// All that it needs is done.
    Ready,
    /// It was started, or asks anew.
    Started {
        /// When.
        at_ms: i64,
    },
    /// It waited for a place before it was begun, or looked at again.
    Waited {
        /// How long, in milliseconds.
        ms: i64,
    },
    /// It goes on outside.
    Polled {
        /// How to find it again.
        handle: String,
        /// What a person may be told meanwhile.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        progress: Option<String>,
    },
    /// There may be news since its pending poll was asked for.
    Nudged,
    /// A try failed.
    Tried {
        /// What was tried and what came back.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<String>,
        /// What a person may be told meanwhile.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        progress: Option<String>,
    },
    /// It took too long.
    Overdue {
        /// How long it took.
        error: String,
        /// What to do about it.
        hint: String,
    },
    /// It is being cancelled.
    Cancelling,
    /// It succeeded.
    Done {
        /// What later steps may use.
        #[serde(default, skip_serializing_if = "Shared::is_default")]
        outputs: Shared<Map<String, Value>>,
        /// What it made.
        #[serde(default, skip_serializing_if = "Shared::is_default")]
        artifacts: Shared<Vec<Artifact>>,
        /// What the engine goes by.
        #[serde(default, skip_serializing_if = "Made::is_nothing")]
        made: Made,
        /// When.
        at_ms: i64,
    },
    /// It failed.
    Failed {
        /// What was tried and what came back.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<String>,
        /// What to do about it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        hint: Option<String>,
        /// When.
        at_ms: i64,
    },
    /// It was cancelled.
    Cancelled {
        /// What to do about it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        hint: Option<String>,
        /// When.
        at_ms: i64,
    },
    /// It is where it was before its turn came.
    PutBack {
        /// How far it is.
        state: StepState,
        /// Its round from now on.
        round: u32,
    },
    /// It need not be done.
    Skipped {
        /// Why.
        because: String,
    },
    /// What it merged is not there any more.
    Undone {
        /// Why.
        hint: String,
    },
    /// Somebody approved.
    Answered(Answer),
    /// Somebody took an approval back.
    AnswerWithdrawn {
        /// Whose answer.
        by: String,
    },
    /// An approval counts no longer.
    AnswerVoided {
        /// Whose answer.
        by: String,
        /// Why.
        because: String,
    },
    /// Void answers are forgotten.
    VoidForgotten {
        /// How many, the oldest first.
        count: usize,
    },
    /// What is known of who wrote what it asks about.
    AuthorshipSet(Shared<Authorship>),
    /// The pins that the stage keeps of a merge.
    KeptSet {
        /// File and JSON pointer of each.
        kept: Vec<(String, String)>,
    },
    /// The commit whose content goes away with a rollback.
    LeavesSet {
        /// The commit.
        from: CommitId,
    },
    /// It waits anew for the others of its release.
    ReleaseTried {
        /// What ended before this is of the try before.
        since_ms: i64,
    },
}
