//! Facts about what is delivered from and to: repositories, stages and targets.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::engine::{
    content::CommitSet,
    event::Unread,
    ids::{CommitId, TargetKey},
    origin::{Pins, Point, Record},
    shared::Shared,
    state::{
        AwaitedTag, Deployed, FirstSeen, HalfWay, Head, Pinned, Policy, Promoted, RolledBack, Unreachable, Verified,
        Version, WorkflowEnd,
    },
    target::{Difference, Seen},
};
use crate::rules::{RepositoryName, StageName, TargetKind, TargetLife};

/// What is said of a repository.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RepositoryFact {
    /// The rules have it.
    Known,
    /// The rules do not have it any more.
    Forgotten,
    /// It is to be looked at.
    WatchAsked {
        /// When, as a place in the log.
        order: u64,
    },
    /// There may be news since then.
    Nudged,
    /// It cannot be reached.
    Unreachable(Unreachable),
    /// It can be reached again.
    Reached,
    /// The branch of a stage cannot be read.
    Unread {
        /// The stage.
        stage: StageName,
        /// Its head, and why.
        unread: Unread,
    },
    /// The branch of a stage can be read again.
    Read {
        /// The stage.
        stage: StageName,
    },
    /// A stage of it was looked at for the first time.
    StageSeen {
        /// The stage.
        stage: StageName,
    },
    /// The rules do not have a stage any more.
    StageForgotten {
        /// The stage.
        stage: StageName,
    },
    /// The head of a stage, and what is known of it.
    HeadSet {
        /// The stage.
        stage: StageName,
        /// The head.
        head: Shared<Head>,
    },
    /// Where the branch of a stage was first seen.
    FirstSeen {
        /// The stage.
        stage: StageName,
        /// The commit, and when.
        first: FirstSeen,
    },
    /// What is known of a value that is pinned in it.
    ProvenanceSet(Shared<Record>),
    /// Nothing is remembered any more of a value that was pinned in it.
    ProvenanceForgotten(Shared<Pins>),
    /// By which patterns its tags were looked at, and the tags that start nothing because they are older than that.
    TagsKnown {
        /// The patterns; none where no rule asks for tags any more, and nothing is known of them.
        patterns: Option<BTreeSet<String>>,
        /// The tags, with the commit of each.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        tags: BTreeMap<String, CommitId>,
    },
    /// What a tag names.
    Tagged {
        /// The tag.
        tag: String,
        /// The commits that it named, newest last.
        commits: Vec<CommitId>,
    },
    /// A tag starts rules in these stages once their branch has its commit; in none any more.
    TagAwaited(AwaitedTag),
    /// Why its tags cannot be taken in; nothing where they can again.
    TagsUnread {
        /// Why.
        error: Option<String>,
    },
    /// Something outside succeeded with a commit that is not the head of its stage, or not yet.
    WorkflowAhead(WorkflowEnd),
    /// That is waited for no longer.
    WorkflowOver(WorkflowEnd),
    /// The branch of a stage is gone.
    HeadGone {
        /// The stage.
        stage: StageName,
    },
}

/// What is said of a stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StageFact {
    /// A set was verified in it.
    Verified(Verified),
    /// A set was promoted into it.
    Promoted(Promoted),
    /// Nothing counts as promoted into it any more.
    PromotionForgotten,
    /// It has a new version.
    VersionKnown(Box<Version>),
    /// Its oldest version is forgotten.
    VersionForgotten,
    /// The sets that were taken away from it.
    TakenAwaySet {
        /// The sets, oldest first.
        sets: Vec<CommitSet>,
    },
    /// A set stands partly in it.
    HalfWay(HalfWay),
    /// Nothing stands partly in it any more.
    HalfWayOver,
    /// It was rolled back.
    RolledBack(Box<RolledBack>),
    /// It stays at one version.
    Pinned(Box<Pinned>),
    /// It stays at one version no longer.
    Unpinned,
    /// A push waits for a promotion into it.
    PushHeld {
        /// The repository.
        repository: RepositoryName,
        /// The paths that it changed; absent when any may have.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        paths: Paths,
    },
    /// A set was moved into it: nothing is built there from what is older than this head.
    Moved {
        /// The repository.
        repository: RepositoryName,
        /// The head that the set came to.
        head: Arc<Point>,
    },
    /// The pushes that waited are taken in.
    PushesReleased,
}

/// What is said of a target, or of the queue of a rule or of the promotions into a stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TargetFact {
    /// It is there, with this policy.
    Known {
        /// What becomes of a run that finds it held.
        policy: Policy,
    },
    /// A run waits for it.
    Queued {
        /// The run.
        run: u64,
        /// Its place in the queue; the first is 0.
        place: usize,
    },
    /// A run waits for it no longer.
    Left {
        /// The run.
        run: u64,
    },
    /// A run holds it.
    Taken {
        /// The run.
        run: u64,
    },
    /// Nobody holds it.
    Freed {
        /// Where it is in its life now.
        life: TargetLife,
    },
    /// A run failed on it.
    Broken {
        /// What happened.
        because: String,
    },
    /// An operator made it available again.
    Unlocked,
    /// Where it is in its life now, whoever holds it.
    Lives {
        /// Where.
        life: TargetLife,
    },
    /// What kind it is.
    Is {
        /// The kind.
        kind: TargetKind,
    },
    /// It was looked at.
    Seen(Box<Seen>),
    /// It could not be looked at.
    Unseen {
        /// What was tried and what came back.
        error: String,
    },
    /// How the run that holds it left it: what differs later was changed by another hand.
    Settled {
        /// What was there.
        saw: Map<String, Value>,
    },
    /// What another hand changed since; nothing where all is as it was left.
    Drifted {
        /// What.
        differences: Vec<Difference>,
    },
    /// The rules call it by another name.
    Renamed {
        /// Its new name, at its stage.
        to: TargetKey,
    },
    /// Something was deployed to it.
    Deployed(Box<Deployed>),
    /// Something was verified on it.
    Verified {
        /// The commit of every repository in it.
        set: CommitSet,
    },
}

/// Paths that a push changed; none when any may have.
pub(in crate::engine) type Paths = Option<BTreeSet<String>>;
