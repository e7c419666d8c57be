//! What merges bring after rollbacks: as git would merge the same histories if nobody had rolled back, but reset the branch.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Output;

use git2::Oid;
use proptest::prelude::*;
use tidegate::providers::git::{MergeChange, Merged, RestoreChange, Restored};

use crate::git::{SOON, message, mirrors};
use crate::git_contents::{Story, next, stories};
use crate::support::repo::{TestRepo, hermetic_git};

/// The story's commits as they are and, of these, as if its branch had been reset.
struct Reset<'story> {
    story: &'story Story,
    branch: &'story str,
    /// Merges by hand above a rollback: git believed that they need not bring what was taken away.
    mute: BTreeSet<String>,
    holds: BTreeMap<String, BTreeSet<String>>,
    written: BTreeMap<String, Oid>,
}

fn parents(story: &Story, commit: &str) -> Vec<String> {
    let commit = story.repository.find_commit(Oid::from_str(commit).unwrap()).unwrap();
    commit.parent_ids().map(|id| id.to_string()).collect()
}

impl<'story> Reset<'story> {
    fn new(story: &'story Story, branch: &'story str, head: &str) -> Self {
        let (mute, holds, written) = Default::default();
        let mut reset = Self { story, branch, mute, holds, written };
        let mut line = vec![head.to_owned()];
        while let Some(before) =
            reset.restores(line.last().unwrap()).or_else(|| parents(story, line.last().unwrap()).into_iter().next())
        {
            line.push(before);
        }
        let mut gone: BTreeSet<String> = BTreeSet::new();
        for commit in line.iter().rev() {
            let parents = parents(story, commit);
            if reset.restores(commit).is_some() {
                gone.extend(reset.holds(&story.model.backs[commit].takes_away));
            } else if parents.len() > 1 && !story.model.is_ours(commit) {
                let held = reset.holds(&parents[0]);
                let brought: BTreeSet<String> = parents[1..].iter().flat_map(|other| reset.holds(other)).collect();
                if brought.intersection(&gone).any(|commit| !held.contains(commit)) {
                    reset.mute.insert(commit.clone());
                    reset.holds.clear();
                }
            }
        }
        reset
    }

    fn restores(&self, commit: &str) -> Option<String> {
        let back = self.story.model.backs.get(commit)?;
        (back.branch == self.branch).then(|| back.restores.clone())
    }

    fn parents(&self, commit: &str) -> Vec<String> {
        let mut parents = self.restores(commit).map_or_else(|| parents(self.story, commit), |restores| vec![restores]);
        if self.mute.contains(commit) {
            parents.truncate(1);
        }
        parents
    }

    fn holds(&mut self, commit: &str) -> BTreeSet<String> {
        if let Some(held) = self.holds.get(commit) {
            return held.clone();
        }
        let mut held = BTreeSet::from([commit.to_owned()]);
        for parent in self.parents(commit) {
            held.extend(self.holds(&parent));
        }
        self.holds.insert(commit.to_owned(), held.clone());
        held
    }

    /// The same commit above the same history, but for the rollbacks.
    fn write(&mut self, commit: &str) -> Oid {
        if let Some(written) = self.written.get(commit) {
            return *written;
        }
        let parents: Vec<Oid> = self.parents(commit).iter().map(|parent| self.write(parent)).collect();
        let tree = self.story.repository.find_commit(Oid::from_str(commit).unwrap()).unwrap().tree_id();
        let written = self.write_as(commit, tree, &parents);
        self.written.insert(commit.to_owned(), written);
        written
    }

    /// A commit with this tree and these parents, at the time of another.
    fn write_as(&self, like: &str, tree: Oid, parents: &[Oid]) -> Oid {
        let repository = &self.story.repository;
        let like = repository.find_commit(Oid::from_str(like).unwrap()).unwrap();
        let parents: Vec<_> = parents.iter().map(|id| repository.find_commit(*id).unwrap()).collect();
        let parents: Vec<_> = parents.iter().collect();
        let (who, tree) = (like.author(), repository.find_tree(tree).unwrap());
        repository.commit(None, &who, &like.committer(), &format!("As {}", like.id()), &tree, &parents).unwrap()
    }

