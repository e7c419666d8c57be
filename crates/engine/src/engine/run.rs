//! A run: one execution of a rule, or of a promotion, with its plan.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    content::{Artifact, Bundle, CommitSet},
    ids::{CommitId, Digest, RunId, StepKey, TargetKey},
    made::Made,
    origin::Origin,
    shared::Shared,
    step_run::{StepRun, StepState, Steps},
};
use crate::rules::{Operation, RepositoryName, RuleName, StageName, StepId, SystemName};

/// One execution of a rule or a promotion.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Run {
    /// Its identity, as people say it.
    pub id: RunId,
    /// Its number: runs of a system are numbered from 1 in the order in which they were made.
    pub number: u64,
    /// What it executes.
    pub subject: Subject,
    /// The stage it is for; of a promotion, the stage it goes to.
    pub stage: StageName,
    /// Why there is this run.
    pub cause: Cause,
    /// The repository and commit that it works on; a promotion has none.
    pub source: Option<Source>,
    /// What is in it: the commit of every repository that led to it.
    pub set: CommitSet,
    /// Who wrote the changes in it.
    pub authors: Shared<BTreeSet<String>>,
    /// That there are others who wrote some of it, whom nobody can tell.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub others_wrote: bool,
    /// What was pinned in its commit when it was made, and which rules it was for.
    #[serde(default, skip_serializing_if = "Shared::is_default")]
    pub origin: Shared<Origin>,
    /// That it is of a hotfix.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hotfix: Option<Hotfix>,
    /// Of the rules that it started with.
    pub rules: Digest,
    /// How far it is.
    pub state: RunState,
    /// The target that it takes, if it takes one.
    pub target: Option<TargetKey>,
    /// Whether it takes the target from its start on, rather than from its first step that needs it.
    pub holds_from_start: bool,
    /// Its steps, in the order of the plan; the acts of a target's plan before the step that made it. A boxed slice has no
    /// room to spare: a state that is read back would otherwise keep room for four steps in every run.
    pub steps: Steps,
    /// When it was made: milliseconds since 1970, UTC.
    pub created_ms: i64,
    /// When it ended.
    pub ended_ms: Option<i64>,
    /// What it becomes when what is active has drained.
    pub ends_as: Option<RunState>,
    /// Why it ends as it does, when that needs saying.
    pub reason: Option<String>,
}

/// What a run executes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// A rule.
    Rule(RuleName),
    /// A promotion from this stage.
    Promotion {
        /// The stage it comes from.
        from: StageName,
    },
    /// The way back of a stage to a set that was verified there before.
    Rollback,
    /// The way back of what a promotion merged before it failed.
    TakeBack,
    /// The question whether rules may come into force.
    Rules,
    /// What somebody asked of a target.
    Operation(Operation),
}

impl Subject {
    /// The first part of the run's identity.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Rule(rule) => rule.as_str(),
            Self::Promotion { .. } => "promote",
            Self::Rollback => "rollback",
            Self::TakeBack => "take-back",
            Self::Rules => "rules",
            Self::Operation(operation) => operation.name(),
        }
    }

    /// Where its runs stand among others in the lane that they wait for: what half of a set left behind is taken back
    /// before a way back looks at what is there, and a way back goes before what would go on.
    const fn rank(&self) -> u8 {
        match self {
            Self::TakeBack => 0,
            Self::Rollback => 1,
            Self::Promotion { .. } | Self::Rule(_) | Self::Rules | Self::Operation(_) => 2,
        }
    }
}

/// Why there is a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// A head moved.
    Push {
        /// Who wrote the commit.
        author: String,
        /// The first line of its message.
        subject: String,
        /// The run whose forward commit or merge it is, if it is one of ours.
        by: Option<RunId>,
    },
    /// A schedule's instant came: milliseconds since 1970, UTC.
    Schedule {
        /// The instant.
        instant_ms: i64,
    },
    /// A stage's branch has the commit that a tag names.
    Tag {
        /// The tag.
        tag: String,
    },
    /// Something outside that works on the run's commit succeeded.
    Workflow {
        /// What its source calls it.
        workflow: String,
    },
    /// Somebody brought a bundle that was built elsewhere.
    Release {
        /// Who.
        by: String,
        /// What it is.
        bundle: Bundle,
    },
    /// Another rule succeeded.
    Upstream {
        /// Its run.
        run: RunId,
    },
    /// A set was verified in the stage before.
    Verified {
        /// The run that verified it.
        run: RunId,
    },
    /// Somebody asked for it.
    Command {
        /// Who.
        by: String,
    },
    /// Somebody decided it, and said why.
    Decision {
        /// Who.
        by: String,
        /// Why.
        reason: String,
    },
    /// A promotion ended after some of its merges were made.
    HalfWay {
        /// Its run.
        run: RunId,
    },
    /// What was deployed was not verified, and the target's policy is to go back then.
    NotVerified {
        /// The run that deployed it.
        run: RunId,
    },
}

