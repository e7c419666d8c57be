//! The prediction as plain values: what `tidegate simulate` prints. Its schema is in `schemas/`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use crate::steps::foresight::Certainty;

/// What would happen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Prediction {
    /// The system.
    pub system: String,
    /// What is supposed, as a clause: `3f2a… were pushed to software dev`.
    pub supposed: String,
    /// Which rules it is by.
    pub rules: RulesUsed,
    /// When it begins: the present, in milliseconds since 1970, UTC.
    pub from_ms: i64,
    /// The moment that it got to. Work takes no time in it, so every time in it is the earliest.
    pub to_ms: i64,
    /// All that would happen, in order.
    pub events: Vec<Foreseen>,
    /// What would still wait then.
    pub waiting: Vec<StillWaits>,
    /// Why it goes no further.
    pub stopped: Stopped,
    /// What comes of what is supposed, in numbers; when it is that time goes by, all of it.
    pub summary: Summary,
    /// What happens besides, in numbers: it was under way before, or a schedule begins it.
    #[serde(default)]
    pub besides: Summary,
    /// Names in it that stand for what only the real run can know: name → what it stands for.
    pub placeholders: BTreeMap<String, String>,
    /// What a reader should know besides.
    pub notes: Vec<String>,
}

/// The rules that a prediction is by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RulesUsed {
    /// Where they were read.
    pub source: String,
    /// Of the file's text.
    pub digest: String,
    /// Whether they are others than those in force.
    pub changed: bool,
}

/// Something that would happen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Foreseen {
    /// Its number, from 1.
    pub number: usize,
    /// When, in milliseconds since 1970, UTC.
    pub at_ms: i64,
    /// The number of the event that it comes of.
    pub because: Option<usize>,
    /// How far it is from the beginning, in causes.
    pub depth: usize,
    /// How it is known.
    pub certainty: Certainty,
    /// The run that it belongs to.
    pub run: Option<String>,
    /// The stage.
    pub stage: Option<String>,
    /// What it is.
    #[serde(flatten)]
    pub what: What,
}

/// The kinds of thing that would happen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum What {
    /// What is supposed begins it.
    Supposed {
        /// It, as a sentence.
        what: String,
    },
    /// A run begins (or is under way already).
    Run {
        /// The rule, or `promote`.
        rule: String,
        /// The repository that it works on; a promotion has none.
        repository: Option<String>,
        /// Its commit: 40 hex digits, or `commit-N` for the Nth commit of this prediction.
        commit: Option<String>,
        /// Why.
        why: String,
        /// Whether it was under way before.
        under_way: bool,
    },
    /// The tree is packed, or was before.
    Package {
        /// The package's tag.
        tag: String,
        /// Of its bytes.
        sha256: String,
        /// Whether it is there already.
        reused: bool,
    },
    /// An image is baked, or was before.
    Image {
        /// Region → id; placeholders for an image that is yet to be baked.
        amis: BTreeMap<String, String>,
        /// Whether it is there already.
        reused: bool,
    },
    /// A commit is pushed.
    Commit {
        /// Its number among the commits of this prediction, from 1; `commit-N` stands for its id, which depends on the time.
        commit: usize,
        /// The repository.
        repository: String,
        /// The branch.
        branch: String,
        /// The first line of its message.
        subject: String,
        /// Its tree, 40 hex digits.
        tree: String,
        /// Whether it is a promotion's merge.
        merge: bool,
        /// What it changes, against the head before it.
        files: Vec<FileChange>,
        /// How many more files it changes.
        files_left_out: usize,
    },
    /// A commit is not made, for the branch says so already.
    NothingToCommit {
        /// The repository.
        repository: String,
        /// The branch.
        branch: String,
    },
    /// The template is made.
    Template {
        /// Of its bytes; a placeholder where a command makes it.
        digest: String,
    },
    /// The template is checked.
    Lint {
        /// `passed`.
        verdict: String,
        /// How many errors were found.
        errors: u64,
        /// How many warnings were found.
        warnings: u64,
    },
    /// Another step passes.
    Step {
        /// The step.
        step: String,
        /// What it says.
        says: String,
    },
    /// Something has to be waited for.
    Gate(Gate),
    /// The target is deployed to.
    Deployment {
        /// The target and stage, as `webshop@qa`.
        target: String,
        /// Of the template.
        template_digest: String,
        /// The image; a placeholder for one that is yet to be baked.
        image: Option<String>,
    },
    /// Somebody is told.
    Notice {
        /// Of what, as rules write it: `run_failed`.
        of: String,
        /// Through which channel.
        via: String,
        /// To which address, where the channel needs one.
        to: Option<String>,
        /// Its subject.
        subject: String,
    },
    /// A step fails.
    Failure {
        /// The step.
        step: String,
        /// What was tried and what came back.
        error: String,
        /// What to do about it.
        hint: String,
    },
    /// The run ends.
    End {
        /// As what: `DONE`, `FAILED`, `SUPERSEDED`, `REJECTED`, `ABORTED`.
        state: String,
        /// Why.
        reason: Option<String>,
    },
}