    fn tree(&self, commit: &str) -> Oid {
        self.story.repository.find_commit(Oid::from_str(commit).unwrap()).unwrap().tree_id()
    }

    /// What is to come of a merge: nothing when it is there, a tree, or a conflict.
    fn expected(&mut self, change: &MergeChange, head: &str) -> Expected {
        let is_there = self.holds(head).contains(&change.source_commit);
        let (ours, source) = (self.write(head), &change.source_commit);
        let theirs = match &change.back_from {
            Some(newest) if is_there => {
                let newest = self.write(newest);
                self.write_as(source, self.tree(source), &[newest])
            }
            None if is_there => return Expected::There,
            _ => self.write(source),
        };
        let expected = merged(self.story, &[&ours.to_string(), &theirs.to_string()]);
        if is_there && expected == Expected::Tree(self.tree(head).to_string()) { Expected::There } else { expected }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Expected {
    There,
    Tree(String),
    Conflict,
}

fn git(directory: &Path, arguments: &[&str]) -> Output {
    hermetic_git(directory).args(arguments).output().unwrap()
}

fn merged(story: &Story, arguments: &[&str]) -> Expected {
    let merged = git(&story.remote.directory, &[&["merge-tree", "--write-tree", "--messages"], arguments].concat());
    let said = String::from_utf8_lossy(&merged.stdout);
    match merged.status.code() {
        Some(0) if !said.contains("CONFLICT") => Expected::Tree(said.lines().next().unwrap().to_owned()),
        Some(0 | 1) => Expected::Conflict,
        _ => panic!("{}", String::from_utf8_lossy(&merged.stderr)),
    }
}

fn found(story: &Story, merged: &Merged) -> Expected {
    match merged {
        Merged::Committed { commit } => {
            let commit = story.repository.find_commit(Oid::from_str(commit).unwrap()).unwrap();
            Expected::Tree(commit.tree_id().to_string())
        }
        Merged::AlreadyContained { .. } => Expected::There,
        Merged::Conflict { .. } => Expected::Conflict,
        Merged::AlreadyThere { .. } => panic!("{merged:?}"),
    }
}

/// A rollback takes away what is between the two commits, and leaves what was pushed on top.
fn expected_back(story: &Story, change: &RestoreChange, head: &str) -> Expected {
    let base = format!("--merge-base={}", change.from);
    let expected = merged(story, &[&base, head, &change.to]);
    let before = story.repository.find_commit(Oid::from_str(head).unwrap()).unwrap().tree_id();
    if expected == Expected::Tree(before.to_string()) { Expected::There } else { expected }
}

fn found_back(story: &Story, restored: &Restored) -> Expected {
    match restored {
        Restored::Committed { commit, .. } => found(story, &Merged::Committed { commit: commit.clone() }),
        Restored::NothingToChange { .. } => Expected::There,
        Restored::Conflict { .. } => Expected::Conflict,
        Restored::AlreadyThere { .. } => panic!("{restored:?}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: stories(24), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn merges_bring_what_they_would_had_branches_been_reset(steps in prop::collection::vec(next(), 4..32)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let told: Result<(), TestCaseError> = runtime.block_on(async {
            let mut story = Story::begin().await;
            for step in &steps {
                story.play(step).await;
                if let Some((change, head, merged)) = &story.merged {
                    let expected = Reset::new(&story, &change.branch, head).expected(change, head);
                    prop_assert_eq!(found(&story, merged), expected, "{:?} on {}", change, head);
                }
                if let Some((change, head, restored)) = &story.restored {
                    let expected = expected_back(&story, change, head);
                    prop_assert_eq!(found_back(&story, restored), expected, "{:?} on {}", change, head);
                }
            }
            Ok(())
        });
        told?;
    }
}

fn merge_of(source: &str, key: &str) -> MergeChange {
    let (source_commit, branch) = (source.to_owned(), "qa".to_owned());
    MergeChange { source_commit, branch, back_from: None, pins: Vec::new(), kept: Vec::new(), message: message(key) }
}

fn back(to: &str, from: &str, key: &str) -> RestoreChange {
    let (to, from, branch) = (to.to_owned(), from.to_owned(), "qa".to_owned());
    RestoreChange { to, from, branch, pins: Vec::new(), message: message(key) }
}

fn files(remote: &TestRepo, branch: &str) -> String {
    remote.git(&["ls-tree", "-r", "--name-only", branch])
}

/// dev has three versions, and qa was at the last and went back to the first.
async fn gone_back(root: &Path) -> (TestRepo, std::sync::Arc<tidegate::providers::git::Mirror>, Vec<String>) {
    let remote = TestRepo::with(root.join("image.git"), "dev", &[("text", "first\n")]);
    remote.set_branch("qa", &remote.head("dev").unwrap());
    let mirror = mirrors(root).mirror(&remote.url()).unwrap();
    let (mut sources, mut heads) = (Vec::new(), Vec::new());
    for version in ["1", "2", "3"] {
        sources.push(remote.commit("dev", version, &[(version, version)]));
        fetch(&mirror).await;
        if version != "2" {
            let merged = mirror.merge(&merge_of(&sources[sources.len() - 1], version), SOON).await.unwrap();
            let Merged::Committed { commit } = merged else { panic!("{merged:?}") };
            heads.push(commit);
        }
    }
    mirror.restore(&back(&heads[0], &heads[1], "back"), SOON).await.unwrap();
    assert_eq!(files(&remote, "qa"), "1\ntext");
    (remote, mirror, sources)
}

async fn fetch(mirror: &std::sync::Arc<tidegate::providers::git::Mirror>) {
    mirror.fetch(&["dev".to_owned(), "qa".to_owned()], SOON).await.unwrap();
}

#[tokio::test]
async fn after_a_rollback_and_an_older_version_the_newest_comes_as_well() {
    let root = tempfile::tempdir().unwrap();
    let (remote, mirror, sources) = gone_back(root.path()).await;
    mirror.merge(&merge_of(&sources[1], "second"), SOON).await.unwrap();
    assert_eq!(files(&remote, "qa"), "1\n2\ntext");
    let merged = mirror.merge(&merge_of(&sources[2], "third"), SOON).await.unwrap();
    assert!(matches!(merged, Merged::Committed { .. }), "{merged:?}");
    assert_eq!(files(&remote, "qa"), "1\n2\n3\ntext");
}

#[tokio::test]
async fn a_conflict_after_a_rollback_is_ended_by_the_merge_by_hand_that_is_asked_for() {
    let root = tempfile::tempdir().unwrap();
    let (remote, mirror, _) = gone_back(root.path()).await;
    let ours = remote.commit("qa", "Mend it in qa", &[("text", "of qa\n")]);
    let theirs = remote.commit("dev", "Mend it in dev", &[("text", "of dev\n")]);
    fetch(&mirror).await;
    let stopped = mirror.merge(&merge_of(&theirs, "stops"), SOON).await.unwrap();
    assert!(matches!(stopped, Merged::Conflict { .. }), "{stopped:?}");

    let by_hand = remote.git(&["commit-tree", "dev^{tree}", "-p", &theirs, "-p", &ours, "-m", "By hand"]);
    remote.set_branch("dev", &by_hand);
    fetch(&mirror).await;
    let merged = mirror.merge(&merge_of(&by_hand, "goes on"), SOON).await.unwrap();
    assert!(matches!(merged, Merged::Committed { .. }), "{merged:?}");
    assert_eq!(remote.read("qa", "text"), "of dev\n");
}

#[tokio::test]
async fn what_a_merge_by_hand_left_out_after_a_rollback_comes_with_the_next_of_ours() {
    let root = tempfile::tempdir().unwrap();
    let (remote, mirror, _) = gone_back(root.path()).await;
    let fourth = remote.commit("dev", "4", &[("4", "4")]);
    let (qa, tree) = (remote.head("qa").unwrap(), remote.git(&["merge-tree", "--write-tree", "qa", "dev"]));
    remote.set_branch("qa", &remote.git(&["commit-tree", &tree, "-p", &qa, "-p", &fourth, "-m", "By hand"]));
    assert_eq!(files(&remote, "qa"), "1\n4\ntext", "git believes that qa has the second and the third");
    let fifth = remote.commit("dev", "5", &[("5", "5")]);
    fetch(&mirror).await;
    mirror.merge(&merge_of(&fifth, "fifth"), SOON).await.unwrap();
    assert_eq!(files(&remote, "qa"), "1\n2\n3\n4\n5\ntext");
}
