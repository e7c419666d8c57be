//! What is new of the tags that start rules: which there are, and in which stages their commits are.

use std::collections::{BTreeMap, BTreeSet};

use super::pins::{Compared, pins_of};
use crate::{
    engine::{AwaitedTag, CommitId, HeadSeen, TagIn, TagsSeen, TagsWork, WatchWork},
    providers::{Fault, git::Mirror},
    rules::{StageName, printable_line},
};

/// How many tags of a repository may match: all of them are remembered.
const MOST_TAGS: usize = 10_000;
/// How many tags that may start something are taken in by one look; the next takes the others.
const MOST_NEW: usize = 50;

/// The tags of one look.
pub(super) struct Tags<'work> {
    asked: &'work TagsWork,
    /// Those that are new, or name another commit than ever before.
    new: BTreeMap<String, CommitId>,
    /// How many match.
    count: usize,
}

impl<'work> Tags<'work> {
    pub(super) fn of(asked: &'work TagsWork, there: &BTreeMap<String, String>) -> Self {
        // What shows otherwise than it is has no place in anybody's terminal.
        let wanted = there.iter().filter(|(tag, _)| asked.wants(tag) && printable_line(tag) == **tag);
        let known = |tag: &str| asked.known.as_ref().and_then(|known| known.known.get(tag));
        let (mut new, mut news, mut count) = (BTreeMap::new(), 0, 0);
        for (tag, commit) in wanted {
            count += 1;
            if known(tag).is_some_and(|named| named.iter().any(|of| of.as_str() == commit)) {
                continue;
            }
            // Those that are older than their pattern are taken in at once, or the next look would take them for news.
            let is_news = known(tag).is_some() || !asked.stages(tag).is_empty();
            news += usize::from(is_news);
            if !is_news || news <= MOST_NEW {
                new.insert(tag.clone(), CommitId::new(commit.as_str()));
            }
        }
        Self { asked, new, count }
    }

    /// Whether there is something that the engine does not know.
    pub(super) fn is_news(&self) -> bool {
        let Some(known) = &self.asked.known else { return true };
        if self.count > MOST_TAGS {
            return known.error.is_none();
        }
        !self.new.is_empty() || known.patterns != self.asked.patterns() || known.error.is_some()
    }

    /// Whether tags wait for a stage to have their commit.
    pub(super) fn are_awaited(&self) -> bool {
        self.asked.known.as_ref().is_some_and(|known| !known.awaited.is_empty())
    }

    /// What is news; nothing where none is.
    pub(super) async fn seen(
        self,
        work: &WatchWork,
        mirror: &Mirror,
        heads: &BTreeMap<StageName, Option<HeadSeen>>,
    ) -> Result<Option<TagsSeen>, Fault> {
        let is_news = self.is_news();
        if self.count > MOST_TAGS {
            let error = format!(
                "{} tags of {} match, and {MOST_TAGS} are the most: narrow `pattern`",
                self.count, work.repository
            );
            let seen = TagsSeen { patterns: self.asked.patterns(), error: Some(error), ..TagsSeen::default() };
            return Ok(is_news.then_some(seen));
        }
        let mut seen = TagsSeen { patterns: self.asked.patterns(), ..TagsSeen::default() };
        for AwaitedTag { tag, commit, stages } in self.awaited() {
            for stage in stages {
                let head = heads.get(&stage).and_then(Option::as_ref).map(|head| &head.commit);
                match within(work, mirror, (&tag, &commit), (&stage, head)).await {
                    Ok(within) => seen.within.extend(within),
                    Err(Fault::Fail { error, .. }) => {
                        // One tag that cannot be read hides no branch and no other tag.
                        let (system, repository) = (&work.system, &work.repository);
                        tracing::warn!(%system, %repository, tag, %stage, error, "a tag cannot be read, and starts nothing");
                    }
                    Err(passing) => return Err(passing),
                }
            }
        }
        seen.new = self.new;
        Ok((is_news || !seen.within.is_empty()).then_some(seen))
    }

    /// The tags that wait for a stage, those that are new among them.
    fn awaited(&self) -> Vec<AwaitedTag> {
        let known = self.asked.known.iter().flat_map(|known| &known.awaited);
        // What a tag named before it was moved is not waited for any more.
        let known = known.filter(|awaited| !self.new.contains_key(&awaited.tag)).cloned();
        let new = self.new.iter().map(|(tag, commit)| {
            let stages: BTreeSet<StageName> = self.asked.stages(tag);
            AwaitedTag { tag: tag.clone(), commit: commit.clone(), stages }
        });
        known.chain(new.filter(|awaited| !awaited.stages.is_empty())).collect()
    }
}

/// A tag in a stage, where the head of the stage's branch has its commit.
async fn within(
    work: &WatchWork,
    mirror: &Mirror,
    (tag, commit): (&str, &CommitId),
    (stage, head): (&StageName, Option<&CommitId>),
) -> Result<Option<TagIn>, Fault> {
    let Some(head) = head else { return Ok(None) };
    // What the mirror does not have is in no branch that it follows.
    if !mirror.parted([&commit.to_string()]).await?.1.is_empty() {
        return Ok(None);
    }
    if commit != head && !mirror.is_ancestor(commit.as_str(), head.as_str()).await? {
        return Ok(None);
    }
    let info = mirror.commit_info(commit.as_str()).await?;
    Ok(Some(TagIn {
        tag: tag.to_owned(),
        stage: stage.clone(),
        commit: commit.clone(),
        author: printable_line(&format!("{} <{}>", info.author_name, info.author_email)),
        subject: printable_line(&info.subject),
        pins: pins_of(work, mirror, stage, Compared::Alone, commit.as_str()).await?,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{engine::Tags as Known, rules::TagPattern};

    fn there(prefix: &str, count: usize) -> impl Iterator<Item = (String, String)> {
        (0..count).map(move |number| (format!("{prefix}{number:03}"), "1".repeat(40)))
    }

    #[test]
    fn tags_that_are_older_than_their_pattern_are_taken_in_at_once_and_news_by_and_by() {
        let dev = BTreeSet::from([StageName::new("dev").expect("a name")]);
        let wanted = ["v.*", "w.*"].map(|pattern| (Some(TagPattern::from(pattern)), dev.clone())).to_vec();
        let named = |(tag, commit): (String, String)| (tag, vec![CommitId::new(commit)]);
        let known = Known {
            patterns: ["v.*".to_owned()].into(),
            known: there("vold", 7).map(named).collect(),
            ..Known::default()
        };
        let all: BTreeMap<_, _> = there("vold", 7).chain(there("vnew", 60)).chain(there("w", 300)).collect();
        let asked = TagsWork { wanted, known: Some(known) };
        let tags = Tags::of(&asked, &all);
        let of = |prefix: &str| tags.new.keys().filter(|tag| tag.starts_with(prefix)).count();
        assert_eq!((tags.count, of("vold"), of("vnew"), of("w")), (367, 0, MOST_NEW, 300));
        let first = TagsWork { known: None, ..asked.clone() };
        assert_eq!(Tags::of(&first, &all).new.len(), 367, "the first look starts nothing, and takes all");
        let hostile: BTreeMap<_, _> = [("v\u{1b}[2J".to_owned(), "1".repeat(40))].into();
        assert!(Tags::of(&asked, &hostile).new.is_empty());
    }
}
