//! Promotions as merges: pins follow their rule, all else is an ordinary three-way merge.

use crate::git::{SOON, message, mirrors, pin};
use crate::support::repo::TestRepo;
use serde_json::json;
use tidegate::providers::git::{CheckedMerge, Clash, Conflict, MergeChange, Merged, Pin};

fn config(tag: &str, size: &str, name: &str) -> String {
    format!("{{\n  \"tag\": \"{tag}\",\n  \"size\": {size},\n  \"name\": \"{name}\"\n}}\n")
}

fn promotion(source: &str, key: &str) -> MergeChange {
    let pins = vec![Pin { path: "config.json".to_owned(), pointer: "/tag".to_owned() }];
    let (source_commit, branch) = (source.to_owned(), "qa".to_owned());
    MergeChange { source_commit, branch, back_from: None, pins, kept: Vec::new(), message: message(key) }
}

/// A repository whose dev and qa began together, then pinned different tags.
fn parted(root: &std::path::Path, qa_size: &str, dev_name: &str) -> TestRepo {
    let remote = TestRepo::with(root.join("image.git"), "dev", &[("config.json", &config("v1", "1", "a"))]);
    remote.set_branch("qa", &remote.head("dev").unwrap());
    remote.commit("dev", "Pin v3", &[("config.json", &config("v3", "1", dev_name)), ("new.txt", "new")]);
    remote.commit("qa", "Pin v2", &[("config.json", &config("v2", qa_size, "a")), ("qa.txt", "qa")]);
    remote
}

pub(crate) fn same_lines(path: &str) -> Vec<Conflict> {
    vec![Conflict { clash: Clash::SameLines, paths: vec![path.to_owned()] }]
}

fn both() -> [String; 2] {
    ["dev", "qa"].map(str::to_owned)
}

#[tokio::test]
async fn the_sources_pin_wins_next_to_a_change_of_the_other_side() {
    let root = tempfile::tempdir().unwrap();
    let remote = parted(root.path(), "7", "a");
    let mirror = mirrors(root.path()).mirror(&remote.url()).unwrap();
    mirror.fetch(&both(), SOON).await.unwrap();
    let (source, target) = (remote.head("dev").unwrap(), remote.head("qa").unwrap());
    let change = promotion(&source, "promote-1");

    let CheckedMerge::Clean { tree, head } = mirror.check_merge(&change, SOON).await.unwrap() else { panic!() };
    assert_eq!((&head, remote.head("qa")), (&target, Some(target.clone())));
    let checked = mirror.read_file_of_tree(&tree, "config.json").await.unwrap().unwrap();
    assert_eq!(String::from_utf8(checked).unwrap(), config("v3", "7", "a"));

    let Merged::Committed { commit } = mirror.merge(&change, SOON).await.unwrap() else { panic!() };
    let info = mirror.commit_info(&commit).await.unwrap();
    assert_eq!((info.tree, info.parents), (tree, vec![target, source.clone()]));
    assert_eq!(remote.read("qa", "config.json"), config("v3", "7", "a"));
    assert_eq!((remote.read("qa", "new.txt"), remote.read("qa", "qa.txt")), ("new".to_owned(), "qa".to_owned()));
    assert_eq!(mirror.merge(&change, SOON).await.unwrap(), Merged::AlreadyThere { commit: commit.clone() });
    let other = mirror.merge(&promotion(&source, "promote-2"), SOON).await.unwrap();
    assert_eq!(other, Merged::AlreadyContained { head: commit });
}

#[tokio::test]
async fn a_branch_that_is_behind_still_gets_a_merge_commit() {
    let root = tempfile::tempdir().unwrap();
    let remote = TestRepo::with(root.path().join("image.git"), "dev", &[("config.json", &config("v1", "1", "a"))]);
    remote.set_branch("qa", &remote.head("dev").unwrap());
    let source = remote.commit("dev", "Pin v2", &[("config.json", &config("v2", "1", "a"))]);
    let mirror = mirrors(root.path()).mirror(&remote.url()).unwrap();
    mirror.fetch(&both(), SOON).await.unwrap();
    let Merged::Committed { commit } = mirror.merge(&promotion(&source, "promote-1"), SOON).await.unwrap() else {
        panic!()
    };
    assert_eq!(mirror.commit_info(&commit).await.unwrap().parents.len(), 2);
    assert!(mirror.is_ancestor(&source, &commit).await.unwrap());
    assert!(!mirror.is_ancestor(&commit, &source).await.unwrap());
}

