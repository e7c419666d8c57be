//! The way back on real repositories: one ordinary commit, exactly once, and what others pushed stays.

use std::path::Path;

use crate::git::{SOON, message, mirrors, place};
use crate::support::repo::TestRepo;
use tidegate::providers::git::{CheckedMerge, Clash, Conflict, MergeChange, Merged, Pin, RestoreChange, Restored};

fn config(tag: &str, size: &str) -> String {
    format!("{{\n  \"tag\": \"{tag}\",\n  \"size\": {size}\n}}\n")
}

fn pins() -> Vec<Pin> {
    vec![Pin { path: "config.json".to_owned(), pointer: "/tag".to_owned() }]
}

fn back(to: &str, from: &str, key: &str) -> RestoreChange {
    let (to, from, branch) = (to.to_owned(), from.to_owned(), "qa".to_owned());
    RestoreChange { to, from, branch, pins: pins(), message: message(key) }
}

fn merge_of(source: &str, key: &str) -> MergeChange {
    let (source_commit, branch) = (source.to_owned(), "qa".to_owned());
    MergeChange { source_commit, branch, back_from: None, pins: pins(), kept: Vec::new(), message: message(key) }
}

/// qa at v1, then at v2 with another file: the repository, the good commit and the bad one.
fn gone_wrong(root: &Path) -> (TestRepo, String, String) {
    let remote = TestRepo::with(root.join("image.git"), "qa", &[("config.json", &config("v1", "1"))]);
    let good = remote.head("qa").unwrap();
    let bad = remote.commit("qa", "Go wrong", &[("config.json", &config("v2", "1")), ("bad.txt", "bad")]);
    (remote, good, bad)
}

fn files(remote: &TestRepo, branch: &str) -> String {
    remote.git(&["ls-tree", "-r", "--name-only", branch])
}

#[tokio::test]
async fn a_restore_is_one_commit_with_one_parent_and_is_done_once() {
    let root = tempfile::tempdir().unwrap();
    let (remote, good, bad) = gone_wrong(root.path());
    let mirror = mirrors(root.path()).mirror(&remote.url()).unwrap();
    mirror.fetch(&["qa".to_owned()], SOON).await.unwrap();
    let change = back(&good, &bad, "rollback-1");
    let CheckedMerge::Clean { head, .. } = mirror.check_restore(&change, SOON).await.unwrap() else { panic!() };
    assert_eq!((head, remote.head("qa").unwrap()), (bad.clone(), bad.clone()), "a check pushes nothing");

    let Restored::Committed { commit, parent } = mirror.restore(&change, SOON).await.unwrap() else { panic!() };
    let info = mirror.commit_info(&commit).await.unwrap();
    assert_eq!((parent, info.parents), (bad.clone(), vec![bad.clone()]));
    assert_eq!(info.tree, mirror.commit_info(&good).await.unwrap().tree);
    assert_eq!(mirror.restore(&change, SOON).await.unwrap(), Restored::AlreadyThere { commit: commit.clone() });
    let other = mirror.restore(&back(&good, &bad, "rollback-2"), SOON).await.unwrap();
    assert_eq!(other, Restored::NothingToChange { head: commit.clone() }, "an empty difference is no commit");
    assert_eq!(remote.head("qa"), Some(commit.clone()));
    assert_eq!(mirror.commit_of_key(&place("qa"), "rollback-1", SOON).await.unwrap(), Some(commit));
    assert_eq!(mirror.commit_of_key(&place("qa"), "rollback-2", SOON).await.unwrap(), None);
}

#[tokio::test]
async fn what_a_person_pushed_meanwhile_stays_and_a_pin_of_ours_does_not() {
    let root = tempfile::tempdir().unwrap();
    let (remote, good, bad) = gone_wrong(root.path());
    let mirror = mirrors(root.path()).mirror(&remote.url()).unwrap();
    mirror.fetch(&["qa".to_owned()], SOON).await.unwrap();
    remote.commit("qa", "Resize", &[("config.json", &config("v3", "9")), ("person.txt", "p")]);
    let restored = mirror.restore(&back(&good, &bad, "rollback-1"), SOON).await.unwrap();
    assert!(matches!(restored, Restored::Committed { .. }), "{restored:?}");
    assert_eq!(remote.read("qa", "config.json"), config("v1", "9"), "the pin by rule, the size as the person wants it");
    assert_eq!(files(&remote, "qa"), "config.json\nperson.txt");
}

#[tokio::test]
async fn a_lost_race_is_run_again() {
    let root = tempfile::tempdir().unwrap();
    let (remote, good, bad) = gone_wrong(root.path());
    remote.set_branch("person", &bad);
    let theirs = remote.commit("person", "A person's change", &[("person.txt", "p")]);
    let script = format!(
        "#!/bin/sh\n[ -e pushed ] && exit 0\ntouch pushed\nunset GIT_QUARANTINE_PATH\ngit update-ref refs/heads/qa {theirs}\n"
    );
    remote.hook("update", &script);
    let mirror = mirrors(root.path()).mirror(&remote.url()).unwrap();
    mirror.fetch(&["qa".to_owned()], SOON).await.unwrap();
    let restored = mirror.restore(&back(&good, &bad, "rollback-1"), SOON).await.unwrap();
    let Restored::Committed { parent, .. } = restored else { panic!("{restored:?}") };
    assert_eq!(parent, theirs);
    assert_eq!(files(&remote, "qa"), "config.json\nperson.txt");
}

