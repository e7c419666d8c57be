//! What remotes refuse: tried again where it may pass, explained where it lasts, with the line that helps first.

use tidegate::providers::Fault;

use super::{commit_of, served, tag};
use crate::git::{SOON, failure, mirrors};
use crate::support::http_git::{HttpGit, Trouble};
use crate::support::repo::TestRepo;

fn dev() -> [String; 1] {
    ["dev".to_owned()]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_that_may_pass_is_tried_again() {
    let root = tempfile::tempdir().unwrap();
    let (remote, server) = served(root.path());
    let mirror = mirrors(root.path()).mirror(&server.url("", "image.git")).unwrap();
    for (key, reason) in [("run-1", "failure"), ("run-2", "fatal error in commit_refs"), ("run-3", "unpacker error")] {
        server.set_trouble(Trouble::RefusePush { reason, said: "", times: 2 });
        let commit = commit_of(mirror.forward(&tag("dev", key, key), SOON).await.unwrap());
        assert_eq!(remote.head("dev"), Some(commit), "{reason}");
    }
    assert_eq!(remote.log("dev").len(), 4, "one commit each");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_refusal_is_tried_a_few_times_and_shown_whole() {
    let root = tempfile::tempdir().unwrap();
    let (remote, server) = served(root.path());
    let mirror = mirrors(root.path()).mirror(&server.url("", "image.git")).unwrap();
    let (reason, said) = ("the moon is full", "ask the wolf\nor wait");
    server.set_trouble(Trouble::RefusePush { reason, said, times: 100 });
    let outcome = mirror.forward(&tag("dev", "run-1", "v2"), SOON).await;
    let Err(Fault::Retry { error, .. }) = outcome else { panic!("{outcome:?}") };
    let lines: Vec<&str> = error.lines().collect();
    assert!(lines[0].contains("refused a push to dev: [remote rejected] (the moon is full); ask the wolf"), "{error}");
    assert!(lines.contains(&"remote: or wait"), "{error}");
    assert!(server.count("POST /image.git/git-receive-pack") > 1);
    server.set_trouble(Trouble::None);
    let commit = commit_of(mirror.forward(&tag("dev", "run-1", "v2"), SOON).await.unwrap());
    assert_eq!(remote.head("dev"), Some(commit));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_hook_says_in_several_lines_is_kept_and_answered_with_what_fits() {
    let root = tempfile::tempdir().unwrap();
    let (remote, server) = served(root.path());
    let mirror = mirrors(root.path()).mirror(&server.url("", "image.git")).unwrap();
    let cases = [
        (
            "echo '====' >&2; echo 'policy 7:' >&2; echo 'commits must be signed' >&2",
            "must be signed",
            "`signing` of [identity]",
        ),
        ("echo 'GH006: Protected branch update failed' >&2", "GH006", "branch protection"),
        ("echo 'File a.bin is too large' >&2", "too large", "Git LFS"),
        ("echo 'GH009: Secrets detected!' >&2", "GH009", "looks like a secret"),
        ("echo 'not on Fridays' >&2", "not on Fridays", "do what the hook or rule demands"),
    ];
    for (script, helps, hint) in cases {
        remote.hook("pre-receive", &format!("#!/bin/sh\n{script}\nexit 1\n"));
        let (error, told) = failure(mirror.forward(&tag("dev", "run-1", "v2"), SOON).await);
        let first = error.lines().next().unwrap();
        assert!(first.contains(helps) && first.contains("pre-receive hook declined"), "{error}");
        assert!(told.contains(hint), "{told}");
    }
    assert_eq!(remote.log("dev"), ["Begin"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_server_answers_says_what_to_do_and_is_not_tried_again() {
    let root = tempfile::tempdir().unwrap();
    let (_remote, server) = served(root.path());
    let mirror = mirrors(root.path()).mirror(&server.url("", "image.git")).unwrap();
    mirror.fetch(&dev(), SOON).await.unwrap();
    let head = mirror.heads(&dev(), SOON).await.unwrap()["dev"].clone().unwrap();
    let cases = [
        ("401 Unauthorized", "credentials"),
        ("403 Forbidden", "credentials"),
        ("404 Not Found", "correct the repository's URL"),
        ("410 Gone", "correct the repository's URL"),
    ];
    for (status, hint) in cases {
        server.set_trouble(Trouble::Say(status, "Ask the administrators.\nRoom 7.\n"));
        for outcome in [mirror.heads(&dev(), SOON).await.map(drop), mirror.fetch(&dev(), SOON).await] {
            let (error, told) = failure(outcome);
            assert!(told.contains(hint), "{status}: {error}; {told}");
            // Git itself drops what comes with a 401.
            assert!(error.contains("Room 7.") || status.starts_with("401"), "{status}: the whole of it: {error}");
        }
        assert!(mirror.commit_info(&head).await.is_ok(), "{status}: what is in the mirror stays");
    }
    for status in ["429 Too Many Requests", "500 Internal Server Error", "502 Bad Gateway", "503 Service Unavailable"] {
        server.set_trouble(Trouble::Say(status, "Later.\n"));
        let outcome = mirror.heads(&dev(), SOON).await;
        assert!(matches!(&outcome, Err(Fault::Retry { .. })), "{status}: {outcome:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_that_moved_is_followed_and_one_that_moved_out_of_reach_is_explained() {
    let root = tempfile::tempdir().unwrap();
    let (remote, new) = served(root.path());
    let old = HttpGit::start(&root.path().join("served"), None);
    old.set_trouble(Trouble::Redirect(new.address));
    let mirror = mirrors(root.path()).mirror(&old.url("", "image.git")).unwrap();
    assert_eq!(mirror.heads(&dev(), SOON).await.unwrap()["dev"], remote.head("dev"));
    let commit = commit_of(mirror.forward(&tag("dev", "run-1", "v2"), SOON).await.unwrap());
    assert_eq!(remote.head("dev"), Some(commit), "pushes are redirected as well");
    for (status, expected) in [("404 Not Found", "correct the repository's URL"), ("200 OK", "a page to sign in")] {
        new.set_trouble(Trouble::Say(status, "<html>\nSign in\n</html>\n"));
        let (error, hint) = failure(mirror.heads(&dev(), SOON).await);
        assert!(hint.contains(expected), "{error}; {hint}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_of_sha256_is_refused_in_these_words() {
    let root = tempfile::tempdir().unwrap();
    let directory = root.path().join("served/image.git");
    let path = directory.to_str().unwrap();
    let root_repository = TestRepo::empty(root.path().join("any.git"));
    root_repository.git(&["init", "--quiet", "--bare", "--object-format=sha256", path]);
    let tree = root_repository.git(&["-C", path, "hash-object", "-w", "-t", "tree", "/dev/null"]);
    let commit = root_repository.git(&["-C", path, "commit-tree", &tree, "-m", "Begin"]);
    root_repository.git(&["-C", path, "update-ref", "refs/heads/dev", &commit]);
    let server = HttpGit::start(&root.path().join("served"), None);
    for url in [server.url("", "image.git"), path.to_owned()] {
        let mirror = mirrors(root.path()).mirror(&url).unwrap();
        for outcome in [mirror.heads(&dev(), SOON).await.map(drop), mirror.fetch(&dev(), SOON).await] {
            let (error, hint) = failure(outcome);
            assert!(error.contains("is a SHA-256 repository") && hint.contains("SHA-1"), "{url}: {error}; {hint}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shallow_repository_is_refused_in_these_words() {
    let root = tempfile::tempdir().unwrap();
    let (remote, server) = served(root.path());
    remote.commit("dev", "Go on", &[("a", "1")]);
    let (from, to) = (format!("file://{}", remote.url()), root.path().join("served/shallow.git"));
    remote.git(&["clone", "--quiet", "--bare", "--depth=1", "--branch=dev", &from, to.to_str().unwrap()]);
    for url in [server.url("", "shallow.git"), to.to_str().unwrap().to_owned()] {
        let mirror = mirrors(root.path()).mirror(&url).unwrap();
        let (error, hint) = failure(mirror.fetch(&dev(), SOON).await);
        assert!(error.contains("shallow") && hint.contains("git fetch --unshallow"), "{url}: {error}; {hint}");
    }
}