#[tokio::test]
async fn a_real_conflict_names_its_files_and_pushes_nothing() {
    let root = tempfile::tempdir().unwrap();
    let remote = parted(root.path(), "1", "b");
    remote.commit("qa", "Rename", &[("config.json", &config("v2", "1", "c"))]);
    let head = remote.head("qa");
    let mirror = mirrors(root.path()).mirror(&remote.url()).unwrap();
    mirror.fetch(&both(), SOON).await.unwrap();
    let change = promotion(&remote.head("dev").unwrap(), "promote-1");
    assert_eq!(mirror.merge(&change, SOON).await.unwrap(), Merged::Conflict { conflicts: same_lines("config.json") });
    assert_eq!(remote.head("qa"), head);
}

#[tokio::test]
async fn a_person_who_pushes_during_the_merge_keeps_their_commit() {
    let root = tempfile::tempdir().unwrap();
    let remote = parted(root.path(), "7", "a");
    remote.set_branch("person", &remote.head("qa").unwrap());
    let theirs = remote.commit("person", "A person's change", &[("person.txt", "p")]);
    let script = format!(
        "#!/bin/sh\n[ -e pushed ] && exit 0\ntouch pushed\nunset GIT_QUARANTINE_PATH\ngit update-ref refs/heads/qa {theirs}\n"
    );
    remote.hook("update", &script);
    let mirror = mirrors(root.path()).mirror(&remote.url()).unwrap();
    mirror.fetch(&both(), SOON).await.unwrap();
    mirror.merge(&promotion(&remote.head("dev").unwrap(), "promote-1"), SOON).await.unwrap();
    assert_eq!(remote.read("qa", "person.txt"), "p");
    assert_eq!(remote.read("qa", "config.json"), config("v3", "7", "a"));
}

#[tokio::test]
async fn histories_that_crossed_are_merged_again() {
    let root = tempfile::tempdir().unwrap();
    let remote = parted(root.path(), "7", "a");
    // Each side merged the other's first commit: two common ancestors, neither above the other.
    let (dev, qa) = (remote.head("dev").unwrap(), remote.head("qa").unwrap());
    remote.set_branch("dev-before", &dev);
    remote.merge("dev", "qa", "Merge qa", &[("config.json", &config("v3", "7", "a")), ("qa.txt", "qa")]);
    remote.merge("qa", "dev-before", "Merge dev", &[("config.json", &config("v3", "7", "a")), ("new.txt", "new")]);
    assert!(remote.log("qa").len() == 4 && dev != qa);
    remote.commit("dev", "Go on", &[("config.json", &config("v4", "7", "a")), ("dev.txt", "x")]);
    remote.commit("qa", "Resize", &[("config.json", &config("v3", "9", "a"))]);
    let mirror = mirrors(root.path()).mirror(&remote.url()).unwrap();
    mirror.fetch(&both(), SOON).await.unwrap();
    let merged = mirror.merge(&promotion(&remote.head("dev").unwrap(), "promote-1"), SOON).await.unwrap();
    assert!(matches!(merged, Merged::Committed { .. }), "{merged:?}");
    assert_eq!(remote.read("qa", "config.json"), config("v4", "9", "a"));
}

#[tokio::test]
async fn a_key_is_found_behind_a_persons_merge() {
    let root = tempfile::tempdir().unwrap();
    let remote = parted(root.path(), "7", "a");
    let mirror = mirrors(root.path()).mirror(&remote.url()).unwrap();
    let change = pin("qa", "run-1", "config.json", &[("/tag", json!("v9"))]);
    mirror.forward(&change, SOON).await.unwrap();
    // Ours is the second parent of what a person makes the head.
    remote.set_branch("side", &remote.head("dev").unwrap());
    remote.merge("side", "qa", "Merge by a person", &[]);
    remote.set_branch("qa", &remote.head("side").unwrap());
    let again = mirror.forward(&change, SOON).await.unwrap();
    assert!(matches!(again, tidegate::providers::git::Forwarded::AlreadyThere { .. }), "{again:?}");
}
