//! Forward commits on real repositories: once, in place, whoever else pushes.

use crate::support::repo::{HERMETIC, TestRepo};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tidegate::providers::Fault;
use tidegate::providers::git::{
    CommitMessage, CommitPlace, FileEdit, ForwardChange, Forwarded, GitOptions, Identity, Mirrors, Proofs,
};

pub(crate) const SOON: Duration = Duration::from_secs(30);

pub(crate) fn options() -> GitOptions {
    let identity = Identity { name: "Tidegate".to_owned(), email: "tidegate@example.org".to_owned() };
    let environment = HERMETIC.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    GitOptions { environment, ..GitOptions::new(identity, Proofs::with(&[7; 32])) }
}

pub(crate) fn mirrors(root: &Path) -> Mirrors {
    Mirrors::open(root.join("mirrors"), options()).unwrap()
}

pub(crate) fn place(branch: &str) -> CommitPlace {
    CommitPlace { system: "webshop".to_owned(), repository: "image".to_owned(), branch: branch.to_owned() }
}

pub(crate) fn message(key: &str) -> CommitMessage {
    CommitMessage {
        system: "webshop".to_owned(),
        repository: "image".to_owned(),
        subject: format!("Pin {key}"),
        body: String::new(),
        trailers: vec![("Tidegate-System".to_owned(), "webshop".to_owned())],
        key: key.to_owned(),
        committed_at_ms: 1_768_000_000_000,
    }
}

pub(crate) fn pin(branch: &str, key: &str, path: &str, set: &[(&str, Value)]) -> ForwardChange {
    let set = set.iter().map(|(pointer, value)| ((*pointer).to_owned(), value.clone())).collect();
    let edits = vec![FileEdit { path: path.to_owned(), set }];
    ForwardChange { branch: branch.to_owned(), edits, message: message(key) }
}

pub(crate) fn failure<T: std::fmt::Debug>(result: Result<T, Fault>) -> (String, String) {
    match result {
        Err(Fault::Fail { error, hint }) => (error, hint),
        other => panic!("a failure for a person was expected, not {other:?}"),
    }
}

const CONFIG: &str =
    "{\n  // what is built in\n  \"software\": {\n    \"tag\": \"v1\", // the tag\n    \"sha256\": \"aa\"\n  }\n}\n";

#[tokio::test]
async fn a_pin_is_one_commit_that_changes_only_the_value() {
    let root = tempfile::tempdir().unwrap();
    let remote = TestRepo::with(root.path().join("image.git"), "dev", &[("config.json", CONFIG), ("other", "x")]);
    let before = remote.head("dev").unwrap();
    let mirror = mirrors(root.path()).mirror(&remote.url()).unwrap();
    let change = pin("dev", "run-1", "config.json", &[("/software/tag", json!("v2"))]);

    let Forwarded::Committed { commit, parent } = mirror.forward(&change, SOON).await.unwrap() else { panic!() };

    assert_eq!((parent, Some(&commit)), (before, remote.head("dev").as_ref()));
    assert_eq!(remote.read("dev", "config.json"), CONFIG.replace("v1", "v2"));
    let info = mirror.commit_info(&commit).await.unwrap();
    assert_eq!((info.subject.as_str(), info.author_name.as_str()), ("Pin run-1", "Tidegate"));
    let said: Vec<&str> = info.trailers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(said, ["Tidegate-System", "Tidegate-Key", "Tidegate-Proof"]);
    assert_eq!(info.committed_at_ms, 1_768_000_000_000);
    let changed = mirror.changed_paths(info.parents.first().map(String::as_str), &commit).await.unwrap();
    assert_eq!(changed, ["config.json"]);
}

