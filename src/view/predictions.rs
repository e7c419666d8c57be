//! What a prediction is asked: the words of `tidegate simulate`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    engine::RunId,
    rules::{RepositoryName, RuleName, StageName},
};

/// What is to be predicted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PredictionAsked {
    /// What is supposed.
    pub suppose: Suppose,
    /// How many days are looked ahead, 7 unless it is said; of a time that goes by, its end says that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 366))]
    pub days: Option<u32>,
    /// The rules to go by in place of those in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules: Option<RulesText>,
}

/// What is supposed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Suppose {
    /// A commit is pushed.
    Push {
        /// To this repository.
        repository: RepositoryName,
        /// To the branch of this stage.
        stage: StageName,
        /// The commit: digits, a branch or a tag; without it the present head is carried forward again.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        commit: Option<String>,
        /// As a forced push.
        #[serde(default)]
        force: bool,
    },
    /// What was verified in one stage is promoted to another.
    Promote {
        /// The stage it is taken from.
        from: StageName,
        /// The stage it is merged into.
        to: StageName,
    },
    /// A stage is rolled back.
    Rollback {
        /// The stage.
        stage: StageName,
        /// The run that verified the version; the one before what is there unless it is said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        to: Option<RunId>,
    },
    /// The failed steps of a run are done again.
    Retry {
        /// The run.
        run: RunId,
    },
    /// A rule is run on the present head of a stage.
    Run {
        /// The rule.
        rule: RuleName,
        /// The stage.
        stage: StageName,
        /// For a rule that tags start: the tag that it is to run for, once more.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tag: Option<String>,
    },
    /// Time goes by.
    Until {
        /// `2026-08-01`, `2026-08-01 03:00` (both UTC), `2026-08-01T03:00:00+02:00`, or how long from now: `36h`.
        time: String,
    },
}

/// A rules file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RulesText {
    /// What it is called in mistakes.
    pub name: String,
    /// What stands in it.
    pub text: String,
}