/// A change of one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileChange {
    /// The file, from the root of the repository.
    pub path: String,
    /// How many lines come.
    pub added: usize,
    /// How many lines go.
    pub removed: usize,
    /// The hunks of the unified diff.
    pub hunks: String,
    /// Whether there is more to see: the file is not text, or the difference is too long.
    pub cut: bool,
}

/// Something that has to be waited for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Gate {
    /// The step.
    pub step: String,
    /// For what, as a clause: `approval by qa (0 of 1)`.
    pub for_what: String,
    /// Who or what ends it.
    pub ended_by: String,
    /// How many people must approve; absent where the clock or an answer from outside ends it.
    pub asks: Option<u32>,
    /// The people who could approve it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub could_approve: Vec<String>,
    /// The people who are asked and may not: name → why.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub may_not_approve: BTreeMap<String, String>,
    /// When it passes at the earliest, in milliseconds since 1970, UTC; absent when it does not pass.
    pub passes_ms: Option<i64>,
    /// Who is supposed to have approved.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approved_by: Vec<String>,
    /// Why it does not pass.
    pub stuck: Option<String>,
}

/// A run that would still wait at the end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StillWaits {
    /// The run.
    pub run: String,
    /// Its stage.
    pub stage: String,
    /// For what, as a clause.
    pub for_what: String,
    /// Until when at the earliest, where the clock ends it.
    pub until_ms: Option<i64>,
    /// Who or what ends it.
    pub ended_by: String,
}

/// Why a prediction goes no further.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "why", rename_all = "snake_case")]
pub enum Stopped {
    /// Nothing more comes of it.
    Settled,
    /// What waits, waits for somebody who is not there.
    Stuck,
    /// More would come, after the moment up to which it was to be told.
    Horizon {
        /// When the next would come, in milliseconds since 1970, UTC.
        next_ms: i64,
    },
    /// A bound was reached.
    Bound {
        /// Which.
        bound: String,
    },
}

/// A prediction in numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Summary {
    /// How many runs begin.
    pub runs: usize,
    /// How many commits are made.
    pub commits: usize,
    /// The repositories that they are made in.
    pub repositories: Vec<String>,
    /// How many packages and images are made anew.
    pub builds: usize,
    /// How many were made before and are used again.
    pub reused: usize,
    /// How many deployments there are.
    pub deployments: usize,
    /// How many approvals are asked for.
    pub questions: usize,
    /// Who could answer them.
    pub people: Vec<String>,
    /// How many notices are sent.
    pub notices: usize,
    /// How many runs fail.
    pub failed: usize,
}

impl Summary {
    /// Counts what comes of what is supposed, and apart from it what happens besides; with `all`, everything comes of it.
    #[must_use]
    pub fn of(events: &[Foreseen], all: bool) -> (Self, Self) {
        // A cause stands before what it causes.
        let mut comes_of_it: Vec<bool> = Vec::with_capacity(events.len());
        for event in events {
            let by_cause = event.because.is_some_and(|because| comes_of_it[because - 1]);
            comes_of_it.push(all || by_cause || matches!(event.what, What::Supposed { .. }));
        }
        let only = |wanted: bool| {
            let of_it = events.iter().zip(&comes_of_it).filter(move |(_, comes_of_it)| **comes_of_it == wanted);
            Self::count(of_it.map(|(event, _)| event))
        };
        (only(true), only(false))
    }

    fn count<'event>(events: impl Iterator<Item = &'event Foreseen>) -> Self {
        let mut summary = Self::default();
        for event in events {
            match &event.what {
                What::Run { under_way, .. } => summary.runs += usize::from(!under_way),
                What::Package { reused, .. } | What::Image { reused, .. } => {
                    summary.reused += usize::from(*reused);
                    summary.builds += usize::from(!*reused);
                }
                What::Commit { repository, .. } => {
                    summary.commits += 1;
                    if !summary.repositories.contains(repository) {
                        summary.repositories.push(repository.clone());
                    }
                }
                What::Notice { .. } => summary.notices += 1,
                What::Deployment { .. } => summary.deployments += 1,
                What::Gate(gate) if gate.asks.is_some() => {
                    summary.questions += 1;
                    summary.people.extend(gate.could_approve.iter().cloned());
                }
                What::End { state, .. } if state == "FAILED" => summary.failed += 1,
                What::Supposed { .. }
                | What::NothingToCommit { .. }
                | What::Template { .. }
                | What::Lint { .. }
                | What::Step { .. }
                | What::Gate(_)
                | What::Failure { .. }
                | What::End { .. } => {}
            }
        }
        summary.people.sort();
        summary.people.dedup();
        summary
    }
}
