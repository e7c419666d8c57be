//! What it takes to look at a repository, read from the state when the look is claimed: what is known of it, and what is asked.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{
    event::Unread,
    heads::POLL_INTERVAL,
    ids::{CommitId, PinnerId},
    leads,
    state::{Head, System, Tags, Watched},
};
use crate::rules::{Commit, RepositoryName, Rule, Rules, StageName, SystemName, TagPattern};

/// A repository whose heads are looked at until they differ from those known.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WatchWork {
    /// The system.
    pub system: SystemName,
    /// The repository.
    pub repository: RepositoryName,
    /// Where it is.
    pub url: String,
    /// The stages, in their order.
    pub stages: Vec<StageName>,
    /// Stage → its branch.
    pub branches: BTreeMap<StageName, String>,
    /// The heads known.
    pub known: BTreeMap<StageName, CommitId>,
    /// The heads that branches had which are no more.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub gone: BTreeMap<StageName, CommitId>,
    /// The commits that the state names: they stay in the mirror, whoever rewrites a branch.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub named: BTreeSet<CommitId>,
    /// The heads that could not be read when last tried, and why: only another head, or another reason, is news.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub unread: BTreeMap<StageName, Unread>,
    /// Whether every stage has been looked at before.
    pub seen: bool,
    /// Whether it could be reached when last tried; if not, only its return is news.
    pub reachable: bool,
    /// How often to look, in milliseconds.
    pub interval_ms: i64,
    /// Stage → what our commit steps pin there.
    #[serde(default)]
    pub pins: BTreeMap<StageName, Vec<PinPlace>>,
    /// The stages whose new commits must be signed by somebody who is listed.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub require_signatures: BTreeSet<StageName>,
    /// Its tags, where rules ask for them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<TagsWork>,
}

/// The tags that are looked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TagsWork {
    /// The pattern of each rule that asks for tags, and the stages in which it starts; every tag where there is none.
    pub wanted: Vec<(Option<TagPattern>, BTreeSet<StageName>)>,
    /// What is known of them; nothing before the first look at them.
    pub known: Option<Tags>,
}

impl TagsWork {
    /// The patterns by which it is looked for them, as [`Tags::patterns`] has them.
    #[must_use]
    pub fn patterns(&self) -> BTreeSet<String> {
        self.wanted.iter().map(|(pattern, _)| text_of(pattern.as_ref())).collect()
    }

    /// Whether it is looked for a tag.
    #[must_use]
    pub fn wants(&self, tag: &str) -> bool {
        self.wanted.iter().any(|(pattern, _)| pattern.as_ref().is_none_or(|pattern| pattern.matches(tag)))
    }

    /// The stages in which a tag that is new starts rules; in none where only a new pattern finds it.
    #[must_use]
    pub fn stages(&self, tag: &str) -> BTreeSet<StageName> {
        let Some(known) = &self.known else { return BTreeSet::new() };
        let matching = self.wanted.iter().filter(|(pattern, _)| pattern.as_ref().is_none_or(|of| of.matches(tag)));
        let matching: Vec<_> = matching.collect();
        let asked_before = |pattern: &Option<TagPattern>| known.patterns.contains(&text_of(pattern.as_ref()));
        let is_news = known.known.contains_key(tag) || matching.iter().any(|(pattern, _)| asked_before(pattern));
        matching.into_iter().filter(|_| is_news).flat_map(|(_, stages)| stages.clone()).collect()
    }
}

fn text_of(pattern: Option<&TagPattern>) -> String {
    pattern.map_or_else(String::new, |pattern| pattern.as_str().to_owned())
}

/// Where a commit step pins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinPlace {
    /// The step.
    pub pinner: PinnerId,
    /// The file.
    pub file: String,
    /// The JSON pointers.
    pub pointers: Vec<String>,
}

/// What it takes to look at a repository.
pub(super) fn watch_work(system: &System, rules: &Rules, name: &RepositoryName) -> Result<WatchWork, String> {
    let repository = rules.repositories.get(name).ok_or_else(|| format!("the rules have no repository {name}"))?;
    let watched = system.repositories.get(name).ok_or_else(|| format!("{name} is not watched"))?;
    Ok(WatchWork {
        system: rules.system.clone(),
        repository: name.clone(),
        url: repository.url.clone(),
        stages: rules.stages.keys().cloned().collect(),
        branches: rules.stages.keys().map(|stage| (stage.clone(), rules.branch(stage).to_owned())).collect(),
        known: watched
            .heads
            .iter()
            .map(|(stage, head)| (stage.clone(), last_known(system, name, stage, head)))
            .collect(),
        gone: watched.gone.clone(),
        named: system.named_commits(name),
        unread: watched.unread.clone(),
        seen: rules.stages.keys().all(|stage| watched.seen.contains(stage) || watched.unread.contains_key(stage)),
        reachable: watched.unreachable.is_none(),
        interval_ms: repository.poll.unwrap_or(POLL_INTERVAL).as_ms(),
        pins: rules.stages.keys().map(|stage| (stage.clone(), pin_places(rules, stage, name))).collect(),
        require_signatures: repository.require_signatures.iter().cloned().collect(),
        tags: tags_work(rules, name, watched),
    })
}

fn tags_work(rules: &Rules, name: &RepositoryName, watched: &Watched) -> Option<TagsWork> {
    let asking = rules.rules.values().filter(|rule| rule.on.tag.as_ref() == Some(name));
    let of = |rule: &Rule| {
        let stages = rules.stages.keys().filter(|stage| rule.is_for(stage)).cloned();
        (rule.on.pattern.clone(), stages.collect())
    };
    let wanted: Vec<_> = asking.map(of).collect();
    let known = watched.tags.as_deref().cloned();
    (!wanted.is_empty()).then_some(TagsWork { wanted, known })
}

/// The newest commit that is known of a branch: its head, or what a step of ours has put there since.
fn last_known(system: &System, repository: &RepositoryName, stage: &StageName, head: &Head) -> CommitId {
    let moved = system.moved.get(stage).and_then(|moved| moved.get(repository));
    moved.filter(|moved| moved.order > head.order).map_or(&head.commit, |moved| &moved.commit).clone()
}

/// Where rules pin in a repository, in a stage.
pub(super) fn pin_places(rules: &Rules, stage: &StageName, repository: &RepositoryName) -> Vec<PinPlace> {
    let all = rules.rules.iter().flat_map(|(name, rule)| {
        leads::commits(rule, stage).map(move |(step, commit)| (PinnerId::of(name, &step), commit))
    });
    let here = all.filter(|(_, commit)| commit.repository == *repository);
    let place = |(pinner, commit): (PinnerId, &Commit)| PinPlace {
        pinner,
        file: commit.file.clone(),
        pointers: commit.set.keys().cloned().collect(),
    };
    here.map(place).collect()
}
