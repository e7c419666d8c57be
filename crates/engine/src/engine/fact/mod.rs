//! Facts: what was decided, in the order in which it was. [`super::apply`] folds them, and the log keeps them for ever: a
//! variant or field is only added (a field with `#[serde(default)]`), never renamed, removed or given another meaning.
//! `docs/log.md` has a line for each.

mod place;
mod run;

use serde::{Deserialize, Serialize};

use super::{
    access::AccessInForce,
    content::Link,
    effect::Effect,
    event::DeliveryId,
    ids::{CommitId, EffectId, PinAt, RunId, TargetKey},
    run::{Hotfix, Run},
    shared::Shared,
    state::{
        AskedOnce, Carried, Freeze, Message, OfferedRules, Override, Pause, Pin, RefusedRules, RulesInForce, Veto,
    },
};
use crate::rules::{RepositoryName, RuleName, StageName, StepId};

pub use self::{
    place::{RepositoryFact, StageFact, TargetFact},
    run::{RunFact, StepFact},
};

/// One thing that was decided. Times are in milliseconds since 1970, UTC; a run goes by its number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fact {
    /// These rules are in force.
    RulesInForce(RulesInForce),
    /// A rules file was refused; the last good rules stay in force.
    RulesRefused(RefusedRules),
    /// People are asked about these rules, and none stands refused.
    RulesOffered(Box<OfferedRules>),
    /// These people, groups and roles are in force.
    AccessInForce(AccessInForce),
    /// An effect is pending. One of a step is the step's.
    EffectDue(Effect),
    /// An effect is no longer pending: settled, or not wanted any more.
    EffectDropped(EffectId),
    /// What was made from what.
    Linked(Vec<Link>),
    /// A run was made, with its whole plan.
    RunMade(Shared<Run>),
    /// Something about a run.
    Run {
        /// The run.
        run: u64,
        /// What.
        what: RunFact,
    },
    /// Something about a step.
    Step {
        /// Its run.
        run: u64,
        /// The step.
        step: StepId,
        /// What.
        what: StepFact,
    },
    /// Something about a target or a queue.
    Target {
        /// The target.
        target: TargetKey,
        /// What.
        what: TargetFact,
    },
    /// Something about a repository.
    Repository {
        /// The repository.
        repository: RepositoryName,
        /// What.
        what: RepositoryFact,
    },
    /// Something about a stage.
    Stage {
        /// The stage.
        stage: StageName,
        /// What.
        what: StageFact,
    },
    /// Something about a commit.
    Commit {
        /// The commit.
        commit: CommitId,
        /// What.
        what: CommitFact,
    },
    /// Something about a notice.
    Notice {
        /// Its number.
        notice: u64,
        /// What.
        what: NoticeFact,
    },
    /// Nothing new starts.
    Paused(Pause),
    /// The pause is over.
    Resumed,
    /// A repository proves runs that the log does not have. The next run gets a number above all of theirs.
    RunsLost {
        /// The highest number of them.
        highest: u64,
    },
    /// Nothing moves in a stage, or in any.
    Frozen {
        /// The freeze's name.
        freeze: String,
        /// Which stage, by whom, why, until when.
        terms: Freeze,
    },
    /// A freeze is over.
    Thawed {
        /// The freeze's name.
        freeze: String,
    },
    /// A run may pass a freeze.
    Overridden {
        /// The freeze's name.
        freeze: String,
        /// The run.
        run: RunId,
        /// Who says so, and why.
        said: Override,
    },
    /// Something never moves again.
    Vetoed {
        /// What was vetoed.
        what: String,
        /// By whom, and why.
        veto: Veto,
    },
    /// Something may move again.
    VetoLifted {
        /// What was vetoed.
        what: String,
    },
    /// A nudge was taken in.
    Delivered {
        /// Which.
        delivery: DeliveryId,
    },
    /// The oldest nudge is forgotten.
    DeliveryForgotten,
    /// A command was done under a key.
    AskedOnce(AskedOnce),
    /// The oldest key is forgotten.
    KeyForgotten,
    /// A rule succeeded on a commit.
    Succeeded {
        /// The rule.
        rule: RuleName,
        /// The stage.
        stage: StageName,
        /// The commit.
        commit: CommitId,
    },
    /// What a pin was last set from.
    PinSet {
        /// Where it is.
        at: PinAt,
        /// What it was set from.
        pin: Pin,
    },
}

/// What is said of a commit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CommitFact {
    /// It is of a hotfix.
    Marked(Hotfix),
    /// Its mark is forgotten.
    MarkForgotten,
    /// It carries the version of another.
    Carries(Carried),
    /// What it carries is forgotten.
    CarriedForgotten,
}

/// What is said of a notice.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoticeFact {
    /// It is to be delivered.
    Made {
        /// What is to be said, and to whom.
        message: Box<Message>,
        /// The effect that delivers it.
        effect: EffectId,
    },
    /// A try failed; there will be another.
    Tried {
        /// What came back.
        error: String,
        /// The effect of the next try.
        effect: EffectId,
    },
    /// The receiver has it: whatever was given up the same way is no longer of interest.
    Delivered,
    /// It will not be tried again.
    GivenUp {
        /// What was tried and what came back.
        error: String,
        /// What to do about it.
        hint: String,
        /// When.
        at_ms: i64,
    },
    /// One that was given up is only counted from now on.
    Forgotten,
}
