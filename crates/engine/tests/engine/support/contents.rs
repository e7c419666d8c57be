//! What is in each commit of the remotes, as git would say it, and who wrote it: the answer when git is asked.

use std::collections::{BTreeMap, BTreeSet};

use tidegate_engine::{
    engine::{
        Attribution, AuthorsWork, Brings, CommitId, Decision, Effect, EffectKind, Outcome, Run, RunId, Signatures,
        StepRun, Work, Written,
        explain::{Ancestry, Landing},
        plan::{Merge, Task},
        work,
    },
    rules::{Action, RepositoryName},
};

use super::{World, repository, stage};

/// Every commit with all that is in it.
#[derive(Debug, Default)]
pub(crate) struct Contents {
    holds: BTreeMap<CommitId, BTreeSet<CommitId>>,
    /// What is below a commit and was taken away again: by which commit.
    taken: BTreeMap<CommitId, BTreeMap<CommitId, CommitId>>,
    /// When each commit was made, and by which run of ours.
    made: BTreeMap<CommitId, Landing>,
    /// A commit of ours → the commit that it carries.
    carries: BTreeMap<CommitId, (RepositoryName, CommitId)>,
    /// A commit of ours → the commit whose version it is: a merge its source's, a rollback that which it went back to, a pin
    /// that which it stands on.
    versions: BTreeMap<CommitId, CommitId>,
    /// The rollbacks.
    backs: BTreeSet<CommitId>,
    /// Why git cannot tell all who wrote something.
    pub(crate) unknown: Vec<String>,
    /// Who signed what.
    pub(crate) signatures: Vec<Signatures>,
}

impl Contents {
    pub(crate) fn of(&self, commit: &CommitId) -> BTreeSet<CommitId> {
        self.holds.get(commit).cloned().unwrap_or_default()
    }

    /// The commits whose version this one is, itself first.
    pub(crate) fn versions_of(&self, commit: &CommitId) -> Vec<CommitId> {
        let of = |commit: &CommitId| self.versions.get(commit).cloned();
        std::iter::successors(Some(commit.clone()), of).collect()
    }

    /// What is in a commit beside rollbacks, which bring nothing of their own.
    pub(crate) fn content(&self, commit: &CommitId) -> BTreeSet<CommitId> {
        self.of(commit).difference(&self.backs).cloned().collect()
    }

    fn of_all<'commit>(&self, commits: impl IntoIterator<Item = &'commit CommitId>) -> BTreeSet<CommitId> {
        commits.into_iter().flat_map(|commit| self.of(commit)).collect()
    }

    /// A commit on top of another.
    pub(super) fn push(&mut self, (commit, at_ms, by): (&CommitId, i64, Option<RunId>), before: Option<&CommitId>) {
        let mut held = self.of_all(before);
        held.insert(commit.clone());
        self.holds.insert(commit.clone(), held);
        self.taken.extend(before.and_then(|before| Some((commit.clone(), self.taken.get(before)?.clone()))));
        self.made.insert(commit.clone(), Landing { commit: commit.clone(), at_ms, by });
    }

    /// A commit has nothing of what was there before.
    pub(super) fn rewrite(&mut self, commit: &CommitId) {
        self.holds.insert(commit.clone(), BTreeSet::from([commit.clone()]));
        self.taken.remove(commit);
    }

    /// A commit is a merge of another.
    fn merge(&mut self, commit: &CommitId, other: &CommitId) {
        let mut gone = self.taken.get(other).cloned().unwrap_or_default();
        gone.extend(self.taken.remove(commit).unwrap_or_default());
        let other = self.of(other);
        self.holds.entry(commit.clone()).or_default().extend(other);
        gone.retain(|gone, _| !self.holds[commit].contains(gone));
        self.taken.insert(commit.clone(), gone);
    }

    /// What a branch holds that goes back: of what was there, what is not in what goes away, and what comes back.
    pub(super) fn gone_back(&self, parent: &CommitId, to: &CommitId, from: &CommitId) -> BTreeSet<CommitId> {
        let kept = self.of(parent).difference(&self.of(from)).cloned().collect::<BTreeSet<_>>();
        kept.into_iter().chain(self.of(to)).collect()
    }

    /// What a branch holds after a merge, which may go back to an older commit on purpose.
    pub(super) fn merged(&self, parent: &CommitId, merge: &Merge) -> BTreeSet<CommitId> {
        match &merge.back_from {
            Some(newest) if self.of(parent).contains(&merge.commit) => self.gone_back(parent, &merge.commit, newest),
            _ => self.of_all([parent, &merge.commit]),
        }
    }

    /// A commit goes back to another.
    fn go_back(&mut self, commit: &CommitId, parent: &CommitId, to: &CommitId, from: &CommitId) {
        let mut held = self.gone_back(parent, to, from);
        held.insert(commit.clone());
        let gone = self.of(parent).difference(&held).map(|gone| (gone.clone(), commit.clone())).collect();
        let before = self.taken.insert(commit.clone(), gone).unwrap_or_default();
        let before = before.into_iter().filter(|(gone, _)| !held.contains(gone));
        self.taken.entry(commit.clone()).or_default().extend(before);
        self.holds.insert(commit.clone(), held);
    }

    fn is_below(&self, commit: &CommitId, above: &CommitId) -> bool {
        self.of(above).contains(commit) || self.taken.get(above).is_some_and(|gone| gone.contains_key(commit))
    }

    /// A step of ours made a commit.
    pub(super) fn made(&mut self, run: &Run, step: &StepRun, commit: &CommitId, parent: Option<&CommitId>) {
        match &*step.task {
            Task::Merge(merge) => {
                self.versions.insert(commit.clone(), merge.commit.clone());
                let holds_it = parent.is_some_and(|parent| self.of(parent).contains(&merge.commit));
                match (&merge.back_from, parent) {
                    (Some(newest), Some(parent)) if holds_it => self.go_back(commit, parent, &merge.commit, newest),
                    _ => self.merge(commit, &merge.commit),
                }
            }
            Task::Action(Action::Commit(_)) => {
                let version = parent.and_then(|parent| self.versions.get(parent)).cloned();
                self.versions.extend(version.map(|version| (commit.clone(), version)));
                let source = run.source.as_ref().map(|source| (source.repository.clone(), source.commit.clone()));
                self.carries.extend(source.map(|source| (commit.clone(), source)));
            }
            _ => {}
        }
    }

    /// A way back of ours.
    pub(super) fn went_back(&mut self, commit: &CommitId, parent: Option<&CommitId>, brought: &Brings) {
        if let (Some(parent), Some(to), Some(from)) = (parent, &brought.to, &brought.from) {
            self.go_back(commit, parent, to, from);
            self.versions.insert(commit.clone(), to.clone());
            self.backs.insert(commit.clone());
        }
    }

    /// The commits that are new.
    fn news(&self, work: &AuthorsWork) -> BTreeSet<CommitId> {
        let mut heads: BTreeMap<RepositoryName, BTreeSet<CommitId>> = BTreeMap::new();
        for (name, of) in &work.repositories {
            heads.entry(name.clone()).or_default().extend(of.commit.clone());
        }
        loop {
            let new: BTreeSet<CommitId> = work
                .repositories
                .iter()
                .flat_map(|(name, of)| {
                    let base = self.of_all(&of.base);
                    let held = self.of_all(&heads[name]);
                    held.difference(&base).cloned().collect::<Vec<_>>()
                })
                .collect();
            let carried = new.iter().filter_map(|commit| self.carries.get(commit));
            let more: Vec<_> = carried.filter(|(name, commit)| !heads[name].contains(commit)).cloned().collect();
            if more.is_empty() {
                return new;
            }
            for (name, commit) in more {
                heads.entry(name).or_default().insert(commit);
            }
        }
    }
}

