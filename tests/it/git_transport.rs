//! Git over smart HTTP, and what happens when the other side misbehaves.

use crate::git::{SOON, failure, mirrors, options, pin};
use crate::support::http_git::{HttpGit, Trouble};
use crate::support::repo::TestRepo;
use serde_json::json;
use std::time::{Duration, Instant};
use tidegate::providers::Fault;
use tidegate::providers::git::{Forwarded, GitOptions, Mirrors};

const CONFIG: &str = "{\n  \"tag\": \"v1\"\n}\n";

fn served(root: &std::path::Path) -> (TestRepo, HttpGit) {
    let remote = TestRepo::with(root.join("served/image.git"), "dev", &[("config.json", CONFIG)]);
    (remote, HttpGit::start(&root.join("served"), None))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forward_commit_travels_over_smart_http() {
    let root = tempfile::tempdir().unwrap();
    let (remote, server) = served(root.path());
    let mirror = mirrors(root.path()).mirror(&server.url("", "image.git")).unwrap();
    let heads = mirror.heads(&["dev".to_owned(), "qa".to_owned()], SOON).await.unwrap();
    assert_eq!((&heads["dev"], &heads["qa"]), (&remote.head("dev"), &None));

    for (key, value) in [("run-1", "v2"), ("run-2", "v3")] {
        let change = pin("dev", key, "config.json", &[("/tag", json!(value))]);
        assert!(matches!(mirror.forward(&change, SOON).await.unwrap(), Forwarded::Committed { .. }));
    }

    assert_eq!(remote.log("dev"), ["Pin run-2", "Pin run-1", "Begin"]);
    let fetches =
        server.requests().iter().filter(|request| request.ends_with("POST /image.git/git-upload-pack")).count();
    // One to list the heads, two for the first fetch; the second commit goes on from what was pushed.
    assert_eq!(fetches, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_of_the_url_are_used_and_never_shown() {
    let root = tempfile::tempdir().unwrap();
    let remote = TestRepo::with(root.path().join("served/image.git"), "dev", &[("config.json", CONFIG)]);
    let server = HttpGit::start(&root.path().join("served"), Some("Basic Ym90OnMzY3JldA=="));
    let change = pin("dev", "run-1", "config.json", &[("/tag", json!("v2"))]);

    let wrong = mirrors(root.path()).mirror(&server.url("bot:wr0ng@", "image.git")).unwrap();
    let (error, hint) = failure(wrong.forward(&change, SOON).await);
    assert!(!error.contains("wr0ng") && hint.contains("credentials"), "{error}; {hint}");
    let none = mirrors(root.path()).mirror(&server.url("", "image.git")).unwrap();
    let (error, _) = failure(none.forward(&change, SOON).await);
    assert!(error.contains("git said"), "{error}");

    let right = mirrors(root.path()).mirror(&server.url("bot:s3cret@", "image.git")).unwrap();
    assert!(!right.url().contains("s3cret"));
    assert!(matches!(right.forward(&change, SOON).await.unwrap(), Forwarded::Committed { .. }));
    assert_eq!(remote.log("dev"), ["Pin run-1", "Begin"]);
    let written = std::process::Command::new("grep").args(["-r", "s3cret"]).arg(root.path()).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&written.stdout), "", "no file holds the password");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_whose_answer_was_lost_is_one_commit() {
    let root = tempfile::tempdir().unwrap();
    let (remote, server) = served(root.path());
    let mirror = mirrors(root.path()).mirror(&server.url("", "image.git")).unwrap();
    let before = remote.head("dev").unwrap();
    server.set_trouble(Trouble::DropAfterPush);
    let change = pin("dev", "run-1", "config.json", &[("/tag", json!("v2"))]);

    let forwarded = mirror.forward(&change, SOON).await.unwrap();

    assert_eq!(forwarded, Forwarded::Committed { commit: remote.head("dev").unwrap(), parent: before });
    assert_eq!(remote.log("dev"), ["Pin run-1", "Begin"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hung_remote_meets_its_deadline_and_stalls_nothing_else() {
    let root = tempfile::tempdir().unwrap();
    let (_remote, server) = served(root.path());
    server.set_trouble(Trouble::Hang);
    let well = TestRepo::with(root.path().join("well.git"), "dev", &[("config.json", CONFIG)]);
    let mirrors = mirrors(root.path());
    let hung = mirrors.mirror(&server.url("", "image.git")).unwrap();
    let lively = mirrors.mirror(&well.url()).unwrap();
    let change = pin("dev", "run-1", "config.json", &[("/tag", json!("v2"))]);

    let patience = Duration::from_secs(3);
    let begun = Instant::now();
    let (waiting, behind) = (std::sync::Arc::clone(&hung), std::sync::Arc::clone(&hung));
    let (first, second) = (change.clone(), change.clone());
    let first = tokio::spawn(async move { waiting.forward(&first, patience).await });
    let second = tokio::spawn(async move { behind.forward(&second, patience).await });
    lively.forward(&change, SOON).await.unwrap();
    assert!(!first.is_finished() && !second.is_finished());

    let outcome = first.await.unwrap();
    assert!(matches!(&outcome, Err(Fault::Retry { error, .. }) if error.contains("deadline")), "{outcome:?}");
    assert!(matches!(second.await.unwrap(), Err(Fault::Retry { .. })));
    assert!(begun.elapsed() < patience + Duration::from_secs(2));
    server.set_trouble(Trouble::None);
    assert!(matches!(hung.forward(&change, SOON).await.unwrap(), Forwarded::Committed { .. }));
}

#[tokio::test(flavor = "multi_thread")]
async fn git_dies_with_its_whole_group_when_nobody_waits_for_it_any_more() {
    let root = tempfile::tempdir().unwrap();
    // A `git` that starts a child of its own, says who they are, and never ends.
    let program = root.path().join("git");
    let pids = root.path().join("pids");
    let script = format!("#!/bin/sh\nsleep 600 &\necho $$ $! > {0}.new\nmv {0}.new {0}\nwait\n", pids.display());
    std::fs::write(&program, script).unwrap();
    std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let mirrors = Mirrors::open(root.path().join("mirrors"), GitOptions { program, ..options() }).unwrap();
    let mirror = mirrors.mirror("https://host.invalid/image.git").unwrap();

    let asking = tokio::spawn(async move { mirror.heads(&["dev".to_owned()], SOON).await });
    wait_until(|| pids.exists()).await;
    let pids = std::fs::read_to_string(&pids).unwrap();
    asking.abort();

    for pid in pids.split_whitespace() {
        // A killed process may be a zombie until its parent looks.
        let stat = format!("/proc/{pid}/stat");
        wait_until(|| std::fs::read_to_string(&stat).map_or(true, |stat| stat.contains(") Z "))).await;
    }
}

async fn wait_until(holds: impl Fn() -> bool) {
    let deadline = Instant::now() + SOON;
    while !holds() {
        assert!(Instant::now() < deadline, "it did not come about in time");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_server_is_tried_again_and_a_refusing_one_is_explained() {
    let root = tempfile::tempdir().unwrap();
    let (remote, server) = served(root.path());
    let mirror = mirrors(root.path()).mirror(&server.url("", "image.git")).unwrap();
    let change = pin("dev", "run-1", "config.json", &[("/tag", json!("v2"))]);
    server.set_trouble(Trouble::Say("500 Internal Server Error", ""));
    let outcome = mirror.forward(&change, SOON).await;
    assert!(matches!(&outcome, Err(Fault::Retry { error, .. }) if error.contains("500")), "{outcome:?}");
    server.set_trouble(Trouble::None);
    remote.hook("pre-receive", "#!/bin/sh\necho 'dev is protected' >&2\nexit 1\n");
    let (error, hint) = failure(mirror.forward(&change, SOON).await);
    assert!(error.contains("dev is protected") && error.contains("refused a push to dev"), "{error}");
    assert!(hint.contains("branch protection"));
    let absent = mirrors(root.path()).mirror(&server.url("", "absent.git")).unwrap();
    let (_, hint) = failure(absent.forward(&change, SOON).await);
    assert!(hint.contains("correct the repository's URL"), "{hint}");
}

#[tokio::test(flavor = "multi_thread")]
async fn tags_are_read_with_the_heads_and_name_what_they_lead_to() {
    let root = tempfile::tempdir().unwrap();
    let (remote, server) = served(root.path());
    let first = remote.head("dev").unwrap();
    remote.git(&["tag", "1.0.0", &first]);
    remote.git(&["tag", "--annotate", "-m", "Twice", "releases/1.0.1", "1.0.0"]);
    remote.git(&["tag", "tree", &format!("{first}^{{tree}}")]);
    for url in [remote.url(), server.url("", "image.git")] {
        let root = tempfile::tempdir().unwrap();
        let mirror = mirrors(root.path()).mirror(&url).unwrap();
        let refs = mirror.heads_and_tags(&["dev".to_owned()], SOON).await.unwrap();
        assert_eq!(refs.heads["dev"].as_ref(), Some(&first), "{url}");
        assert_eq!(refs.tags.len(), 3, "{url}: {:?}", refs.tags);
        assert_eq!((&refs.tags["1.0.0"], &refs.tags["releases/1.0.1"]), (&first, &first), "{url}");
        assert_ne!(refs.tags["tree"], first);
    }
}
