//! What git says of one commit: which of the commits that the state names have it. Whoever asks brings the answer, and it is
//! kept nowhere: git knows all of history, also that of which the log was trimmed.

use std::collections::{BTreeMap, BTreeSet};

use crate::engine::{
    ids::{CommitId, RunId},
    state::System,
    task::Task,
};
use crate::rules::{RepositoryName, StageName};

/// Where a commit is, as git says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ancestry {
    /// Of the commits that the state names, those that have it: itself, and what is above it.
    pub contained: BTreeSet<CommitId>,
    /// Those that are above it and do not have it, because a rollback of ours took it away.
    pub taken_away: BTreeMap<CommitId, Landing>,
    /// Per stage, the commit with which it came to the branch.
    pub came: BTreeMap<StageName, Landing>,
}

/// A commit of a stage's branch that brought something there or took it away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Landing {
    /// The commit.
    pub commit: CommitId,
    /// When it was made: milliseconds since 1970, UTC.
    pub at_ms: i64,
    /// The run that made it; `None` where it was pushed.
    pub by: Option<RunId>,
}

impl Ancestry {
    /// The first head that brought a commit to a branch along with others; `None` when it was a head itself. Of commits that
    /// are pushed together only the last is one.
    #[must_use]
    pub fn first_head_with(&self, commit: &CommitId) -> Option<&CommitId> {
        if self.came.values().any(|came| came.commit == *commit) {
            return None;
        }
        let pushed = self.came.values().filter(|came| came.by.is_none());
        pushed.min_by_key(|came| came.at_ms).map(|came| &came.commit)
    }
}

impl System {
    /// The commits of a repository of which git is asked whether they contain another.
    #[must_use]
    pub fn asked_of(&self, repository: &RepositoryName) -> BTreeSet<CommitId> {
        let mut asked = self.named_commits(repository);
        let watched = self.repositories.get(repository).into_iter();
        let wanted = watched.flat_map(|watched| watched.heads.values()).flat_map(|head| head.origin.wanted.values());
        asked.extend(wanted.map(|wanted| wanted.commit.clone()));
        for run in self.all_runs() {
            let source = run.source.iter().filter(|source| source.repository == *repository);
            asked.extend(source.map(|source| source.commit.clone()));
            let merged = run.steps.iter().filter_map(|step| match &*step.task {
                Task::Merge(merge) if merge.repository == *repository => Some(merge.commit.clone()),
                _ => None,
            });
            asked.extend(merged);
        }
        let records = self.provenance.values().flatten().filter_map(|record| record.of.get(repository));
        let moved = self.moved.values().filter_map(|moved| moved.get(repository));
        asked.extend(records.flatten().chain(moved).map(|point| point.commit.clone()));
        asked
    }

    /// Whether a commit was the head of a stage's branch once, as far as the state still says.
    pub(super) fn were_heads<'system>(
        &'system self,
        repository: &'system RepositoryName,
        stage: &'system StageName,
    ) -> impl Iterator<Item = &'system CommitId> {
        let watched = self.repositories.get(repository).into_iter();
        let seen = watched.flat_map(|watched| {
            watched.gone.get(stage).into_iter().chain(watched.first.get(stage).map(|first| &first.commit))
        });
        let sources = self.all_runs().filter(|run| run.stage == *stage).filter_map(|run| run.source.as_ref());
        let sources = sources.filter(|source| source.repository == *repository).map(|source| &source.commit);
        let points = self.provenance.values().flatten().filter_map(|record| record.of.get(repository)).flatten();
        let points = points.filter(|point| point.stage == *stage).map(|point| &point.commit);
        seen.chain(sources).chain(points)
    }
}
