//! Calls that are silent, slow and cut: each is ended after a silence and not before, and nobody else waits for it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tidegate::providers::Fault;
use tidegate::providers::git::{CallKind, Mirrors, NO_LIMIT};

use super::{commit_noise, commit_of, impatient, mirrors_with, served, tag, wait_until};
use crate::git::SOON;
use crate::support::http_git::Trouble;
use crate::support::repo::TestRepo;

const SHORT: Duration = Duration::from_secs(1);

fn folder(root: &Path) -> PathBuf {
    let entries = std::fs::read_dir(root.join("mirrors")).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.is_dir()).find(|path| path.extension().is_some_and(|it| it == "git")).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_that_is_never_answered_is_ended_and_found_by_its_key() {
    for applied in [true, false] {
        let root = tempfile::tempdir().unwrap();
        let (remote, server) = served(root.path());
        let mirror = impatient(root.path(), SHORT).mirror(&server.url("", "image.git")).unwrap();
        server.set_trouble(Trouble::HangPushOnce { applied });
        let begun = Instant::now();
        let commit = commit_of(mirror.forward(&tag("dev", "run-1", "v2"), NO_LIMIT).await.unwrap());
        assert!(begun.elapsed() >= SHORT, "it was waited for");
        assert_eq!(remote.head("dev").as_ref(), Some(&commit), "applied: {applied}");
        assert_eq!(remote.log("dev"), ["Pin run-1", "Begin"], "once");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_a_watch_nor_another_branch_waits_for_a_push() {
    let root = tempfile::tempdir().unwrap();
    let (remote, server) = served(root.path());
    remote.set_branch("qa", &remote.head("dev").unwrap());
    let mirror = impatient(root.path(), Duration::from_secs(600)).mirror(&server.url("", "image.git")).unwrap();
    server.set_trouble(Trouble::HangPush { branch: "dev", applied: false });
    let pushing = Arc::clone(&mirror);
    let pushing = tokio::spawn(async move { pushing.forward(&tag("dev", "run-1", "v2"), NO_LIMIT).await });
    tokio::task::block_in_place(|| server.wait_for("POST /image.git/git-receive-pack", 1));

    let pushed = remote.commit("dev", "A person's push", &[("a", "1")]);
    let both = ["dev".to_owned(), "qa".to_owned()];
    assert_eq!(mirror.heads(&both, SOON).await.unwrap()["dev"].as_deref(), Some(pushed.as_str()));
    mirror.fetch(&both, SOON).await.unwrap();
    mirror.keep("webshop", [pushed.as_str()], SOON).await.unwrap();
    let commit = commit_of(mirror.forward(&tag("qa", "run-2", "v3"), SOON).await.unwrap());
    assert_eq!(remote.head("qa"), Some(commit));
    assert!(!pushing.is_finished(), "all that while it waited for its answer");
    pushing.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clone_that_is_slow_is_not_silent() {
    let root = tempfile::tempdir().unwrap();
    let (remote, server) = served(root.path());
    let head = commit_noise(&remote, "dev", 200, 1_000);
    let mirrors = mirrors_with(root.path(), |options| {
        // Neither the silence nor the patience of work in a mirror is as long as this takes.
        (options.silence, options.patience) = (Duration::from_millis(1_500), Duration::from_millis(1_500));
    });
    let mirror = mirrors.mirror(&server.url("", "image.git")).unwrap();
    server.set_trouble(Trouble::Slow { pieces: 8, pause_ms: 400 });
    let begun = Instant::now();
    mirror.fetch(&["dev".to_owned()], NO_LIMIT).await.unwrap();
    assert!(begun.elapsed() > Duration::from_millis(3_000));
    assert_eq!(mirror.commit_info(&head).await.unwrap().id, head);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stalls_is_ended_and_what_came_before_it_is_kept() {
    let root = tempfile::tempdir().unwrap();
    let (remote, server) = served(root.path());
    let first = remote.head("dev").unwrap();
    let main = remote.commit("main", "Apart", &[("b", "2")]);
    commit_noise(&remote, "main", 300, 1_000);
    let head = remote.head("main").unwrap();
    assert_ne!(main, head);
    let mirror = impatient(root.path(), SHORT).mirror(&server.url("", "image.git")).unwrap();
    server.set_trouble(Trouble::Hold { bytes: 100_000 });
    let both = ["dev".to_owned(), "main".to_owned()];
    let outcome = mirror.fetch(&both, NO_LIMIT).await;
    let told = "cloning main (http://";
    assert!(matches!(&outcome, Err(Fault::Retry { error, .. }) if error.contains(told)), "{outcome:?}");
    let there = mirror.parted([&first, &head]).await.unwrap();
    assert_eq!(there, (vec![first], vec![head.clone()]), "the branch that had come stays");
    let left = || {
        let packs = std::fs::read_dir(folder(root.path()).join("objects/pack")).unwrap();
        packs.filter(|pack| pack.as_ref().unwrap().file_name().to_string_lossy().starts_with("tmp_")).count()
    };
    assert!(left() > 0, "git leaves what it had of a pack");
    server.set_trouble(Trouble::None);
    // What was left is not removed before nobody can be at it any more.
    tokio::time::sleep(SHORT).await;
    mirror.fetch(&both, NO_LIMIT).await.unwrap();
    assert!(mirror.commit_info(&head).await.is_ok());
    assert_eq!(left(), 0, "and it is removed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clone_that_is_cut_begins_again_with_the_branch_that_was_cut() {
    let root = tempfile::tempdir().unwrap();
    let (remote, server) = served(root.path());
    commit_noise(&remote, "main", 300, 1_000);
    let mirror = impatient(root.path(), SHORT).mirror(&server.url("", "image.git")).unwrap();
    server.set_trouble(Trouble::Cut { bytes: 100_000 });
    let both = ["dev".to_owned(), "main".to_owned()];
    let outcome = mirror.fetch(&both, SOON).await;
    assert!(matches!(&outcome, Err(Fault::Retry { .. })), "{outcome:?}");
    mirror.fetch(&both, SOON).await.unwrap();
    assert!(mirror.commit_info(&remote.head("main").unwrap()).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn while_one_clones_the_others_wait_for_it_and_it_is_told_how_far_it_is() {
    let root = tempfile::tempdir().unwrap();
    let (remote, server) = served(root.path());
    let head = commit_noise(&remote, "dev", 300, 1_000);
    let mirrors = impatient(root.path(), Duration::from_secs(600));
    let mirror = mirrors.mirror(&server.url("", "image.git")).unwrap();
    server.set_trouble(Trouble::Hold { bytes: 100_000 });
    let clone = || {
        let mirror = Arc::clone(&mirror);
        tokio::spawn(async move { mirror.fetch(&["dev".to_owned()], NO_LIMIT).await })
    };
    let clones = [clone(), clone()];
    let told = wait_until("both to be told", async || {
        mirrors.tell_calls().unwrap();
        let told = Mirrors::calls_told(&root.path().join("mirrors"));
        let is_far = told.iter().any(|call| call.progress.as_ref().is_some_and(|progress| progress.contains(" %")));
        (told.len() == 2 && is_far).then_some(told)
    })
    .await;
    let cloning = told.iter().find(|call| call.kind == CallKind::Process).unwrap();
    assert_eq!((cloning.doing.as_str(), cloning.patience_ms), ("cloning dev", 600_000));
    let waiting = told.iter().find(|call| call.kind == CallKind::Wait).unwrap();
    assert_eq!(waiting.doing, "waiting for the clone that goes on");
    assert_eq!(
        Path::new(&cloning.mirror),
        Mirrors::directory_in(Path::new(""), &server.url("", "image.git"), str::to_owned).unwrap()
    );
    server.set_trouble(Trouble::None);
    for clone in clones {
        clone.await.unwrap().unwrap();
    }
    assert!(mirror.commit_info(&head).await.is_ok());
    mirrors.tell_calls().unwrap();
    assert_eq!(Mirrors::calls_told(&root.path().join("mirrors")), [], "nothing goes on");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_remote_that_accepts_and_says_nothing_is_given_up_after_the_silence() {
    let root = tempfile::tempdir().unwrap();
    // Nobody accepts what the system's queue takes in.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mirrors = impatient(root.path(), SHORT);
    for url in
        [format!("http://{address}/x.git"), format!("git://{address}/x.git"), format!("ssh://git@{address}/x.git")]
    {
        let mirror = mirrors.mirror(&url).unwrap();
        let begun = Instant::now();
        let outcome = mirror.heads(&["dev".to_owned()], NO_LIMIT).await;
        assert!(matches!(&outcome, Err(Fault::Retry { .. })), "{url}: {outcome:?}");
        assert!(begun.elapsed() < SHORT * 10, "{url}: {:?}", begun.elapsed());
    }
}

#[tokio::test]
async fn what_killed_fetches_left_is_removed_and_what_others_are_at_is_not() {
    let root = tempfile::tempdir().unwrap();
    let remote = TestRepo::with(root.path().join("image.git"), "dev", &[("a", "1")]);
    let mirror = impatient(root.path(), SHORT).mirror(&remote.url()).unwrap();
    mirror.fetch(&["dev".to_owned()], SOON).await.unwrap();
    let aside = folder(root.path()).join("refs/tidegate/fetch");
    let head = remote.head("dev").unwrap();
    // No process has the first number; the second is the first process of every machine.
    let (dead, alive) = (aside.join("2000000000-1"), aside.join("1-1"));
    for folder in [&dead, &alive] {
        std::fs::create_dir_all(folder).unwrap();
        std::fs::write(folder.join("dev"), format!("{head}\n")).unwrap();
        std::fs::write(folder.join("dev.lock"), "").unwrap();
    }
    remote.commit("dev", "Go on", &[("a", "2")]);
    std::fs::write(folder(root.path()).join("refs/heads/dev.lock"), "").unwrap();
    mirror.fetch(&["dev".to_owned()], SOON).await.unwrap();
    assert!(!dead.exists(), "of a killed process");
    assert!(alive.join("dev.lock").exists(), "of one that lives");
    let own = std::fs::read_dir(&aside).unwrap().count();
    assert_eq!(own, 1, "and nothing is left of this fetch");
}

#[tokio::test]
async fn a_branch_that_took_the_place_of_a_folder_of_branches_is_fetched() {
    let root = tempfile::tempdir().unwrap();
    let remote = TestRepo::with(root.path().join("image.git"), "team", &[("a", "1")]);
    let mirror = impatient(root.path(), SHORT).mirror(&remote.url()).unwrap();
    mirror.fetch(&["team".to_owned()], SOON).await.unwrap();
    let head = remote.head("team").unwrap();
    for (gone, new) in [("team", "team/dev"), ("team/dev", "team")] {
        remote.git(&["update-ref", "-d", &format!("refs/heads/{gone}")]);
        remote.set_branch(new, &head);
        mirror.fetch(&[new.to_owned()], SOON).await.unwrap();
    }
}
