//! What can happen to a system. Events are facts: each is in the log before anything comes of it.

mod command;
mod key;
mod nudge;
mod tags;

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    access::{Access, Principal},
    authorship::{Attribution, Written},
    content::{Artifact, PinsSeen},
    ids::{CommitId, Digest, EffectId, StepKey},
    made::Made,
    rules_origin::RulesOrigin,
    shared::Shared,
    target::Observation,
};
use crate::rules::{Quorum, Rules, StageName};

pub use self::{
    command::{Command, StartOn},
    key::{CommandKey, MOST_KEY_BYTES},
    nudge::{DeliveryId, Nudge},
    tags::{TagIn, TagsSeen},
};

/// An event as the log holds it: with its place and the recorded time, which is the only time the engine knows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Recorded<E> {
    /// Its place in the system's log; the first is 1.
    pub seq: u64,
    /// When it was recorded: milliseconds since 1970, UTC.
    pub at_ms: i64,
    /// What happened.
    pub event: E,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event {
    /// A valid rules file was read; it is in force from here on.
    RulesLoaded {
        /// Where it was read: a path, in the repository where it is from one.
        source: String,
        /// Of the file's text.
        digest: Digest,
        /// What it says.
        rules: Box<Rules>,
        /// The commit that brought it; none for a file beside the server.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        origin: Option<RulesOrigin>,
        /// The fingerprint of the secret that proves commits to be ours.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        secret: Option<Digest>,
    },
    /// A valid rules file was read, and people are to be asked before it comes into force.
    RulesOffered {
        /// Where it was read: a path in its repository.
        source: String,
        /// Of the file's text.
        digest: Digest,
        /// What it says.
        rules: Box<Rules>,
        /// The commit that brings it.
        origin: RulesOrigin,
        /// The fingerprint of the secret that proves commits to be ours.
        secret: Digest,
        /// What it means for who lives under the rules in force, line by line.
        meaning: Vec<String>,
        /// Who is asked.
        quorum: Quorum,
        /// Who wrote it.
        written: Written,
    },
    /// A rules file was refused; the last good rules stay in force.
    RulesRefused {
        /// Where it was read.
        source: String,
        /// Of the file's text.
        digest: Digest,
        /// The mistakes, as a person sees them.
        mistakes: String,
        /// The commit that has it; none for a file beside the server.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        origin: Option<RulesOrigin>,
    },
    /// An effect came to an end, or to a point worth recording.
    Outcome {
        /// Which effect.
        effect: EffectId,
        /// What came of it.
        outcome: Outcome,
        /// How long it waited for a place before it was begun, in milliseconds: a step's time begins when it begins.
        #[serde(default, skip_serializing_if = "is_none")]
        waited_ms: i64,
    },
    /// The people, groups and roles that are in force from here on.
    AccessLoaded {
        /// What `tidegate.toml` says of them.
        access: Access,
    },
    /// Something outside may be news.
    Nudged {
        /// What there may be news of.
        what: Nudge,
        /// Which delivery it is: the same again is refused, and changes nothing.
        delivery: DeliveryId,
        /// Who asks to look, where somebody does by hand.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<Principal>,
    },
    /// Somebody asks for something.
    Command {
        /// Who.
        by: Principal,
        /// What.
        command: Command,
        /// What names this one asking, where whoever asks may ask again because an answer was lost.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<CommandKey>,
    },
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
pub(super) const fn is_none(time_ms: &i64) -> bool {
    *time_ms == 0
}

/// What came of an effect.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Outcome {
    /// A watch found that heads have moved (or saw them for the first time).
    Heads {
        /// The head of every stage of the repository that could be read; `None` where the branch does not exist.
        heads: BTreeMap<StageName, Option<HeadSeen>>,
        /// The branches that are there and could not be read.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        unread: BTreeMap<StageName, Unread>,
        /// What is new of its tags, where rules ask for them.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tags: Option<Box<TagsSeen>>,
    },
    /// A watch cannot reach its repository (said once, until it can again).
    Unreachable {
        /// What was tried and what came back.
        error: String,
    },
    /// A timer's moment has come.
    Fired,
    /// A step ended, failed, or goes on outside.
    Step(StepOutcome),
    /// Git said who wrote what a question is about, or could not.
    Authors(Attribution),
    /// A notice was delivered, or not.
    Notice(Delivery),
    /// A target that nobody holds was looked at.
    Observed(Observation),
    /// A target that nobody holds could not be looked at.
    Unobserved {
        /// What was tried and what came back.
        error: String,
    },
}

/// Why the head of a branch could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Unread {
    /// The head.
    pub commit: CommitId,
    /// What was tried, what came back, and what to do.
    pub error: String,
}

/// What came of one try to deliver a notice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum Delivery {
    /// The receiver has it.
    Delivered,
    /// A passing failure, or a doubtful one: the same message may be sent again.
    Retry {
        /// What was tried and what came back.
        error: String,
        /// How long the receiver asked us to wait, in milliseconds.
        after_ms: Option<i64>,
    },
    /// A failure that trying again will not mend.
    Failed {
        /// What was tried and what came back.
        error: String,
        /// What to do about it.
        hint: String,
    },
}

/// A head as a watch saw it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HeadSeen {
    /// The commit.
    pub commit: CommitId,
    /// Who wrote it, as in `Ada <ada@example.com>`.
    pub author: String,
    /// Who wrote the commits since the head known before, in the same form, without our own commits: none of them may
    /// approve it. Empty when all of them are ours.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub authors: BTreeSet<String>,
    /// That there are others who wrote some of it, whom nobody can tell.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub others_wrote: bool,
    /// The first line of its message.
    pub subject: String,
    /// The paths that differ from the head known before; `None` when there was none or they are too many to list.
    pub changed: Option<Vec<String>>,
    /// That the head known before is no ancestor: the branch was force-pushed.
    pub forced: bool,
    /// The keys of our own commits since the head known before, oldest first. Only of those that prove to be ours.
    pub keys: Vec<StepKey>,
    /// What is pinned there, at the place of every commit step, whoever set it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pins: Vec<PinsSeen>,
}

/// What came of one try of a step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum StepOutcome {
    /// It goes on outside, under a handle; look again later.
    Pending {
        /// How to find it again.
        handle: String,
        /// When to look again, in milliseconds from now.
        after_ms: i64,
        /// What a person may be told meanwhile.
        progress: Option<String>,
    },
    /// It is done.
    Done {
        /// What later steps may use.
        outputs: Shared<Map<String, Value>>,
        /// What it made, or found already made.
        artifacts: Shared<Vec<Artifact>>,
        /// What the engine goes by of that.
        #[serde(default, skip_serializing_if = "Made::is_nothing")]
        made: Made,
    },
    /// A passing failure, or a doubtful one: the same effect may be tried again.
    Retry {
        /// What was tried and what came back.
        error: String,
        /// How long the outside asked us to wait, in milliseconds.
        after_ms: Option<i64>,
    },
    /// A failure that trying again will not mend.
    Failed {
        /// What was tried and what came back.
        error: String,
        /// What to do about it.
        hint: String,
    },
    /// It looked at its target, as it was asked to.
    Observed(Observation),
    /// It was cancelled, as it was told to be.
    Cancelled,
}
