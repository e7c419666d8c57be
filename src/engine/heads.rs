//! Heads: what the watches see, what our own commits make, and which rules that starts.

use std::collections::BTreeMap;

use super::ids::Place;
use super::{
    effect::Effect,
    event::{CommitSet, HeadSeen},
    ids::{CommitId, RunId},
    run::{Cause, Subject},
    system::{Head, Unreachable},
    turn::Turn,
};
use crate::rules::{RepositoryName, Span, StageName, matches_any};

/// How often a repository is looked at when its rules do not say.
pub(super) const POLL_INTERVAL: Span = Span::from_secs(10);

impl Turn<'_> {
    /// A watch found heads that differ from those known.
    pub(super) fn heads_seen(&mut self, repository: &RepositoryName, heads: &BTreeMap<StageName, Option<HeadSeen>>) {
        let Some(watched) = self.system.repositories.get_mut(repository) else { return };
        watched.unreachable = None;
        let first_sight = !std::mem::replace(&mut watched.seen, true);
        for (stage, seen) in heads {
            let known = self.system.head(repository, stage).map(|head| &head.commit);
            match seen {
                Some(seen) if known != Some(&seen.commit) => self.head_moved(repository, stage, seen, first_sight),
                Some(_) => {}
                None => {
                    let watched = self.system.repositories.get_mut(repository).expect("looked up above");
                    watched.heads.remove(stage);
                }
            }
        }
        self.watch_again(repository);
    }

    /// A watch cannot reach its repository.
    pub(super) fn unreachable(&mut self, repository: &RepositoryName, error: &str) {
        let since_ms = self.at_ms;
        if let Some(watched) = self.system.repositories.get_mut(repository) {
            let since_ms = watched.unreachable.as_ref().map_or(since_ms, |before| before.since_ms);
            watched.unreachable = Some(Unreachable { error: error.to_owned(), since_ms });
            self.watch_again(repository);
        }
    }

    fn watch_again(&mut self, repository: &RepositoryName) {
        let Some(interval) = self.poll_interval(repository) else { return };
        let Some(watched) = self.system.repositories.get_mut(repository) else { return };
        watched.ticks += 1;
        let effect = Effect::watch(repository.clone(), watched.ticks, self.at_ms + interval.as_ms());
        self.emit(effect);
    }

    fn poll_interval(&self, repository: &RepositoryName) -> Option<Span> {
        let repository = self.system.rules()?.repositories.get(repository)?;
        Some(repository.poll.unwrap_or(POLL_INTERVAL))
    }

    fn head_moved(&mut self, repository: &RepositoryName, stage: &StageName, seen: &HeadSeen, first_sight: bool) {
        let before = self.system.head(repository, stage);
        let mut set = before.map(|head| head.set.clone()).unwrap_or_default();
        let mut authors = before.map(|head| head.authors.clone()).unwrap_or_default();
        let mut by = None;
        for key in &seen.keys {
            let id = key.as_str().split('/').nth(1).map(RunId::new);
            if let Some(run) = id.and_then(|id| self.system.run(&id)) {
                set.extend(run.set.clone());
                authors.extend(run.authors.iter().cloned());
                by = Some(run.id.clone());
            }
        }
        if seen.keys.is_empty() {
            authors.insert(seen.author.clone());
        }
        set.insert(repository.clone(), seen.commit.clone());
        let head = Head {
            commit: seen.commit.clone(),
            order: self.seq,
            since_ms: self.at_ms,
            author: seen.author.clone(),
            subject: seen.subject.clone(),
            set,
            authors,
            by,
            forced: seen.forced,
        };
        self.set_head(repository, stage, head);
        if !first_sight {
            self.pushed(repository, stage, seen.changed.as_deref());
        }
    }

    /// One of our own commits became the head: taken in at once, without waiting for a watch to see it. When the head
    /// known is not the commit's parent, others pushed as well, and the watch will tell in which order.
    pub(super) fn head_made(&mut self, made: MadeHead<'_>) {
        let MadeHead { place: Place { repository, stage }, commit, parent, subject, by } = made;
        let Some(before) = self.system.head(repository, stage) else { return };
        if before.commit != *parent {
            return;
        }
        let Some(run) = self.system.run(by) else { return };
        let mut set = before.set.clone();
        set.extend(run.set.clone());
        set.insert(repository.clone(), commit.clone());
        let authors = before.authors.union(&run.authors).cloned().collect();
        let head = Head {
            commit: commit.clone(),
            order: self.seq,
            since_ms: self.at_ms,
            author: "Tidegate".to_owned(),
            subject: subject.to_owned(),
            set,
            authors,
            by: Some(by.clone()),
            forced: false,
        };
        self.set_head(repository, stage, head);
        self.pushed(repository, stage, None);
    }

    fn set_head(&mut self, repository: &RepositoryName, stage: &StageName, head: Head) {
        let watched = self.system.repositories.entry(repository.clone()).or_default();
        watched.heads.insert(stage.clone(), head);
    }

    /// A head moved: starts the rules that its push triggers, or keeps that for later while a promotion moves the stage's
    /// repositories one after the other, so that no run sees half of a set.
    fn pushed(&mut self, repository: &RepositoryName, stage: &StageName, changed: Option<&[String]>) {
        if self.promotion_moves(stage) {
            self.system.held.entry(stage.clone()).or_default().insert(repository.clone());
            return;
        }
        let Some(rules) = self.system.rules().cloned() else { return };
        let Some(head) = self.system.head(repository, stage) else { return };
        let cause = Cause::Push { author: head.author.clone(), subject: head.subject.clone(), by: head.by.clone() };
        for (name, rule) in &rules.rules {
            let wanted = changed.is_none_or(|changed| rule.on.paths.is_empty() || matches_any(&rule.on.paths, changed));
            if rule.on.push.as_ref() == Some(repository) && rule.is_for(stage) && wanted {
                self.make_run(&Subject::Rule(name.clone()), stage, cause.clone());
            }
        }
    }

    /// A promotion into the stage is over: starts what its merges, and pushes meanwhile, would have started.
    pub(super) fn release_held(&mut self, stage: &StageName) {
        for repository in self.system.held.remove(stage).unwrap_or_default() {
            self.pushed(&repository, stage, None);
        }
    }

    /// The merges of a promotion belong together: each of their heads is of the whole set.
    pub(super) fn join_heads(&mut self, stage: &StageName, merged: &CommitSet) {
        for (repository, commit) in merged {
            let Some(watched) = self.system.repositories.get_mut(repository) else { continue };
            if let Some(head) = watched.heads.get_mut(stage).filter(|head| head.commit == *commit) {
                head.set.extend(merged.clone());
            }
        }
    }
}

/// A head that a step of ours made.
pub(super) struct MadeHead<'made> {
    pub(super) place: &'made Place,
    pub(super) commit: &'made CommitId,
    pub(super) parent: &'made CommitId,
    pub(super) subject: &'made str,
    pub(super) by: &'made RunId,
}
