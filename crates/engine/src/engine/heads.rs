//! Heads: what the watches see, what our own commits make, and which rules that starts.

use std::collections::{BTreeMap, BTreeSet};

use super::ids::Place;
use super::{
    authors::{Taken, Written, join},
    effect::Effect,
    event::{CommitSet, HeadSeen},
    fact::{RepositoryFact, StageFact},
    ids::CommitId,
    lineage::Point,
    run::{Cause, Subject},
    system::{Head, Unreachable},
    turn::Turn,
};
use crate::rules::{RepositoryName, Rule, RuleName, Span, StageName, StepId, matches_any};

/// How often a repository is looked at when its rules do not say.
pub(super) const POLL_INTERVAL: Span = Span::from_secs(10);
/// How many changed paths are kept of pushes that wait; more of them match every filter.
const MOST_HELD_PATHS: usize = 4_000;

impl Turn<'_> {
    /// A watch found heads that differ from those known. A head that we made ourselves since the watch was asked for may be
    /// newer than what it saw: it says nothing of that stage, and another looks at once.
    pub(super) fn heads_seen(&mut self, repository: &RepositoryName, heads: &BTreeMap<StageName, Option<HeadSeen>>) {
        let Some(watched) = self.system.repositories.get(repository) else { return };
        let asked = watched.asked;
        if watched.unreachable.is_some() {
            self.record_repository(repository, RepositoryFact::Reached);
        }
        let stages = self.system.rules().map(|rules| rules.stages.clone()).unwrap_or_default();
        let mut doubtful = false;
        for (stage, seen) in heads.iter().filter(|(stage, _)| stages.contains_key(*stage)) {
            let Some(watched) = self.system.repositories.get(repository) else { return };
            let first_sight = !watched.seen.contains(stage);
            if first_sight {
                self.record_repository(repository, RepositoryFact::StageSeen { stage: stage.clone() });
            }
            let known = self.system.head(repository, stage);
            if known.is_some_and(|known| known.order > asked) {
                doubtful = true;
                continue;
            }
            let known = known.map(|head| &head.commit);
            match seen {
                Some(seen) if known != Some(&seen.commit) => self.head_moved(repository, stage, seen, first_sight),
                Some(_) => {}
                None if known.is_some() => {
                    self.record_repository(repository, RepositoryFact::HeadGone { stage: stage.clone() });
                }
                None => {}
            }
        }
        self.watch_again(repository, doubtful);
    }

    /// A watch cannot reach its repository.
    pub(super) fn unreachable(&mut self, repository: &RepositoryName, error: &str) {
        if let Some(watched) = self.system.repositories.get(repository) {
            let since_ms = watched.unreachable.as_ref().map_or(self.at_ms, |before| before.since_ms);
            let unreachable = Unreachable { error: error.to_owned(), since_ms };
            self.record_repository(repository, RepositoryFact::Unreachable(unreachable));
            self.watch_again(repository, false);
        }
    }

    fn watch_again(&mut self, repository: &RepositoryName, at_once: bool) {
        if let Some(interval) = self.poll_interval(repository) {
            let wait_ms = if at_once { 0 } else { interval.as_ms() };
            self.watch(repository, self.at_ms.saturating_add(wait_ms));
        }
    }

    /// Has a repository looked at.
    pub(super) fn watch(&mut self, repository: &RepositoryName, due_ms: i64) {
        let seq = self.seq;
        if self.system.repositories.contains_key(repository) {
            self.record_repository(repository, RepositoryFact::WatchAsked { order: seq });
            self.emit(Effect::watch(repository.clone(), seq, due_ms));
        }
    }

    fn poll_interval(&self, repository: &RepositoryName) -> Option<Span> {
        let repository = self.system.rules()?.repositories.get(repository)?;
        Some(repository.poll.unwrap_or(POLL_INTERVAL))
    }

    fn head_moved(&mut self, repository: &RepositoryName, stage: &StageName, seen: &HeadSeen, first_sight: bool) {
        let before = self.system.head(repository, stage);
        let mut set = before.map(|head| head.set.clone()).unwrap_or_default();
        let mut origin = before.map(|head| head.origin.clone()).unwrap_or_default();
        if seen.forced {
            // What is pinned now is what somebody chose; of what it was made is not known.
            origin.pinned.clear();
        }
        let (here, mut by) = (Place { repository: repository.clone(), stage: stage.clone() }, None);
        let watched = self.system.repositories.get(repository);
        let gone = watched.and_then(|watched| watched.gone.get(stage)).cloned();
        let (mut hotfix, mut stands_on) = (None, before.map(|head| head.commit.clone()).or(gone));
        let (mut written, mut stood_on) = (Written::default(), Vec::from_iter(stands_on.clone()));
        let (mut taken, mut ours) = (Taken::new(), BTreeSet::new());
        for key in &seen.keys {
            let made = self.made_under(key, repository);
            let shown = self.shown(key);
            // It is ours, and of what it brought nothing is known any more.
            written.others_wrote |= made.is_none() && shown.is_none();
            stood_on.extend(made.clone());
            stands_on = made.or(stands_on);
            let Some((place, brought)) = shown else { continue };
            join(&mut taken, &brought.taken);
            if place == here {
                (by, hotfix) = (Some(brought.by), brought.hotfix);
                self.move_shown(key, &here, &seen.commit);
            }
            match brought.pinned.filter(|_| place == here) {
                Some((pinner, lineage)) => {
                    set.extend(brought.set);
                    ours.insert(pinner.clone());
                    origin.pinned.insert(pinner, lineage);
                }
                // A merge, by a promotion or by hand: its pins are of another stage.
                None => origin.pinned.clear(),
            }
        }
        if !seen.authors.is_empty() || seen.others_wrote || seen.keys.is_empty() {
            written.authors.insert(seen.author.clone());
            written.authors.extend(seen.authors.iter().cloned());
            written.others_wrote |= seen.others_wrote;
            // What others pushed with it was not marked.
            hotfix = None;
        }
        if let Some(hotfix) = hotfix {
            self.mark_commit(&seen.commit, &hotfix);
        }
        self.remember_push(&seen.commit, stands_on.as_ref().filter(|_| !seen.forced));
        self.pins_seen(&here, seen, &ours, &mut origin);
        self.takes_in_commits(&seen.commit, &stood_on);
        self.takes_in(&seen.commit, &taken);
        if written != Written::default() {
            self.remember_written(&here, &seen.commit, written);
        }
        let mut head = Head {
            commit: seen.commit.clone(),
            order: self.seq,
            since_ms: self.at_ms,
            author: seen.author.clone(),
            subject: seen.subject.clone(),
            set,
            by,
            forced: seen.forced,
            origin,
        };
        head.agree_with_lineages(repository);
        self.set_head(repository, stage, head);
        if !first_sight {
            self.pushed(repository, stage, seen.changed.as_deref());
        }
    }

    /// One of our own commits became the head: taken in at once, without waiting for a watch to see it. When the head
    /// known is not the commit's parent, others pushed as well, and the watch will tell in which order.
    pub(super) fn head_made(&mut self, made: MadeHead<'_>) {
        let MadeHead { place: Place { repository, stage }, commit, parent, subject, by: (number, step), changed } =
            made;
        let known = self.system.head(repository, stage);
        if known.is_some_and(|known| known.commit == *commit) {
            return; // A watch was faster.
        }
        let Some(before) = known.filter(|known| known.commit == *parent).cloned() else {
            self.keep_unseen(number, step);
            return;
        };
        let brought = self.brought(self.run(number), step);
        let (mut set, mut origin) = (before.set, before.origin);
        set.extend(brought.set);
        match brought.pinned {
            Some((pinner, lineage)) => drop(origin.pinned.insert(pinner, lineage)),
            None => origin.pinned.clear(),
        }
        let hotfix = brought.hotfix;
        let mut head = Head {
            commit: commit.clone(),
            order: self.seq,
            since_ms: self.at_ms,
            author: "Tidegate".to_owned(),
            subject,
            set,
            by: Some(brought.by),
            forced: false,
            origin,
        };
        head.agree_with_lineages(repository);
        if let Some(hotfix) = hotfix {
            self.mark_commit(commit, &hotfix);
        }
        self.set_head(repository, stage, head);
        self.pushed(repository, stage, changed);
    }

    /// A commit step found its pins as it would have set them: the head stays, and is now known to be of what the run is of.
    pub(super) fn head_confirmed(&mut self, place: &Place, head: &CommitId, number: u64, step: &StepId) {
        let brought = self.brought(self.run(number), step);
        let known = self.system.head(&place.repository, &place.stage).filter(|known| known.commit == *head);
        let Some(mut known) = known.cloned() else { return };
        known.set.extend(brought.set);
        known.origin.pinned.extend(brought.pinned);
        known.agree_with_lineages(&place.repository);
        self.set_head(&place.repository, &place.stage, known);
        self.lineage_changed(place);
    }

    /// Sets the head of a place, or what is known of it.
    pub(super) fn set_head(&mut self, repository: &RepositoryName, stage: &StageName, head: Head) {
        let head = Box::new(head);
        self.record_repository(repository, RepositoryFact::HeadSet { stage: stage.clone(), head });
    }

    /// A head moved: starts the rules that its push triggers, or keeps that for later while a promotion moves the stage's
    /// repositories one after the other, so that no run sees half of a set.
    fn pushed(&mut self, repository: &RepositoryName, stage: &StageName, changed: Option<&[String]>) {
        if self.promotion_moves(stage) {
            return self.hold_push(repository, stage, changed);
        }
        let Some(rules) = self.system.rules().cloned() else { return };
        let Some(mut head) = self.system.head(repository, stage).cloned() else { return };
        let cause = Cause::Push { author: head.author.clone(), subject: head.subject.clone(), by: head.by.clone() };
        let wanted = |rule: &&Rule| {
            let by_paths = |changed| rule.on.paths.is_empty() || matches_any(&rule.on.paths, changed);
            rule.on.push.as_ref() == Some(repository) && rule.is_for(stage) && changed.is_none_or(by_paths)
        };
        let started: Vec<&RuleName> =
            rules.rules.iter().filter(|(_, rule)| wanted(rule)).map(|(name, _)| name).collect();
        if started.is_empty() {
            return;
        }
        for name in &started {
            let point = Point { commit: head.commit.clone(), order: head.order };
            head.origin.wanted.insert((*name).clone(), point);
        }
        self.set_head(repository, stage, head);
        for name in started {
            self.make_run(&Subject::Rule(name.clone()), stage, cause.clone());
        }
    }

    /// Keeps a push for later, with the paths of all that were kept before.
    fn hold_push(&mut self, repository: &RepositoryName, stage: &StageName, changed: Option<&[String]>) {
        let is_held = self.system.held.get(stage).is_some_and(|held| held.contains(repository));
        let before = self.system.held_paths.get(stage).and_then(|paths| paths.get(repository)).cloned();
        let before = if is_held { before } else { Some(BTreeSet::new()) };
        let paths = before.zip(changed).map(|(mut all, changed)| {
            all.extend(changed.iter().cloned());
            all
        });
        let paths = paths.filter(|all| all.len() <= MOST_HELD_PATHS);
        self.record_stage(stage, StageFact::PushHeld { repository: repository.clone(), paths });
    }

    /// A promotion into the stage is over: starts what its merges, and pushes meanwhile, would have started.
    pub(super) fn release_held(&mut self, stage: &StageName) {
        let Some(held) = self.system.held.get(stage).cloned() else { return };
        let mut paths = self.system.held_paths.get(stage).cloned().unwrap_or_default();
        self.record_stage(stage, StageFact::PushesReleased);
        for repository in held {
            let changed: Option<Vec<String>> = paths.remove(&repository).map(|changed| changed.into_iter().collect());
            self.pushed(&repository, stage, changed.as_deref());
        }
    }

    /// The merges of a promotion belong together: each of their heads is of the whole set, but for its own commit, which
    /// may have moved on.
    pub(super) fn join_heads(&mut self, stage: &StageName, merged: &CommitSet) {
        for repository in merged.keys() {
            if let Some(mut head) = self.system.head(repository, stage).cloned() {
                head.set.extend(merged.clone());
                head.set.insert(repository.clone(), head.commit.clone());
                self.set_head(repository, stage, head);
            }
        }
    }
}

/// A head that a step of ours made.
pub(super) struct MadeHead<'made> {
    pub(super) place: &'made Place,
    pub(super) commit: &'made CommitId,
    pub(super) parent: &'made CommitId,
    pub(super) subject: String,
    /// The number of the run, and its step.
    pub(super) by: (u64, &'made StepId),
    /// The paths that it changed; `None` when any may have.
    pub(super) changed: Option<&'made [String]>,
}
