//! What somebody asks for, and what can be read from that: what it is about, and what it takes to be allowed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::engine::{
    access::Permission,
    content::Bundle,
    ids::{Digest, RunId},
    task::Release,
};
use crate::rules::{Operation, RuleName, StageName, TargetName};

/// What a run works on that somebody starts, where that is not the head of a stage alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StartOn {
    /// The commit of a tag.
    Tag(String),
    /// What was built elsewhere.
    Bundle(Bundle),
}

/// What somebody asks for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Command {
    /// Run a rule on the present head of a stage.
    Run {
        /// The rule.
        rule: RuleName,
        /// The stage.
        stage: StageName,
        /// What it is to work on beside that head, where that is what the rule is for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        on: Option<StartOn>,
    },
    /// Promote what was verified in a stage to the next.
    Promote {
        /// The stage it is taken from.
        from: StageName,
        /// The stage it is merged into.
        to: StageName,
        /// The run that verified the version that is wanted, when it is not the newest.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        version: Option<RunId>,
        /// The release that it is a part of: it merges when the promotions of all its systems can.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        release: Option<Release>,
    },
    /// Take a stage back to a version that was verified there before.
    Rollback {
        /// The stage.
        stage: StageName,
        /// The run that verified it; the version before that which is there, unless it is given.
        to: Option<RunId>,
        /// Why.
        reason: String,
    },
    /// Undo what a promotion merged before it failed.
    TakeBack {
        /// The promotion.
        run: RunId,
        /// Why.
        reason: String,
    },
    /// Never move something again.
    Veto {
        /// A commit (at least seven digits, also as `repository@commit`), or an artifact's name or address.
        what: String,
        /// Why.
        reason: String,
    },
    /// Let something move that was vetoed.
    LiftVeto {
        /// What was vetoed, as it was named.
        what: String,
        /// Why.
        reason: String,
    },
    /// Hold a stage at one version.
    Pin {
        /// The stage.
        stage: StageName,
        /// The run that verified the version; that which is there, unless it is given.
        version: Option<RunId>,
        /// Why.
        reason: String,
    },
    /// Hold a stage no longer.
    Unpin {
        /// The stage.
        stage: StageName,
    },
    /// Approve what a run shows.
    Approve {
        /// The run that waits.
        run: RunId,
        /// The digest of what was shown; when it is given and differs from what waits, the approval is refused.
        digest: Option<Digest>,
    },
    /// Refuse what a run shows.
    Reject {
        /// The run that waits.
        run: RunId,
        /// Why.
        reason: String,
    },
    /// Do the failed steps of a run again.
    Retry {
        /// The failed run.
        run: RunId,
    },
    /// End a run: cancel what is active, start nothing new.
    Abort {
        /// The run.
        run: RunId,
        /// Why.
        reason: String,
    },
    /// Make a broken target available again.
    Unlock {
        /// The target.
        target: TargetName,
        /// Its stage.
        stage: StageName,
    },
    /// Provision, delete or recover a target.
    Operate {
        /// Which of them.
        operation: Operation,
        /// The target.
        target: TargetName,
        /// Its stage.
        stage: StageName,
    },
    /// Look at a target now.
    Observe {
        /// The target.
        target: TargetName,
        /// Its stage.
        stage: StageName,
    },
    /// Take back one's approval of what a run shows.
    Withdraw {
        /// The run that waits.
        run: RunId,
    },
    /// Start nothing new.
    Pause {
        /// Why.
        reason: String,
    },
    /// End the pause.
    Resume,
    /// Move nothing in a stage, or in any, until a time.
    Freeze {
        /// The stage; all of them when it is none.
        stage: Option<StageName>,
        /// Its end: milliseconds since 1970, UTC.
        until_ms: i64,
        /// Why.
        reason: String,
    },
    /// End a freeze before its time.
    Thaw {
        /// The freeze, `freeze-3`.
        freeze: String,
    },
    /// Let a run pass a freeze.
    Override {
        /// The freeze, `freeze-3`.
        freeze: String,
        /// The run.
        run: RunId,
        /// Why.
        reason: String,
    },
    /// Mark a change as a hotfix.
    Hotfix {
        /// A run that goes on, or a commit: the whole of it or its first digits.
        what: String,
        /// Why.
        reason: String,
    },
}

