//! Versions: the sets that were verified together, where stages were taken back to, and what is vetoed or pinned.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use crate::engine::{
    content::CommitSet,
    ids::{CommitId, RunId},
    run::Hotfix,
    shared::Shared,
};
use crate::rules::{RepositoryName, StageName};

/// All that is known of versions.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Versions {
    /// Per stage, what was verified in it, newest last.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub known: BTreeMap<StageName, Vec<Version>>,
    /// What commits of ours carry that something names.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub carried: BTreeMap<CommitId, Carried>,
    /// Per stage, the last time that it was rolled back.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub rolled_back: BTreeMap<StageName, RolledBack>,
    /// Per stage, the sets that were promoted into it and taken away again: they come back only if somebody wants it.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub taken_away: BTreeMap<StageName, Vec<CommitSet>>,
    /// Per stage, what was begun there and neither finished nor taken back.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub half_way: BTreeMap<StageName, HalfWay>,
    /// What never moves again: a commit or the beginning of one, or an artifact's name or address.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub vetoes: BTreeMap<String, Veto>,
    /// The stages that stay at one version.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub pinned: BTreeMap<StageName, Pinned>,
}

/// A set that was verified together in a stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Version {
    /// What was verified, and by which run: the version's name.
    #[serde(flatten)]
    pub verified: Verified,
    /// What had last been promoted into the stage then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promoted: Option<Promoted>,
}

/// What a commit carries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Carried {
    /// The commit whose version it carries: of a merge the source, of a rollback the commit that it went back to.
    pub of: CommitId,
    /// That its content is that commit's, to the byte.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub exact: bool,
}

/// What was verified together in a stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verified {
    /// The combination.
    pub set: CommitSet,
    /// By which run.
    pub run: RunId,
    /// When: milliseconds since 1970, UTC.
    pub at_ms: i64,
    /// Who wrote the changes in it.
    pub authors: Shared<BTreeSet<String>>,
    /// The names of the artifacts that are pinned in it.
    #[serde(default, skip_serializing_if = "Shared::is_default")]
    pub artifacts: Shared<BTreeSet<SmolStr>>,
    /// The stage's own commits from which it was made there, that no stage before had verified.
    #[serde(default, skip_serializing_if = "Shared::is_default")]
    pub made_here: CommitSet,
    /// That it is of a hotfix.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hotfix: Option<Hotfix>,
}

/// What was last promoted into a stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Promoted {
    /// The combination, as it was in the stage that it came from.
    pub set: CommitSet,
    /// By which run.
    pub run: RunId,
    /// When: milliseconds since 1970, UTC.
    pub at_ms: i64,
}

/// A stage was rolled back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RolledBack {
    /// By this run.
    pub run: RunId,
    /// The number of the last run that was made by then: what was begun until then is not verified any more.
    pub number: u64,
    /// To this version.
    pub to: Version,
    /// The commits that it came to.
    pub made: CommitSet,
    /// When: milliseconds since 1970, UTC.
    pub at_ms: i64,
    /// Who decided it.
    pub by: String,
    /// Why.
    pub reason: String,
}

/// Something was begun in a stage's repositories and neither finished nor taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HalfWay {
    /// The promotion or way back.
    pub run: RunId,
    /// The repositories in which it is done.
    pub moved: Vec<RepositoryName>,
    /// Those in which it may be: its end is in doubt.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub doubtful: Vec<RepositoryName>,
    /// Those in which it is not.
    pub open: Vec<RepositoryName>,
    /// The run that takes it back, when one was started.
    pub taken_back_by: Option<RunId>,
    /// Since when: milliseconds since 1970, UTC.
    pub since_ms: i64,
}

/// Something never moves again, until somebody lifts that.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Veto {
    /// Who decided it.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When: milliseconds since 1970, UTC.
    pub at_ms: i64,
}

/// A stage stays at one version, until somebody ends that.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pinned {
    /// The version.
    pub version: Version,
    /// Who decided it.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When: milliseconds since 1970, UTC.
    pub at_ms: i64,
}

impl Versions {
    /// Whether nothing is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// All versions that something here names.
    pub(in crate::engine) fn all(&self) -> impl Iterator<Item = &Version> {
        let pinned = self.pinned.values().map(|pinned| &pinned.version);
        let back_to = self.rolled_back.values().map(|back| &back.to);
        self.known.values().flatten().chain(pinned).chain(back_to)
    }

    /// The sets that something here names.
    pub(in crate::engine) fn sets(&self) -> impl Iterator<Item = &CommitSet> {
        let of_versions = self.all().flat_map(|version| {
            let promoted = version.promoted.as_ref().map(|promoted| &promoted.set);
            std::iter::once(&version.verified.set).chain(promoted)
        });
        let made = self.rolled_back.values().map(|back| &back.made);
        of_versions.chain(made).chain(self.taken_away.values().flatten())
    }
}
