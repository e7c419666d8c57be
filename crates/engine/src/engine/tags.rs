//! Tags that start rules. A tag is of no branch: in each stage it starts its rules as soon as that stage's branch has the
//! commit that it names, so that nothing is deployed in a stage that was not pushed or promoted to it. A commit that a tag has
//! named before is no news, whatever answers late.

use std::collections::BTreeSet;

use super::{
    event::{TagIn, TagsSeen},
    fact::RepositoryFact,
    ids::{CommitId, Place},
    origin::{Origin, pinned},
    provenance::set_of,
    refused::Refused,
    run::{Cause, Run, Subject},
    state::{AwaitedTag, Head, System, Tags},
    turn::Turn,
};
use crate::rules::{RepositoryName, RuleName, Rules, StageName};

/// How many commits of one tag are remembered: of one that is moved often, as `latest` is.
const MOST_NAMED: usize = 8;
/// How many tags are waited for in one repository; of more, the oldest are given up.
const MOST_AWAITED: usize = 100;

impl Turn<'_> {
    /// A look says what is new of the tags. What only a new pattern finds is not new.
    pub(super) fn tags_seen(&mut self, repository: &RepositoryName, seen: &TagsSeen) {
        let Some(rules) = self.system.rules().cloned() else { return };
        let known = self.tags_of(repository);
        if known.error != seen.error {
            self.record_repository(repository, RepositoryFact::TagsUnread { error: seen.error.clone() });
        }
        let asked_before = |tag: &str| {
            let asking = rules.rules.values().filter(|rule| rule.on.is_for_tag(repository, tag));
            asking.into_iter().any(|rule| known.patterns.contains(pattern_of(&rule.on)))
        };
        let is_first = self.system.repositories.get(repository).is_some_and(|watched| watched.tags.is_none());
        let (news, older): (Vec<_>, Vec<_>) =
            seen.new.iter().partition(|(tag, _)| !is_first && (known.known.contains_key(*tag) || asked_before(tag)));
        if seen.error.is_none() && (is_first || known.patterns != seen.patterns || !older.is_empty()) {
            let tags = older.into_iter().map(|(tag, commit)| (tag.clone(), commit.clone())).collect();
            let patterns = Some(seen.patterns.clone());
            self.record_repository(repository, RepositoryFact::TagsKnown { patterns, tags });
        }
        for (tag, commit) in news {
            self.tagged(&rules, repository, tag, commit);
        }
        for within in &seen.within {
            self.tag_is_within(&rules, repository, within);
        }
    }

    /// Forgets the tags of repositories of which no rule asks for any.
    pub(super) fn forget_tags(&mut self, rules: &Rules) {
        let is_asked = |name: &RepositoryName| rules.rules.values().any(|rule| rule.on.tag.as_ref() == Some(name));
        let known = self.system.repositories.iter().filter(|(name, watched)| watched.tags.is_some() && !is_asked(name));
        for name in known.map(|(name, _)| name.clone()).collect::<Vec<_>>() {
            let forgotten = RepositoryFact::TagsKnown { patterns: None, tags: Default::default() };
            self.record_repository(&name, forgotten);
        }
    }

    fn tags_of(&self, repository: &RepositoryName) -> Tags {
        let tags = self.system.repositories.get(repository).and_then(|watched| watched.tags.as_deref());
        tags.cloned().unwrap_or_default()
    }

    /// A tag names another commit than ever before: it waits for every stage in which it starts a rule.
    fn tagged(&mut self, rules: &Rules, repository: &RepositoryName, tag: &str, commit: &CommitId) {
        let mut known = self.tags_of(repository);
        let mut commits = known.known.remove(tag).unwrap_or_default();
        if commits.contains(commit) {
            return;
        }
        commits.push(commit.clone());
        let surplus = commits.len().saturating_sub(MOST_NAMED);
        commits.drain(..surplus);
        self.record_repository(repository, RepositoryFact::Tagged { tag: tag.to_owned(), commits });
        let stages = rules.rules.values().filter(|rule| rule.on.is_for_tag(repository, tag));
        let stages = stages.flat_map(|rule| rules.stages.keys().filter(|stage| rule.is_for(stage)).cloned());
        self.await_tag(
            repository,
            AwaitedTag { tag: tag.to_owned(), commit: commit.clone(), stages: stages.collect() },
        );
        let surplus = self.tags_of(repository).awaited;
        for given_up in surplus.iter().take(surplus.len().saturating_sub(MOST_AWAITED)) {
            self.await_tag(repository, AwaitedTag { stages: BTreeSet::new(), ..given_up.clone() });
        }
    }

    fn await_tag(&mut self, repository: &RepositoryName, awaited: AwaitedTag) {
        self.record_repository(repository, RepositoryFact::TagAwaited(awaited));
    }

    /// A stage's branch has the commit of a tag: starts what waits for that. While a set moves through the stage it waits on.
    fn tag_is_within(&mut self, rules: &Rules, repository: &RepositoryName, within: &TagIn) {
        let TagIn { tag, stage, commit, author, subject, pins } = within;
        let mut awaited = self.tags_of(repository).awaited.into_iter();
        let Some(mut awaited) = awaited.find(|awaited| awaited.tag == *tag && awaited.commit == *commit) else {
            return;
        };
        if !awaited.stages.contains(stage) || self.promotion_moves(stage) {
            return;
        }
        awaited.stages.remove(stage);
        self.await_tag(repository, awaited);
        let here = Place { repository: repository.clone(), stage: stage.clone() };
        self.pins_seen(&here, pins, &Origin::default());
        let head = match self.system.head(repository, stage) {
            Some(head) if head.commit == *commit => head.clone(),
            Some(_) | None => {
                let mut head = Head {
                    commit: commit.clone(),
                    // It was the head at a time that nobody has noted: everything that is known is newer.
                    order: 0,
                    since_ms: self.at_ms,
                    author: author.clone(),
                    subject: subject.clone(),
                    set: Default::default(),
                    by: None,
                    forced: false,
                    origin: Origin { pinned: pinned(pins), ..Origin::default() }.into(),
                };
                head.set = set_of(&self.system, &here, &head, Default::default());
                head
            }
        };
        let starts = rules.rules.iter().filter(|(_, rule)| rule.on.is_for_tag(repository, tag) && rule.is_for(stage));
        for (name, _) in starts {
            let cause = Cause::Tag { tag: tag.clone() };
            self.make_run_of(&Subject::Rule(name.clone()), stage, cause, &head);
        }
    }

    /// What a run works on that somebody starts for a tag: what an earlier run for it worked on, or the head that it names.
    pub(super) fn head_of_tag(&self, name: &RuleName, stage: &StageName, tag: &str) -> Result<Head, Refused> {
        let rule = self.system.rules().and_then(|rules| rules.rules.get(name));
        let Some((rule, repository)) = rule.and_then(|rule| Some((rule, rule.on.tag.as_ref()?))) else {
            let hint = format!("start it without a tag: `tidegate run start {name} --stage {stage}`");
            return Err(Refused::unknown(format!("no tag starts {name}"), hint));
        };
        if !rule.on.is_for_tag(repository, tag) {
            let pattern = rule.on.pattern.as_ref().map_or("", |pattern| pattern.as_str());
            return Err(Refused::unknown(
                format!("`{tag}` does not match `{pattern}`, the pattern of {name}"),
                "name a tag that does",
            ));
        }
        let known = self.tags_of(repository).known;
        let Some(commit) = known.get(tag).and_then(|commits| commits.last()) else {
            return Err(Refused::unknown(
                format!("{repository} has no tag `{tag}` that has been seen"),
                "push it, or look at `tidegate status` for why it cannot be reached",
            ));
        };
        if let Some(head) = self.system.head(repository, stage).filter(|head| head.commit == *commit) {
            return Ok(head.clone());
        }
        let is_of_it = |run: &Run| {
            run.stage == *stage
                && run.source.as_ref().is_some_and(|source| source.commit == *commit)
                && run.tag().is_some()
        };
        let Some(run) = self.system.runs.values().rev().find(|run| is_of_it(run)) else {
            return Err(Refused::unknown(
                format!("what `{tag}` of {repository} holds is not remembered in {stage}"),
                format!("name it by a new tag: `git tag NAME {} && git push origin NAME`", commit.short()),
            ));
        };
        Ok(Head {
            commit: commit.clone(),
            order: run.source.as_ref().map_or(0, |source| source.order),
            since_ms: self.at_ms,
            author: String::new(),
            subject: String::new(),
            set: run.set.clone(),
            by: None,
            forced: false,
            origin: run.origin.clone(),
        })
    }
}

impl System {
    /// Whether a run is of a tag that names a commit which its stage has left behind: what it deploys was asked for, and is
    /// not what the stage is at.
    pub(super) fn is_of_older_tag(&self, run: &Run) -> bool {
        let source = run.source.as_ref().filter(|_| run.tag().is_some());
        source.is_some_and(|source| {
            self.head(&source.repository, &run.stage).is_none_or(|head| head.commit != source.commit)
        })
    }
}

/// The pattern of a rule's tags; empty where every tag starts it.
pub(super) fn pattern_of(on: &crate::rules::Trigger) -> &str {
    on.pattern.as_ref().map_or("", |pattern| pattern.as_str())
}