impl Command {
    /// The run that the command is about.
    #[must_use]
    pub const fn run(&self) -> Option<&RunId> {
        match self {
            Self::Approve { run, .. }
            | Self::Reject { run, .. }
            | Self::Retry { run }
            | Self::Abort { run, .. }
            | Self::Withdraw { run }
            | Self::TakeBack { run, .. }
            | Self::Override { run, .. } => Some(run),
            Self::Rollback { .. } | Self::Veto { .. } | Self::LiftVeto { .. } => None,
            Self::Pin { .. } | Self::Unpin { .. } => None,
            Self::Run { .. }
            | Self::Promote { .. }
            | Self::Unlock { .. }
            | Self::Operate { .. }
            | Self::Observe { .. }
            | Self::Pause { .. }
            | Self::Resume
            | Self::Freeze { .. }
            | Self::Thaw { .. }
            | Self::Hotfix { .. } => None,
        }
    }

    /// The stage that the command is about, where it names one.
    #[must_use]
    pub const fn stage(&self) -> Option<&StageName> {
        match self {
            Self::Run { stage, .. } | Self::Promote { to: stage, .. } | Self::Unlock { stage, .. } => Some(stage),
            Self::Rollback { stage, .. } | Self::Pin { stage, .. } | Self::Unpin { stage } => Some(stage),
            Self::Operate { stage, .. } | Self::Observe { stage, .. } => Some(stage),
            Self::Freeze { stage, .. } => stage.as_ref(),
            Self::TakeBack { .. } | Self::Veto { .. } | Self::LiftVeto { .. } => None,
            Self::Approve { .. }
            | Self::Reject { .. }
            | Self::Retry { .. }
            | Self::Abort { .. }
            | Self::Withdraw { .. }
            | Self::Override { .. }
            | Self::Pause { .. }
            | Self::Resume
            | Self::Thaw { .. }
            | Self::Hotfix { .. } => None,
        }
    }

    /// What somebody must be allowed to do to ask for it.
    #[must_use]
    pub const fn permission(&self) -> Permission {
        match self {
            Self::Run { .. } | Self::Promote { .. } | Self::Retry { .. } | Self::Abort { .. } | Self::Unlock { .. } => {
                Permission::Operate
            }
            Self::Rollback { .. } | Self::TakeBack { .. } | Self::Veto { .. } => Permission::Operate,
            Self::Pin { .. } | Self::Unpin { .. } => Permission::Operate,
            Self::Operate { .. } | Self::Observe { .. } => Permission::Operate,
            Self::LiftVeto { .. } => Permission::Override,
            Self::Approve { .. } | Self::Reject { .. } | Self::Withdraw { .. } => Permission::Approve,
            Self::Pause { .. } | Self::Resume | Self::Freeze { .. } | Self::Thaw { .. } => Permission::Hold,
            Self::Override { .. } | Self::Hotfix { .. } => Permission::Override,
        }
    }

    /// What is asked for, as in "Ada may not *promote dev to qa*".
    #[must_use]
    pub fn clause(&self) -> String {
        match self {
            Self::Run { rule, stage, on: None } => format!("run {rule} in {stage}"),
            Self::Run { rule, stage, on: Some(StartOn::Tag(tag)) } => format!("run {rule} in {stage} for tag {tag}"),
            Self::Run { stage, on: Some(StartOn::Bundle(bundle)), .. } => format!("deploy {} to {stage}", bundle.name),
            Self::Promote { from, to, .. } => format!("promote {from} to {to}"),
            Self::Rollback { stage, .. } => format!("roll {stage} back"),
            Self::TakeBack { run, .. } => format!("take {run} back"),
            Self::Veto { what, .. } => format!("veto {what}"),
            Self::LiftVeto { what, .. } => format!("lift the veto of {what}"),
            Self::Pin { stage, .. } => format!("pin {stage}"),
            Self::Unpin { stage } => format!("end the pin of {stage}"),
            Self::Approve { run, .. } => format!("approve {run}"),
            Self::Reject { run, .. } => format!("reject {run}"),
            Self::Retry { run } => format!("retry {run}"),
            Self::Abort { run, .. } => format!("abort {run}"),
            Self::Unlock { target, stage } => format!("unlock {target} in {stage}"),
            Self::Operate { operation, target, stage } => format!("{} {target} in {stage}", operation.name()),
            Self::Observe { target, stage } => format!("look at {target} in {stage}"),
            Self::Withdraw { run } => format!("withdraw from {run}"),
            Self::Pause { .. } => "pause it".to_owned(),
            Self::Resume => "resume it".to_owned(),
            Self::Freeze { stage: Some(stage), .. } => format!("freeze {stage}"),
            Self::Freeze { stage: None, .. } => "freeze every stage".to_owned(),
            Self::Thaw { freeze } => format!("thaw {freeze}"),
            Self::Override { freeze, run, .. } => format!("let {run} pass {freeze}"),
            Self::Hotfix { what, .. } => format!("mark {what} as a hotfix"),
        }
    }
}