#[tokio::test]
async fn the_same_key_is_one_commit_however_often_it_is_tried() {
    let root = tempfile::tempdir().unwrap();
    let remote = TestRepo::with(root.path().join("image.git"), "dev", &[("config.json", CONFIG)]);
    let change = pin("dev", "run-1", "config.json", &[("/software/tag", json!("v2"))]);
    let first = mirrors(root.path()).mirror(&remote.url()).unwrap();
    let Forwarded::Committed { commit, .. } = first.forward(&change, SOON).await.unwrap() else { panic!() };
    // A person goes back; the key's effect took place all the same.
    remote.commit("dev", "Go back", &[("config.json", CONFIG)]);

    let again = first.forward(&change, SOON).await.unwrap();
    let elsewhere = mirrors(&root.path().join("other")).mirror(&remote.url()).unwrap();
    let from_elsewhere = elsewhere.forward(&change, SOON).await.unwrap();

    assert_eq!(again, Forwarded::AlreadyThere { commit });
    assert_eq!(from_elsewhere, again);
    assert_eq!(remote.log("dev"), ["Go back", "Pin run-1", "Begin"]);
    let same = pin("dev", "run-2", "config.json", &[("/software/tag", json!("v1"))]);
    assert_eq!(
        first.forward(&same, SOON).await.unwrap(),
        Forwarded::NothingToChange { head: remote.head("dev").unwrap() }
    );
}

#[tokio::test]
async fn the_same_key_of_another_source_is_another_effect() {
    let root = tempfile::tempdir().unwrap();
    let remote = TestRepo::with(root.path().join("image.git"), "dev", &[("config.json", CONFIG)]);
    let mirror = mirrors(root.path()).mirror(&remote.url()).unwrap();
    let of = |version: &str| {
        let mut change = pin("dev", "package-4", "config.json", &[("/software/tag", json!(version))]);
        change.message.trailers.push(("Tidegate-Source".to_owned(), format!("software@{version}")));
        change
    };
    let Forwarded::Committed { commit: lost, .. } = mirror.forward(&of("v3"), SOON).await.unwrap() else { panic!() };
    // The last backup is restored: numbers of runs are given again, and commits of the lost runs are still there.
    let Forwarded::Committed { commit, .. } = mirror.forward(&of("v4"), SOON).await.unwrap() else { panic!() };
    assert!(remote.read("dev", "config.json").contains("v4"));
    assert_eq!(mirror.forward(&of("v4"), SOON).await.unwrap(), Forwarded::AlreadyThere { commit });
    assert_eq!(mirror.forward(&of("v3"), SOON).await.unwrap(), Forwarded::AlreadyThere { commit: lost });
}

fn adjacent_lines(count: usize) -> String {
    let lines: Vec<_> = (0..count).map(|line| format!("  \"pin{line}\": \"old\"")).collect();
    format!("{{\n{}\n}}\n", lines.join(",\n"))
}