impl World {
    /// Git says where a commit is.
    pub(crate) fn ancestry(&self, repository: &RepositoryName, commit: &CommitId) -> Ancestry {
        let (asked, of) = (self.system.asked_of(repository), &self.contents);
        let came = self.remotes.iter().filter(|((of, _), _)| of == repository).filter_map(|((_, stage), branch)| {
            let line: Vec<&CommitId> = branch.iter().rev().map_while(Option::as_ref).map(|made| &made.commit).collect();
            let has = |above: &&&CommitId| match of.of(line[0]).contains(commit) {
                true => of.of(above).contains(commit),
                false => of.is_below(commit, above),
            };
            let came = &of.made[*line.iter().take_while(has).last()?];
            let by = came.by.clone().filter(|_| came.commit != *commit);
            Some((stage.clone(), Landing { by, ..came.clone() }))
        });
        Ancestry {
            contained: asked.iter().filter(|above| of.of(above).contains(commit)).cloned().collect(),
            taken_away: asked
                .iter()
                .filter_map(|above| Some((above.clone(), of.made[of.taken.get(above)?.get(commit)?].clone())))
                .collect(),
            came: came.collect(),
        }
    }

    /// Git says who wrote something.
    pub(crate) fn written(&self, work: &AuthorsWork) -> Written {
        let new = self.contents.news(work);
        let all = self.remotes.values().flatten().flatten();
        let by_people = all.filter(|made| made.key.is_none() && new.contains(&made.commit));
        let authors = by_people.map(|made| made.author.clone()).collect();
        let Contents { unknown, signatures, .. } = &self.contents;
        Written { authors, unknown: unknown.clone(), signatures: signatures.clone() }
    }

    /// Somebody merges a branch into another of the same repository, and pushes that; the watch sees it.
    pub(crate) fn merge_by(&mut self, author: &str, of: &str, from: &str, to: &str) -> CommitId {
        let place = |at: &str| (repository(of), stage(at));
        let source = self.remotes[&place(from)].iter().flatten().next_back().unwrap().commit.clone();
        let commit = self.commit(&place(to).0, &place(to).1, author, None);
        let news: BTreeSet<CommitId> =
            self.contents.of(&source).difference(&self.contents.of(&commit)).cloned().collect();
        self.contents.merge(&commit, &source);
        let ours = self.remotes.values().flatten().flatten().filter(|made| news.contains(&made.commit));
        let brought = ours.filter_map(|made| made.key.clone()).collect();
        self.remotes.get_mut(&place(to)).unwrap().last_mut().unwrap().as_mut().unwrap().brought = brought;
        self.watch(&place(to).0);
        commit
    }

    /// The effects that ask git.
    pub(crate) fn asks_git(&self) -> Vec<Effect> {
        let asks = |effect: &&Effect| matches!(effect.kind, EffectKind::Authors { .. });
        self.system.due.values().filter(asks).cloned().collect()
    }

    /// Git answers.
    pub(crate) fn git_answers(&mut self, effect: &Effect) -> Decision {
        let Ok(Work::Authors(work)) = work(&self.system, effect) else { panic!("{effect:?}") };
        let written = self.written(&work);
        self.answer(&effect.id, Outcome::Authors(Attribution::Told(written)))
    }
}