#[tokio::test]
async fn a_change_of_what_is_to_go_away_is_a_conflict_and_pushes_nothing() {
    let root = tempfile::tempdir().unwrap();
    let (remote, good, bad) = gone_wrong(root.path());
    let head = remote.commit("qa", "Mend it", &[("bad.txt", "less bad")]);
    let mirror = mirrors(root.path()).mirror(&remote.url()).unwrap();
    mirror.fetch(&["qa".to_owned()], SOON).await.unwrap();
    let change = back(&good, &bad, "rollback-1");
    let conflicts = vec![Conflict { clash: Clash::ChangedAndRemoved, paths: vec!["bad.txt".to_owned()] }];
    let checked = mirror.check_restore(&change, SOON).await.unwrap();
    assert_eq!(checked, CheckedMerge::Conflict { conflicts: conflicts.clone() });
    assert_eq!(mirror.restore(&change, SOON).await.unwrap(), Restored::Conflict { conflicts });
    assert_eq!(remote.head("qa"), Some(head));
}

/// dev has three versions; qa has merged the first two.
async fn promoted_twice(root: &Path) -> (TestRepo, [String; 3], [String; 2]) {
    let remote = TestRepo::with(root.join("image.git"), "dev", &[("config.json", &config("v0", "1"))]);
    remote.set_branch("qa", &remote.head("dev").unwrap());
    let mirror = mirrors(root).mirror(&remote.url()).unwrap();
    let (mut sources, mut merges) = (Vec::new(), Vec::new());
    for version in ["1", "2", "3"] {
        let name = format!("{version}.txt");
        let files = [("config.json", config(&format!("v{version}"), "1")), (name.as_str(), version.to_owned())];
        let files: Vec<(&str, &str)> = files.iter().map(|(path, content)| (*path, content.as_str())).collect();
        let source = remote.commit("dev", version, &files);
        mirror.fetch(&["dev".to_owned(), "qa".to_owned()], SOON).await.unwrap();
        if version != "3" {
            let merged = mirror.merge(&merge_of(&source, &format!("promote-{version}")), SOON).await.unwrap();
            let Merged::Committed { commit } = merged else { panic!("{merged:?}") };
            merges.push(commit);
        }
        sources.push(source);
    }
    (remote, sources.try_into().unwrap(), merges.try_into().unwrap())
}

#[tokio::test]
async fn after_a_restore_the_next_merge_brings_everything_again() {
    let root = tempfile::tempdir().unwrap();
    let (remote, sources, merges) = promoted_twice(root.path()).await;
    let mirror = mirrors(root.path()).mirror(&remote.url()).unwrap();
    mirror.restore(&back(&merges[0], &merges[1], "rollback-1"), SOON).await.unwrap();
    assert_eq!(files(&remote, "qa"), "1.txt\nconfig.json");

    // Its history says that it has the second version. That is not so, also under what is pushed on top.
    remote.commit("qa", "Go on", &[("own.txt", "own")]);
    mirror.fetch(&["qa".to_owned()], SOON).await.unwrap();
    let first = mirror.check_merge(&merge_of(&sources[0], "promote-3"), SOON).await.unwrap();
    assert!(matches!(first, CheckedMerge::AlreadyContained { .. }), "it held the first all the time: {first:?}");
    let second = mirror.check_merge(&merge_of(&sources[1], "promote-4"), SOON).await.unwrap();
    assert!(matches!(second, CheckedMerge::Clean { .. }), "{second:?}");
    let merged = mirror.merge(&merge_of(&sources[2], "promote-5"), SOON).await.unwrap();
    assert!(matches!(merged, Merged::Committed { .. }), "{merged:?}");
    assert_eq!(files(&remote, "qa"), "1.txt\n2.txt\n3.txt\nconfig.json\nown.txt");
    assert_eq!(remote.read("qa", "config.json"), config("v3", "1"));
    let again = mirror.merge(&merge_of(&sources[1], "promote-6"), SOON).await.unwrap();
    assert!(
        matches!(again, Merged::AlreadyContained { .. }),
        "that merge has it: its history is right again: {again:?}"
    );
}

#[tokio::test]
async fn a_merge_may_go_back_to_an_older_version_on_purpose() {
    let root = tempfile::tempdir().unwrap();
    let (remote, sources, merges) = promoted_twice(root.path()).await;
    remote.commit("qa", "Resize", &[("config.json", &config("v2", "7"))]);
    let mirror = mirrors(root.path()).mirror(&remote.url()).unwrap();
    mirror.fetch(&["qa".to_owned()], SOON).await.unwrap();
    let older = MergeChange { back_from: Some(sources[2].clone()), ..merge_of(&sources[0], "promote-3") };
    let Merged::Committed { commit } = mirror.merge(&older, SOON).await.unwrap() else { panic!() };
    assert_eq!(mirror.commit_info(&commit).await.unwrap().parents.len(), 1);
    assert_eq!(files(&remote, "qa"), "1.txt\nconfig.json");
    assert_eq!(remote.read("qa", "config.json"), config("v1", "7"), "what is qa's own stays");
    assert!(mirror.is_ancestor(&merges[1], &commit).await.unwrap(), "nothing is rewound");
    // And forward again, from what it holds now.
    mirror.merge(&merge_of(&sources[1], "promote-4"), SOON).await.unwrap();
    assert_eq!(files(&remote, "qa"), "1.txt\n2.txt\nconfig.json");
}
