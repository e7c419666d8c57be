//! Heads: what the watches see, what our own commits make, and which rules that starts.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    content::{CommitSet, PinsSeen},
    effect::Effect,
    event::{HeadSeen, TagsSeen, Unread},
    fact::{RepositoryFact, StageFact},
    ids::{CommitId, PinnerId, Place},
    origin::{Origin, Pins, Wanted, pinned},
    provenance::{not_known_any_more, set_of},
    run::{Cause, Subject},
    shared::Shared,
    state::{FirstSeen, Head, Unreachable},
    turn::Turn,
};
use crate::rules::{RepositoryName, Rule, Span, StageName, StepId};

/// How often a repository is looked at when its rules do not say.
pub(super) const POLL_INTERVAL: Span = Span::from_secs(10);
/// How many changed paths are kept of pushes that wait; more of them match every filter.
const MOST_HELD_PATHS: usize = 4_000;

impl Turn<'_> {
    /// A watch found heads that differ from those known. A head that we made ourselves since the watch was asked for may be
    /// newer than what it saw: it says nothing of that stage, and another looks at once.
    pub(super) fn heads_seen(
        &mut self,
        repository: &RepositoryName,
        heads: &BTreeMap<StageName, Option<HeadSeen>>,
        unread: &BTreeMap<StageName, Unread>,
        tags: Option<&TagsSeen>,
    ) {
        let Some(watched) = self.system.repositories.get(repository) else { return };
        let asked = watched.asked;
        self.lost_runs(repository, heads);
        let Some(watched) = self.system.repositories.get(repository) else { return };
        if watched.unreachable.is_some() {
            self.record_repository(repository, RepositoryFact::Reached);
        }
        let Some(rules) = self.system.rules().cloned() else { return };
        self.branches_unread(repository, heads, unread);
        let mut doubtful = false;
        for (stage, seen) in heads.iter().filter(|(stage, _)| rules.stages.contains_key(*stage)) {
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
            let known = known.map(|head| head.commit.clone());
            if seen.as_ref().is_some_and(|seen| known.as_ref() == Some(&seen.commit)) {
                self.lower_floor(&Place { repository: repository.clone(), stage: stage.clone() }, asked);
            }
            match seen {
                Some(seen) if known.as_ref() != Some(&seen.commit) => {
                    self.head_moved(repository, stage, seen, first_sight)
                }
                Some(_) => {}
                None if known.is_some() => {
                    self.record_repository(repository, RepositoryFact::HeadGone { stage: stage.clone() });
                }
                None => {}
            }
        }
        if let Some(tags) = tags {
            self.tags_seen(repository, tags);
        }
        self.watch_again(repository, doubtful);
    }

    /// Notes which branches cannot be read, and which can again. The others go on.
    fn branches_unread(
        &mut self,
        repository: &RepositoryName,
        heads: &BTreeMap<StageName, Option<HeadSeen>>,
        unread: &BTreeMap<StageName, Unread>,
    ) {
        let known = self.system.repositories.get(repository).map(|watched| watched.unread.clone()).unwrap_or_default();
        for stage in known.keys().filter(|stage| heads.contains_key(*stage)) {
            self.record_repository(repository, RepositoryFact::Read { stage: stage.clone() });
        }
        let has = |stage: &StageName| self.system.rules().is_some_and(|rules| rules.stages.contains_key(stage));
        let news = unread.iter().filter(|(stage, unread)| has(stage) && known.get(*stage) != Some(unread));
        for (stage, unread) in news.map(|(stage, unread)| (stage.clone(), unread.clone())).collect::<Vec<_>>() {
            self.record_repository(repository, RepositoryFact::Unread { stage, unread });
        }
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
            let nudged = self.system.repositories.get(repository).is_some_and(|watched| watched.nudged);
            let wait_ms = if at_once || nudged { 0 } else { interval.as_ms() };
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
        let here = Place { repository: repository.clone(), stage: stage.clone() };
        let before = self.system.head(repository, stage);
        let (set, origin) = before.map(|head| (head.set.clone(), head.origin.clone())).unwrap_or_default();
        let mut made = None;
        for key in &seen.keys {
            let Some((run, step)) = self.system.step_of_key(key) else { continue };
            if step.task.writes_to() == Some(repository) && run.stage == *stage {
                made = Some((run.id.clone(), run.hotfix.clone()));
            }
        }
        let (by, mut hotfix) = made.unzip();
        if !seen.authors.is_empty() || seen.others_wrote || seen.keys.is_empty() {
            // What others pushed with it was not marked.
            hotfix = None;
        }
        if let Some(hotfix) = hotfix.flatten() {
            self.mark_commit(&seen.commit, &hotfix);
        }
        self.first_seen(&here, &seen.commit);
        if !first_sight {
            self.pins_seen(&here, &seen.pins, &origin);
        }
        let head = Head {
            commit: seen.commit.clone(),
            order: self.seq,
            since_ms: self.at_ms,
            author: seen.author.clone(),
            subject: seen.subject.clone(),
            set,
            by,
            forced: seen.forced,
            origin: Origin { pinned: pinned(&seen.pins), wanted: origin.wanted.clone() }.into(),
        };
        let head = if first_sight { head } else { self.wanted_by_rules(&here, head, seen.changed.as_deref()) };
        self.new_head(&here, head);
        for key in &seen.keys {
            self.move_shown(key, &here, &seen.commit);
        }
        if !first_sight {
            self.pushed(repository, stage, seen.changed.as_deref());
        }
        self.workflows_caught_up(&here, &seen.commit);
    }

    /// One of our own commits became the head: taken in at once, without waiting for a watch to see it. When the head
    /// known is not the commit's parent, others pushed as well, and the watch will tell in which order.
    pub(super) fn head_made(&mut self, made: MadeHead<'_>) {
        let MadeHead { place, commit, parent, subject, by: (number, _), changed, wrote, pins } = made;
        let known = self.system.head(&place.repository, &place.stage);
        if known.is_some_and(|known| known.commit == *commit) {
            return; // A watch was faster.
        }
        let Some(before) = known.filter(|known| known.commit == *parent) else { return };
        let (by, hotfix) = (self.run(number).id.clone(), self.run(number).hotfix.clone());
        let mut origin = before.origin.clone();
        if let Some(pins) = pins {
            origin.pinned = pinned(pins);
        }
        if let Some((pinner, pins)) = wrote {
            // Another step may pin at the very place.
            let at_place =
                |known: &&mut Shared<Pins>| known.file == pins.file && known.values.keys().eq(pins.values.keys());
            origin.pinned.values_mut().filter(at_place).for_each(|known| *known = pins.clone());
            origin.pinned.insert(pinner, pins);
        }
        let set = before.set.clone();
        if let Some(hotfix) = hotfix {
            self.mark_commit(commit, &hotfix);
        }
        let head = Head {
            commit: commit.clone(),
            order: self.seq,
            since_ms: self.at_ms,
            author: "Tidegate".to_owned(),
            subject: subject.to_owned(),
            set,
            by: Some(by),
            forced: false,
            origin,
        };
        let head = self.wanted_by_rules(place, head, changed);
        self.new_head(place, head);
        self.pushed(&place.repository, &place.stage, changed);
        self.workflows_caught_up(place, commit);
    }

    /// Notes in a new head which rules its push is for: they make something new of it. `changed` are the paths of the push,
    /// none where any may have changed.
    fn wanted_by_rules(&self, place: &Place, mut head: Head, changed: Option<&[String]>) -> Head {
        let wanted = Wanted { commit: head.commit.clone(), order: head.order };
        let rules = self.system.rules().into_iter().flat_map(|rules| &rules.rules);
        for (name, _) in rules.filter(|(_, rule)| is_for_push(rule, place, changed)) {
            head.origin.wanted.insert(name.clone(), wanted.clone());
        }
        head
    }

    /// What a branch was at when it was first seen is what its stage is compared with until something is verified.
    fn first_seen(&mut self, here: &Place, commit: &CommitId) {
        let watched = self.system.repositories.get(&here.repository);
        if watched.is_some_and(|watched| !watched.first.contains_key(&here.stage)) {
            let first = FirstSeen { commit: commit.clone(), order: self.seq };
            self.record_repository(&here.repository, RepositoryFact::FirstSeen { stage: here.stage.clone(), first });
        }
    }

    /// Makes a commit the head, with the commits that its pins say led to it.
    fn new_head(&mut self, place: &Place, mut head: Head) {
        let mut before = std::mem::take(&mut head.set);
        for repository in not_known_any_more(&self.system, place, &head.origin) {
            before.remove(&repository);
        }
        head.set = set_of(&self.system, place, &head, before);
        self.set_head(&place.repository, &place.stage, head);
    }

    /// Sets the head of a place, or what is known of it.
    pub(super) fn set_head(&mut self, repository: &RepositoryName, stage: &StageName, head: Head) {
        let head = head.into();
        self.record_repository(repository, RepositoryFact::HeadSet { stage: stage.clone(), head });
    }

    /// A head moved: starts the rules that its push triggers, or keeps that for later while a promotion moves the stage's
    /// repositories one after the other, so that no run sees half of a set.
    fn pushed(&mut self, repository: &RepositoryName, stage: &StageName, changed: Option<&[String]>) {
        if self.promotion_moves(stage) {
            return self.hold_push(repository, stage, changed);
        }
        let Some(rules) = self.system.rules().cloned() else { return };
        let Some(head) = self.system.head(repository, stage) else { return };
        let cause = Cause::Push { author: head.author.clone(), subject: head.subject.clone(), by: head.by.clone() };
        let place = Place { repository: repository.clone(), stage: stage.clone() };
        for (name, _) in rules.rules.iter().filter(|(_, rule)| is_for_push(rule, &place, changed)) {
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
                for (repository, commit) in merged {
                    head.set.insert(repository.clone(), commit.clone());
                }
                head.set.insert(repository.clone(), head.commit.clone());
                self.set_head(repository, stage, head);
            }
        }
    }
}

/// Whether a push to a place starts a rule.
fn is_for_push(rule: &Rule, place: &Place, changed: Option<&[String]>) -> bool {
    let by_paths = |changed| rule.on.paths.match_any(changed);
    rule.on.push.as_ref() == Some(&place.repository) && rule.is_for(&place.stage) && changed.is_none_or(by_paths)
}

/// A head that a step of ours made.
pub(super) struct MadeHead<'made> {
    pub(super) place: &'made Place,
    pub(super) commit: &'made CommitId,
    pub(super) parent: &'made CommitId,
    pub(super) subject: &'made str,
    /// The number of the run, and its step.
    pub(super) by: (u64, &'made StepId),
    /// The paths that it changed; `None` when any may have.
    pub(super) changed: Option<&'made [String]>,
    /// What a commit step pinned.
    pub(super) wrote: Option<(PinnerId, Shared<Pins>)>,
    /// All that is pinned in it, where the step read that.
    pub(super) pins: Option<&'made [PinsSeen]>,
}
