//! What is read lags behind what is known: it is kept from going back, and a branch that was really taken back is seen.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tidegate::{
    engine::{CommitId, Outcome, WatchWork},
    providers::{
        git::{CallKind, Forwarded, Mirrors, NO_LIMIT},
        quarantine::Quarantine,
    },
    rules::{RepositoryName, StageName, SystemName},
    watch::{PlaceKind, Places, Watching, watch},
};

use super::{commit_of, mirrors_with, served, tag, wait_until};
use crate::git::{SOON, mirrors};
use crate::support::http_git::Trouble;

fn dev() -> [String; 1] {
    ["dev".to_owned()]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_that_is_older_than_our_push_is_doubted() {
    let root = tempfile::tempdir().unwrap();
    let (remote, server) = served(root.path());
    let url = server.url("", "image.git");
    let mirror = mirrors(root.path()).mirror(&url).unwrap();
    server.lag("image.git");
    let ours = commit_of(mirror.forward(&tag("dev", "run-1", "v2"), SOON).await.unwrap());
    assert_eq!(remote.head("dev").as_ref(), Some(&ours));
    // Also by a process that has only the mirror to know it from.
    let again = mirrors(root.path()).mirror(&url).unwrap();
    for mirror in [&mirror, &again] {
        assert_eq!(mirror.heads(&dev(), SOON).await.unwrap()["dev"].as_ref(), Some(&ours), "a look");
        mirror.fetch(&dev(), SOON).await.unwrap();
        assert_eq!(mirror.heads(&dev(), SOON).await.unwrap()["dev"].as_ref(), Some(&ours), "a look after a fetch");
    }
    server.catch_up("image.git");
    let theirs = remote.commit("dev", "Go on", &[("a", "1")]);
    assert_eq!(mirror.heads(&dev(), SOON).await.unwrap()["dev"].as_ref(), Some(&theirs), "what is newer is news");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_branch_that_was_really_taken_back_is_believed_after_the_lag() {
    let root = tempfile::tempdir().unwrap();
    let (remote, server) = served(root.path());
    let begin = remote.head("dev").unwrap();
    let second = remote.commit("dev", "Go on", &[("a", "1")]);
    let lag = Duration::from_secs(3);
    let mirrors = mirrors_with(root.path(), |options| options.lag = lag);
    let mirror = mirrors.mirror(&server.url("", "image.git")).unwrap();
    mirror.fetch(&dev(), SOON).await.unwrap();
    remote.set_branch("dev", &begin);
    // Nobody may push there: the server cannot be asked for a proof.
    remote.git(&["config", "http.receivepack", "false"]);
    let begun = Instant::now();
    assert_eq!(mirror.heads(&dev(), SOON).await.unwrap()["dev"].as_ref(), Some(&second));
    let told = wait_until("the doubt to be told", async || {
        mirrors.tell_calls().unwrap();
        Mirrors::calls_told(&root.path().join("mirrors")).into_iter().next()
    })
    .await;
    assert_eq!((told.kind, told.patience_ms), (CallKind::Doubt, 3_000));
    let expected = format!("reading dev as {}, which is older than {}, known to be there", &begin[..7], &second[..7]);
    assert_eq!(told.doing, expected);
    wait_until("the branch to be believed", async || {
        let head = mirror.heads(&dev(), SOON).await.unwrap()["dev"].clone();
        (head.as_ref() == Some(&begin)).then_some(())
    })
    .await;
    assert!(begun.elapsed() >= lag, "{:?}", begun.elapsed());
    mirror.fetch(&dev(), SOON).await.unwrap();
    remote.git(&["config", "http.receivepack", "true"]);
    let ours = commit_of(mirror.forward(&tag("dev", "run-1", "v2"), SOON).await.unwrap());
    assert_eq!(mirror.commit_info(&ours).await.unwrap().parents, [begin], "it goes on from there");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_branch_that_was_taken_back_is_believed_at_once_where_the_server_that_takes_pushes_says_so() {
    let root = tempfile::tempdir().unwrap();
    let (remote, server) = served(root.path());
    let begin = remote.head("dev").unwrap();
    let mirror = mirrors(root.path()).mirror(&server.url("", "image.git")).unwrap();
    let second = remote.commit("dev", "Go on", &[("a", "1")]);
    mirror.fetch(&dev(), SOON).await.unwrap();
    for _ in 0..2 {
        remote.set_branch("dev", &begin);
        assert_eq!(mirror.heads(&dev(), SOON).await.unwrap()["dev"].as_ref(), Some(&begin), "back");
        mirror.fetch(&dev(), SOON).await.unwrap();
        remote.set_branch("dev", &second);
        assert_eq!(mirror.heads(&dev(), SOON).await.unwrap()["dev"].as_ref(), Some(&second), "and forth");
        mirror.fetch(&dev(), SOON).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forced_push_to_elsewhere_is_news_at_once_and_the_head_before_it_is_doubted() {
    let root = tempfile::tempdir().unwrap();
    let (remote, server) = served(root.path());
    let mirror = mirrors(root.path()).mirror(&server.url("", "image.git")).unwrap();
    remote.commit("dev", "Go on", &[("a", "1")]);
    mirror.fetch(&dev(), SOON).await.unwrap();
    server.lag("image.git");
    remote.commit("other", "Begin anew", &[("a", "2")]);
    let elsewhere = remote.head("other").unwrap();
    remote.set_branch("dev", &elsewhere);
    server.catch_up("image.git");
    assert_eq!(mirror.heads(&dev(), SOON).await.unwrap()["dev"].as_ref(), Some(&elsewhere));
    mirror.fetch(&dev(), SOON).await.unwrap();
    // A replica that has not seen it yet answers.
    server.fall_back("image.git");
    assert_eq!(mirror.heads(&dev(), SOON).await.unwrap()["dev"].as_ref(), Some(&elsewhere));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_concluded_from_an_old_read() {
    let root = tempfile::tempdir().unwrap();
    let (remote, server) = served(root.path());
    let mirror = mirrors(root.path()).mirror(&server.url("", "image.git")).unwrap();
    server.lag("image.git");
    mirror.forward(&tag("dev", "run-1", "v2"), SOON).await.unwrap();
    // At what is read, the file says v1 already.
    let back = tag("dev", "run-2", "v1");
    assert_eq!(mirror.says("dev", &back.edits, SOON).await.unwrap(), [false]);
    assert!(matches!(mirror.forward(&back, SOON).await.unwrap(), Forwarded::Committed { .. }));
    assert_eq!(remote.log("dev"), ["Pin run-2", "Pin run-1", "Begin"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_whose_answer_was_lost_is_one_commit_though_it_cannot_be_read_yet() {
    let root = tempfile::tempdir().unwrap();
    let (remote, server) = served(root.path());
    let mirror = mirrors(root.path()).mirror(&server.url("", "image.git")).unwrap();
    server.lag("image.git");
    server.set_trouble(Trouble::DropAfterPush);
    // It is read again as it was, and pushed again: the server says that it is there.
    let commit = commit_of(mirror.forward(&tag("dev", "run-1", "v2"), SOON).await.unwrap());
    assert_eq!(remote.head("dev"), Some(commit));
    let mirror = mirrors(&root.path().join("other")).mirror(&server.url("", "image.git")).unwrap();
    // Another process that knows nothing is refused by the server until what it reads has caught up.
    let asked = server.count("GET /image.git/info/refs?service=git-receive-pack");
    let pushing = tokio::spawn(async move { mirror.forward(&tag("dev", "run-2", "v3"), NO_LIMIT).await });
    tokio::task::block_in_place(|| server.wait_for("GET /image.git/info/refs?service=git-receive-pack", asked + 3));
    assert!(!pushing.is_finished());
    server.catch_up("image.git");
    let commit = commit_of(pushing.await.unwrap().unwrap());
    assert_eq!(remote.head("dev"), Some(commit));
    assert_eq!(remote.log("dev"), ["Pin run-2", "Pin run-1", "Begin"]);
}

fn watched(url: &str, known: &str) -> WatchWork {
    let dev = StageName::new("dev").unwrap();
    WatchWork {
        system: SystemName::new("webshop").unwrap(),
        repository: RepositoryName::new("image").unwrap(),
        url: url.to_owned(),
        stages: vec![dev.clone()],
        branches: BTreeMap::from([(dev.clone(), "dev".to_owned())]),
        known: BTreeMap::from([(dev, CommitId::new(known))]),
        gone: BTreeMap::new(),
        named: BTreeSet::new(),
        unread: BTreeMap::new(),
        seen: true,
        reachable: true,
        interval_ms: 50,
        pins: BTreeMap::new(),
        require_signatures: BTreeSet::new(),
        tags: None,
    }
}

async fn news(root: &Path, mirrors: &Mirrors, work: WatchWork) -> Outcome {
    let (looks, quarantine) = (Places::new(PlaceKind::Looks, 1), Quarantine::open(root.join("begun")).unwrap());
    let nudged = tokio::sync::Notify::new();
    let with =
        Watching { mirrors, looks: &looks, fetches: &looks, quarantine: &quarantine, nudged: &nudged, no_news: &|| {} };
    watch(&work, with).await
}

#[tokio::test(flavor = "multi_thread")]
async fn one_push_is_one_piece_of_news_however_late_it_is_read() {
    let root = tempfile::tempdir().unwrap();
    let (remote, server) = served(root.path());
    let url = server.url("", "image.git");
    let mirrors = Arc::new(mirrors(root.path()));
    let mirror = mirrors.mirror(&url).unwrap();
    server.lag("image.git");
    let ours = commit_of(mirror.forward(&tag("dev", "run-1", "v2"), SOON).await.unwrap());
    let (folder, with, work) = (root.path().to_owned(), Arc::clone(&mirrors), watched(&url, &ours));
    let watching = tokio::spawn(async move { news(&folder, &with, work).await });
    let looks = server.count("POST /image.git/git-upload-pack");
    tokio::task::block_in_place(|| server.wait_for("POST /image.git/git-upload-pack", looks + 5));
    server.catch_up("image.git");
    tokio::task::block_in_place(|| server.wait_for("POST /image.git/git-upload-pack", looks + 10));
    assert!(!watching.is_finished(), "it looked again and again, and there was no news");
    let theirs = remote.commit("dev", "Go on", &[("a", "1")]);
    let Outcome::Heads { heads, .. } = watching.await.unwrap() else { panic!("it was reached") };
    let seen = heads.into_values().next().flatten().unwrap();
    assert_eq!((seen.commit.as_str(), seen.forced), (theirs.as_str(), false));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_branch_that_a_replica_does_not_have_yet_is_not_gone() {
    let root = tempfile::tempdir().unwrap();
    let (remote, server) = served(root.path());
    let lag = Duration::from_secs(2);
    let mirrors = mirrors_with(root.path(), |options| options.lag = lag);
    let mirror = mirrors.mirror(&server.url("", "image.git")).unwrap();
    server.lag("image.git");
    remote.set_branch("qa", &remote.head("dev").unwrap());
    let qa = ["qa".to_owned()];
    server.catch_up("image.git");
    mirror.fetch(&qa, SOON).await.unwrap();
    let there = mirror.heads(&qa, SOON).await.unwrap();
    remote.git(&["update-ref", "-d", "refs/heads/qa"]);
    let begun = Instant::now();
    assert_eq!(mirror.heads(&qa, SOON).await.unwrap(), there, "it was there a moment ago");
    wait_until("the branch to be gone", async || mirror.heads(&qa, SOON).await.unwrap()["qa"].is_none().then_some(()))
        .await;
    assert!(begun.elapsed() >= lag);
}
