//! What a step of a plan does: what its rule says, or what the engine adds. Its row is in `kind.rs`.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ids::{CommitId, RunId, StepKey};
use crate::rules::{
    Action, AtTarget, Day, Deploy, Operation, Paths, Quorum, RepositoryName, Requirement, RuleName, StageName, StepId,
    SystemName,
};

/// What a step of a plan does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// What the rule says.
    Action(Action),
    /// What somebody brought: it is there when the run is made.
    Bundle,
    /// Waits until all that is pinned in the run's commit was made from the same commits.
    FanIn,
    /// Checks what the stage demands of its commits.
    Require(Vec<Requirement>),
    /// Waits until so long after the set was verified: milliseconds since 1970, UTC.
    Soak {
        /// The moment.
        until_ms: i64,
    },
    /// Waits for a window of time.
    Window {
        /// As the rules write it.
        window: String,
        /// The days on which it stays shut.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        holidays: Vec<Day>,
    },
    /// Waits for people to approve a promotion.
    Consent(Quorum),
    /// Computes a merge and what the stage demands of it; changes nothing.
    CheckMerge(Merge),
    /// Merges into the stage's branch.
    Merge(Merge),
    /// Computes a way back; changes nothing.
    CheckRestore(Restore),
    /// Takes the stage's branch back, by one commit on top of it.
    Restore(Restore),
    /// Waits until the promotions of all systems of a release have come as far.
    Release(Member),
    /// Looks at the target before people are asked, and plans what that step would do to it.
    Plan(StepId),
    /// Does to the target what somebody asked for.
    Operate(Operation),
    /// One act of the plan that a step made for its target.
    Act(Box<Act>),
}

/// One act of a plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Act {
    /// The step that planned it.
    pub of: StepId,
    /// Which act it is, among those of its target's kind.
    pub name: String,
    /// What the plan was for.
    pub wanted: Wanted,
}

/// What is wanted of a target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Wanted {
    /// What a rule's step deploys.
    Deploy(Deploy),
    /// What somebody asked for.
    Operation(Operation),
}

/// A merge of one repository's part of a set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Merge {
    /// The repository.
    pub repository: RepositoryName,
    /// The commit that is merged.
    pub commit: CommitId,
    /// The branch that it is on.
    pub branch: String,
    /// The pins, which the source's side wins: file and JSON pointer.
    pub pins: Vec<(String, String)>,
    /// The pins that the stage keeps, for its own rules make what belongs there; told when it begins.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kept: Vec<(String, String)>,
    /// The rules that make something of the repository in that stage, and the paths that they are for: it is looked whether
    /// they see the same after the merge as in its source.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub makers: Vec<Maker>,
    /// What the stage that it goes to demands.
    pub requires: Vec<Requirement>,
    /// The newest commit of the source's branch, when the branch may go back to an older one on purpose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub back_from: Option<CommitId>,
}

/// A rule that makes something of a repository's content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Maker {
    /// The rule.
    pub rule: RuleName,
    /// The paths that it is for; all of them when it is none.
    #[serde(default, skip_serializing_if = "Paths::is_empty")]
    pub paths: Paths,
}

/// The way back of one repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Restore {
    /// The repository.
    pub repository: RepositoryName,
    /// What comes back.
    pub back: Back,
    /// The pins, which what comes back decides: file and JSON pointer.
    pub pins: Vec<(String, String)>,
    /// The rules that make something of the repository in that stage, and the paths that they are for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub makers: Vec<Maker>,
    /// The run that verified what comes back, or that made what goes away.
    pub names: RunId,
    /// Who decided it.
    pub by: String,
    /// Why.
    pub reason: String,
}

/// What a way back brings back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Back {
    /// The content of a version's commit.
    ToVersion {
        /// That commit.
        to: CommitId,
        /// The commit whose content goes away; the head that is known when the way back is checked.
        from: Option<CommitId>,
    },
    /// What was there before a commit of ours, if that is on the branch.
    Undo {
        /// Its key.
        key: StepKey,
    },
}

impl Task {
    /// Who must approve at this stage, for a step that asks people.
    #[must_use]
    pub fn quorum(&self, stage: &StageName) -> Option<&Quorum> {
        match self {
            Self::Action(action) => action.quorums()?.get(stage),
            Self::Consent(quorum) => Some(quorum),
            _ => None,
        }
    }

    /// The repository that it commits to, which no other step may do at the same time in the same stage.
    #[must_use]
    pub const fn writes_to(&self) -> Option<&RepositoryName> {
        match self {
            Self::Action(Action::Commit(commit)) => Some(&commit.repository),
            Self::Merge(merge) => Some(&merge.repository),
            Self::Restore(restore) => Some(&restore.repository),
            _ => None,
        }
    }

    /// What it wants of its target, for a step that looks at it, plans and has the plan's acts done.
    #[must_use]
    pub fn wanted(&self) -> Option<Wanted> {
        match self {
            Self::Action(Action::Deploy(deploy)) => Some(Wanted::Deploy(deploy.clone())),
            Self::Operate(operation) => Some(Wanted::Operation(*operation)),
            _ => None,
        }
    }

    /// Whether it looks at its target, plans and has the plan's acts done.
    #[must_use]
    pub const fn plans(&self) -> bool {
        matches!(self.kind().at_target, AtTarget::Plans)
    }

    /// The step that planned it, for an act.
    #[must_use]
    pub fn planned_by(&self) -> Option<&StepId> {
        match self {
            Self::Act(act) => Some(&act.of),
            _ => None,
        }
    }

    /// The repository that it merges into or takes back, or computes that for.
    #[must_use]
    pub const fn moves(&self) -> Option<&RepositoryName> {
        match self {
            Self::CheckMerge(merge) | Self::Merge(merge) => Some(&merge.repository),
            Self::CheckRestore(restore) | Self::Restore(restore) => Some(&restore.repository),
            _ => None,
        }
    }
}

/// A name, and the systems whose promotions it holds together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Release {
    /// The name, as people say it.
    pub name: String,
    /// The systems.
    pub systems: BTreeSet<SystemName>,
}

/// One promotion's part in a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Member {
    /// The release.
    pub release: Release,
    /// What ended before this moment is of an earlier try: milliseconds since 1970, UTC.
    pub since_ms: i64,
    /// When it was asked for: what merged before that is of an earlier release of the same name. Milliseconds since 1970, UTC.
    #[serde(default)]
    pub asked_ms: i64,
}