/// The commit that a run works on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Source {
    /// The repository.
    pub repository: RepositoryName,
    /// The commit.
    pub commit: CommitId,
    /// When the commit became the head, as a place in the log: a later head has a larger number.
    pub order: u64,
}

/// How far a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum RunState {
    /// It waits for its fan-in, or for its target, before anything of it starts.
    Queued,
    /// It goes on.
    Running,
    /// A step failed or somebody ended it; what is active drains or is being cancelled.
    Ending,
    /// All of it succeeded.
    Done,
    /// A step failed.
    Failed,
    /// Somebody ended it.
    Aborted,
    /// A newer run took its place.
    Superseded,
    /// Its target was busy, and the target's policy is to refuse.
    Rejected,
}

impl RunState {
    /// Whether nothing more happens, but for a retry by hand.
    #[must_use]
    pub const fn is_ended(self) -> bool {
        matches!(self, Self::Done | Self::Failed | Self::Aborted | Self::Superseded | Self::Rejected)
    }
}

/// That a change is a hotfix.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Hotfix {
    /// Who marked it.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When: milliseconds since 1970, UTC.
    pub at_ms: i64,
}

impl Run {
    /// Where it stands in a queue: those that go first, then by number.
    #[must_use]
    pub const fn place_in_queue(&self) -> (u8, u64) {
        (self.subject.rank(), self.number)
    }

    /// The tag that started it.
    #[must_use]
    pub fn tag(&self) -> Option<&str> {
        match &self.cause {
            Cause::Tag { tag } => Some(tag),
            _ => None,
        }
    }

    /// The step of that id.
    #[must_use]
    pub fn step(&self, id: &StepId) -> Option<&StepRun> {
        self.steps.iter().find(|step| step.id == *id)
    }

    /// The identity of what a step does outside.
    #[must_use]
    pub fn key(&self, system: &SystemName, step: &StepRun) -> StepKey {
        let run = self.unique_name();
        StepKey::new(match step.round {
            0 | 1 => format!("{system}/{run}/{}", step.id),
            round => format!("{system}/{run}/{}/{round}", step.id),
        })
    }

    /// Its identity and when it was made: no other run of the system is called so, not even one of a log that was lost.
    #[must_use]
    pub fn unique_name(&self) -> String {
        format!("{}.{:x}", self.id, self.created_ms)
    }

    /// The acts of the plan that a step made for its target.
    pub fn acts<'run>(&'run self, by: &'run StepId) -> impl Iterator<Item = &'run StepRun> {
        self.steps.iter().filter(move |step| step.task.planned_by() == Some(by))
    }

    /// The step that waits for people's approval.
    #[must_use]
    pub fn asking(&self) -> Option<&StepRun> {
        self.steps.iter().find(|step| step.state == StepState::Active && step.task.quorum(&self.stage).is_some())
    }

    /// The step that waits for people's approval, of whose question git has said who wrote it.
    #[must_use]
    pub fn answerable(&self) -> Option<&StepRun> {
        self.asking().filter(|step| step.written().is_some())
    }

    /// All steps that `step` comes after, directly or through others, in the order of the plan.
    #[must_use]
    pub fn before(&self, step: &StepRun) -> Vec<&StepRun> {
        let mut needed: Vec<&StepId> = step.needs.iter().collect();
        for earlier in self.steps.iter().rev() {
            if needed.contains(&&earlier.id) {
                needed.extend(&earlier.needs);
            }
        }
        self.steps.iter().filter(|earlier| needed.contains(&&earlier.id)).collect()
    }

    /// What an approval at `step` is of: the commits of the run and all that the steps before it made.
    #[must_use]
    pub fn digest(&self, step: &StepRun) -> Digest {
        let made: BTreeMap<&StepId, (&Map<String, Value>, &[Artifact])> =
            self.before(step).into_iter().map(|step| (&step.id, (&*step.outputs, step.artifacts.as_slice()))).collect();
        let shown = serde_json::to_vec(&(&self.id, &self.set, made)).expect("plain values always serialise");
        Digest::of(&shown)
    }

    /// The run for people and programs: without what only the engine goes by, which the outputs say as well.
    #[must_use]
    pub fn as_shown(mut self) -> Self {
        self.steps.change(|steps| steps.iter_mut().for_each(|step| step.made = Made::Nothing));
        self
    }
}