async fn fifty_writers(root: &Path, shared: bool) {
    let remote = TestRepo::with(root.join("image.git"), "dev", &[("config.json", &adjacent_lines(50))]);
    let one = Arc::new(mirrors(root));
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..50 {
        let mirrors = if shared { Arc::clone(&one) } else { Arc::new(mirrors(&root.join(format!("writer-{writer}")))) };
        let mirror = mirrors.mirror(&remote.url()).unwrap();
        let pointer = format!("/pin{writer}");
        let change = pin("dev", &format!("run-{writer}"), "config.json", &[(&pointer, json!(format!("new-{writer}")))]);
        writers.spawn(async move { mirror.forward(&change, Duration::from_secs(300)).await });
    }
    while let Some(done) = writers.join_next().await {
        assert!(matches!(done.unwrap().unwrap(), Forwarded::Committed { .. }));
    }
    assert_eq!(remote.log("dev").len(), 51);
    let config: Value = serde_json::from_str(&remote.read("dev", "config.json")).unwrap();
    for writer in 0..50 {
        assert_eq!(config[format!("pin{writer}")], format!("new-{writer}"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn fifty_writers_of_one_process_pin_adjacent_lines() {
    let root = tempfile::tempdir().unwrap();
    fifty_writers(root.path(), true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn fifty_writers_that_know_nothing_of_each_other_pin_adjacent_lines() {
    let root = tempfile::tempdir().unwrap();
    fifty_writers(root.path(), false).await;
}

#[tokio::test]
async fn a_persons_push_between_our_read_and_our_push_is_preserved() {
    let root = tempfile::tempdir().unwrap();
    let remote = TestRepo::with(root.path().join("image.git"), "dev", &[("config.json", CONFIG)]);
    let persons = remote.commit("person", "Begin anew", &[("config.json", CONFIG)]);
    remote.set_branch("person", &remote.head("dev").unwrap());
    let theirs = CONFIG.replace("\"aa\"", "\"a person's\"");
    let persons_push = remote.commit("person", "A person's change", &[("config.json", &theirs)]);
    assert_ne!(persons, persons_push);
    // The branch moves when our push has arrived at the remote, before it takes effect; once.
    let script = format!(
        "#!/bin/sh\n[ -e pushed ] && exit 0\ntouch pushed\nunset GIT_QUARANTINE_PATH\ngit update-ref refs/heads/dev {persons_push}\n"
    );
    remote.hook("update", &script);
    let mirror = mirrors(root.path()).mirror(&remote.url()).unwrap();
    let change = pin("dev", "run-1", "config.json", &[("/software/tag", json!("v2"))]);

    let Forwarded::Committed { parent, .. } = mirror.forward(&change, SOON).await.unwrap() else { panic!() };

    assert_eq!(parent, persons_push);
    assert_eq!(remote.log("dev"), ["Pin run-1", "A person's change", "Begin"]);
    assert_eq!(remote.read("dev", "config.json"), theirs.replace("v1", "v2"));
}

#[tokio::test]
async fn what_cannot_be_edited_is_said_with_place_and_remedy() {
    let root = tempfile::tempdir().unwrap();
    let remote = TestRepo::empty(root.path().join("image.git"));
    let submodule = "1".repeat(40);
    let tree = remote.tree(
        None,
        &[
            ("100644", "good.json", "{\"list\": [1], \"text\": \"x\"}"),
            ("100644", "broken.json", "{\n  \"a\": 1,\n  oops\n}"),
            ("100644", "list.json", "[]"),
            ("100644", "notes.txt", "a"),
            ("120000", "link.json", "good.json"),
            ("160000", "module", &submodule),
            ("100644", "folder/inner.json", "{}"),
        ],
    );
    remote.commit_tree("dev", "Begin", &tree, &[]);
    let head = remote.head("dev").unwrap();
    let mirror = mirrors(root.path()).mirror(&remote.url()).unwrap();
    let cases = [
        ("missing.json", "/a", "there is no file 'missing.json' on dev at"),
        ("broken.json", "/a", "broken.json:3:3 on dev at"),
        ("list.json", "/a", "the file is a list of 0"),
        ("good.json", "/list/x", "/list is a list of 1 and has no element 'x'"),
        ("good.json", "/list/7", "has no element '7'"),
        ("good.json", "/text/tag", "/text is a scalar, but an object is expected"),
        ("good.json", "text", "'text' is not a pointer"),
        ("notes.txt", "/a", "only JSON, YAML and TOML"),
        ("../good.json", "/a", "not the path of a file in a repository"),
        ("/etc/passwd.json", "/a", "not the path of a file"),
        (".git/config.toml", "/a", "not the path of a file"),
        ("folder/.GIT/x.toml", "/a", "not the path of a file"),
        ("link.json", "/a", "'link.json' is a symbolic link"),
        ("module/x.json", "/a", "'module' is a submodule"),
        ("folder", "/a", "'folder' is a directory"),
        ("good.json/x.json", "/a", "'good.json' is a file, not a directory"),
    ];
    for (path, pointer, expected) in cases {
        let change = pin("dev", "run-1", path, &[(pointer, json!("new"))]);
        let (error, hint) = failure(mirror.forward(&change, SOON).await);
        assert!(error.contains(expected) && error.contains(&remote.url()), "{path}: {error}");
        assert!(!hint.is_empty(), "{path}");
    }
    assert_eq!(remote.head("dev").unwrap(), head);
    let elsewhere = pin("qa", "run-1", "good.json", &[("/a", json!(1))]);
    let (error, hint) = failure(mirror.forward(&elsewhere, SOON).await);
    assert!(error.contains("no branch 'qa'") && hint.contains("push a first commit"), "{error}; {hint}");
}

#[tokio::test]
async fn an_empty_or_absent_repository_is_named() {
    let root = tempfile::tempdir().unwrap();
    let empty = TestRepo::empty(root.path().join("empty.git"));
    let mirrors = mirrors(root.path());
    let change = pin("dev", "run-1", "config.json", &[("/a", json!(1))]);
    let (error, hint) = failure(mirrors.mirror(&empty.url()).unwrap().forward(&change, SOON).await);
    assert!(error.contains("has no branch 'dev' (or is empty)") && error.contains("empty.git"), "{error}");
    assert!(hint.contains("push a first commit to 'dev'"), "{hint}");
    let absent = root.path().join("absent.git");
    let (error, hint) = failure(mirrors.mirror(absent.to_str().unwrap()).unwrap().forward(&change, SOON).await);
    assert!(error.contains("absent.git") && hint.contains("correct the repository's URL"), "{error}; {hint}");
}

#[tokio::test]
async fn heads_are_asked_for_together_and_absent_branches_are_none() {
    let root = tempfile::tempdir().unwrap();
    let remote = TestRepo::with(root.path().join("image.git"), "dev", &[("config.json", CONFIG)]);
    remote.commit("team/dev", "Another", &[("a", "b")]);
    let branches = ["dev", "qa", "team/dev"].map(str::to_owned);
    let by_path = mirrors(root.path()).mirror(&remote.url()).unwrap().heads(&branches, SOON).await.unwrap();
    assert_eq!(by_path["dev"], remote.head("dev"));
    assert_eq!(by_path["qa"], None);
    assert_eq!(by_path["team/dev"], remote.head("team/dev"));
}

#[tokio::test]
async fn a_broken_or_locked_mirror_is_mended() {
    let root = tempfile::tempdir().unwrap();
    let remote = TestRepo::with(root.path().join("image.git"), "dev", &[("config.json", CONFIG)]);
    let dev = ["dev".to_owned()];
    mirrors(root.path()).mirror(&remote.url()).unwrap().fetch(&dev, SOON).await.unwrap();
    let mirror_directory = std::fs::read_dir(root.path().join("mirrors")).unwrap();
    let mirror_directory =
        mirror_directory.map(|entry| entry.unwrap().path()).find(|path| path.extension().unwrap() == "git").unwrap();

    remote.commit("dev", "Go on", &[("a", "1")]);
    std::fs::write(mirror_directory.join("refs/heads/dev.lock"), "").unwrap();
    let change = pin("dev", "run-1", "config.json", &[("/software/tag", json!("v2"))]);
    mirrors(root.path()).mirror(&remote.url()).unwrap().forward(&change, SOON).await.unwrap();

    std::fs::remove_file(mirror_directory.join("HEAD")).unwrap();
    let change = pin("dev", "run-2", "config.json", &[("/software/tag", json!("v3"))]);
    mirrors(root.path()).mirror(&remote.url()).unwrap().forward(&change, SOON).await.unwrap();

    std::fs::remove_dir_all(mirror_directory.join("objects")).unwrap();
    let mirror = mirrors(root.path()).mirror(&remote.url()).unwrap();
    let change = pin("dev", "run-3", "config.json", &[("/software/tag", json!("v4"))]);
    mirror.forward(&change, SOON).await.unwrap();
    mirror.maintain(SOON).await.unwrap();
    assert_eq!(remote.log("dev"), ["Pin run-3", "Pin run-2", "Pin run-1", "Go on", "Begin"]);
}
