//! Which commits are ours, whatever others write, copy and push; and who wrote the rest, as a watch tells it.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    time::Duration,
};

use serde_json::json;
use tidegate::{
    engine::{CommitId, HeadSeen, Outcome, WatchWork},
    providers::{
        git::{CommitPlace, Forwarded, GitOptions, Mirror, Mirrors, NewCommits, Proofs},
        quarantine::Quarantine,
    },
    rules::{RepositoryName, StageName, SystemName},
    watch::{PlaceKind, Places, Watching, watch},
};

use crate::git::{SOON, mirrors, options, pin, place};
use crate::support::repo::TestRepo;

const CONFIG: &str = "{ \"tag\": \"v1\" }\n";
const FORGED: &str = "Tidegate-System: webshop\nTidegate-Key: run-1";

fn remote(root: &Path) -> TestRepo {
    TestRepo::with(root.join("image.git"), "dev", &[("config.json", CONFIG)])
}

/// What is new on `dev` since a commit.
async fn new_since(mirror: &Mirror, remote: &TestRepo, known: &str) -> NewCommits {
    mirror.fetch(&["dev".to_owned()], SOON).await.unwrap();
    mirror.new_commits(&[place("dev")], &[known.to_owned()], &remote.head("dev").unwrap()).await.unwrap()
}

#[tokio::test]
async fn a_key_in_somebodys_message_is_not_ours() {
    let root = tempfile::tempdir().unwrap();
    let remote = remote(root.path());
    let begin = remote.head("dev").unwrap();
    remote.commit("dev", &format!("Mend it\n\n{FORGED}"), &[("a", "1")]);
    let proof = "0".repeat(64);
    remote.commit("dev", &format!("Mend it\n\n{FORGED}\nTidegate-Proof: {proof}"), &[("a", "2")]);
    let mirror = mirrors(root.path()).mirror(&remote.url()).unwrap();

    let new = new_since(&mirror, &remote, &begin).await;
    assert_eq!((new.keys.len(), new.authors.len(), new.complete), (0, 1, true), "{new:?}");
    assert!(new.authors.contains("Ada <ada@example.org>"), "{new:?}");
    assert_eq!(mirror.commit_of_key(&place("dev"), "run-1", SOON).await.unwrap(), None);
    let change = pin("dev", "run-1", "config.json", &[("/tag", json!("v2"))]);
    assert!(matches!(mirror.forward(&change, SOON).await.unwrap(), Forwarded::Committed { .. }), "it was never done");
}

#[tokio::test]
async fn a_proof_is_of_one_commit_in_one_place() {
    let root = tempfile::tempdir().unwrap();
    let remote = remote(root.path());
    let begin = remote.head("dev").unwrap();
    remote.set_branch("qa", &begin);
    let mirror = mirrors(root.path()).mirror(&remote.url()).unwrap();
    let change = pin("dev", "run-1", "config.json", &[("/tag", json!("v2"))]);
    let Forwarded::Committed { commit, .. } = mirror.forward(&change, SOON).await.unwrap() else { panic!() };
    assert_eq!(new_since(&mirror, &remote, &begin).await.keys, ["run-1"]);
    let found = mirror.commit_of_key(&place("dev"), "run-1", SOON).await.unwrap();
    assert_eq!(found.as_ref(), Some(&commit));

    // The same commit elsewhere: another branch, repository, system.
    remote.set_branch("qa", &commit);
    assert_eq!(mirror.commit_of_key(&place("qa"), "run-1", SOON).await.unwrap(), None);
    for other in [
        CommitPlace { repository: "software".to_owned(), ..place("dev") },
        CommitPlace { system: "shop".to_owned(), ..place("dev") },
    ] {
        assert_eq!(mirror.commit_of_key(&other, "run-1", SOON).await.unwrap(), None, "{other:?}");
    }

    // The same words on another content, on another parent, by another author, with a word more.
    let message = remote.git(&["log", "-1", "--format=%B", &commit]);
    let tree = remote.tree(Some(&begin), &[("100644", "config.json", "{ \"tag\": \"mine\" }\n")]);
    let of_ours = remote.git(&["rev-parse", &format!("{commit}^{{tree}}")]);
    let raw = remote.git(&["cat-file", "commit", &commit]);
    for copy in [
        remote.commit_tree("dev", &message, &tree, std::slice::from_ref(&begin)),
        remote.commit_tree("dev", &message, &of_ours, std::slice::from_ref(&commit)),
        remote.write_commit(&raw.replacen("Tidegate <", "Ada <", 1)),
        remote.write_commit(&raw.replacen("Pin run-1", "Pin run-1!", 1)),
    ] {
        remote.set_branch("dev", &copy);
        let mirrors = mirrors(&root.path().join(&copy));
        let found = mirrors.mirror(&remote.url()).unwrap().commit_of_key(&place("dev"), "run-1", SOON).await.unwrap();
        assert_ne!(found.as_ref(), Some(&copy));
    }
}

#[tokio::test]
async fn another_installation_proves_nothing() {
    let root = tempfile::tempdir().unwrap();
    let remote = remote(root.path());
    let begin = remote.head("dev").unwrap();
    let of = |secret: [u8; 32], folder: &str| {
        let options = GitOptions { proofs: Proofs::with(&secret), ..options() };
        Mirrors::open(root.path().join(folder), options).unwrap().mirror(&remote.url()).unwrap()
    };
    let theirs = of([1; 32], "theirs");
    theirs.forward(&pin("dev", "run-1", "config.json", &[("/tag", json!("v2"))]), SOON).await.unwrap();
    let new = new_since(&of([2; 32], "ours"), &remote, &begin).await;
    assert!(new.keys.is_empty() && new.authors.contains("Tidegate <tidegate@example.org>"), "{new:?}");
    assert_eq!(format!("{:?}", Proofs::with(&[7; 32])), "Proofs(…)");
}

#[tokio::test]
async fn a_commit_of_another_system_here_is_that_systems_and_no_forgery() {
    let root = tempfile::tempdir().unwrap();
    let remote = remote(root.path());
    let begin = remote.head("dev").unwrap();
    let mirror = mirrors(root.path()).mirror(&remote.url()).unwrap();
    let mut change = pin("dev", "shop/run-1", "config.json", &[("/tag", json!("v2"))]);
    // The other system has its own name, and calls the repository otherwise.
    (change.message.system, change.message.repository) = ("shop".to_owned(), "base".to_owned());
    change.message.trailers = [("Tidegate-System", "shop"), ("Tidegate-Repository", "base")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
    let Forwarded::Committed { commit, .. } = mirror.forward(&change, SOON).await.unwrap() else { panic!() };
    let new = new_since(&mirror, &remote, &begin).await;
    assert_eq!((new.keys.len(), new.complete), (0, true), "it is no step of this system");
    assert_eq!(new.authors, BTreeSet::from(["Tidegate for shop <tidegate@example.org>".to_owned()]));
    let unsigned = mirror.unsigned(&[place("dev")], std::slice::from_ref(&begin), &commit, SOON).await.unwrap();
    assert_eq!(unsigned, None, "it has its proof");

    // Whoever says so without the proof is who they are.
    let forged = remote.git(&["cat-file", "commit", &commit]).replacen("Pin shop", "Pin Shop", 1);
    remote.set_branch("dev", &remote.write_commit(&(forged + "\n")));
    let new = new_since(&mirror, &remote, &begin).await;
    assert_eq!(new.authors, BTreeSet::from(["Tidegate <tidegate@example.org>".to_owned()]));
}

/// Who wrote commits of Ada's with these committers, in order.
async fn written_with(root: &Path, forges: &[&str], committers: &[&str]) -> Vec<String> {
    let remote = remote(root);
    let begin = remote.head("dev").unwrap();
    let tree = remote.git(&["rev-parse", "dev^{tree}"]);
    let mut head = begin.clone();
    for committer in committers {
        let author = "Ada <ada@example.org> 1767225600 +0000";
        head = remote.write_commit(&format!(
            "tree {tree}\nparent {head}\nauthor {author}\ncommitter {committer} 1767225600 +0000\n\nGo on\n"
        ));
    }
    remote.set_branch("dev", &head);
    let options = GitOptions { forges: forges.iter().map(|forge| (*forge).to_owned()).collect(), ..options() };
    let mirror = Mirrors::open(root.join("mirrors"), options).unwrap().mirror(&remote.url()).unwrap();
    new_since(&mirror, &remote, &begin).await.authors.into_iter().collect()
}

#[tokio::test]
async fn only_a_forge_that_is_listed_commits_in_the_place_of_others() {
    let committers = ["GitHub <noreply@GitHub.com>", "Forge <noreply@elsewhere.example>", "X <x@github.com>"];
    let root = tempfile::tempdir().unwrap();
    let others = ["Ada <ada@example.org>", "Forge <noreply@elsewhere.example>", "X <x@github.com>"];
    assert_eq!(written_with(root.path(), &["github.com"], &committers).await, others);
    let root = tempfile::tempdir().unwrap();
    let all = ["Ada <ada@example.org>", "Forge <noreply@elsewhere.example>", "GitHub <noreply@GitHub.com>"];
    assert_eq!(written_with(root.path(), &[], &committers[..2]).await, all);
}

#[tokio::test]
async fn our_own_identity_without_a_proof_is_somebody_who_wrote_it() {
    let root = tempfile::tempdir().unwrap();
    let written = written_with(root.path(), &["github.com"], &["Tidegate <TIDEGATE@example.org>"]).await;
    assert_eq!(written, ["Ada <ada@example.org>", "Tidegate <TIDEGATE@example.org>"]);
}

#[tokio::test]
async fn co_authors_and_committers_wrote_it_as_well() {
    let root = tempfile::tempdir().unwrap();
    let remote = remote(root.path());
    let begin = remote.head("dev").unwrap();
    remote.commit("dev", "Mend it\n\nCo-authored-by: Linus <linus@example.org>\n\nAt last.", &[("a", "1")]);
    let mirror = mirrors(root.path()).mirror(&remote.url()).unwrap();
    let new = new_since(&mirror, &remote, &begin).await;
    assert_eq!(Vec::from_iter(new.authors), ["Ada <ada@example.org>", "Linus <linus@example.org>"]);
    let root = tempfile::tempdir().unwrap();
    let written = written_with(root.path(), &["github.com"], &["Grace <grace@example.org>"]).await;
    assert_eq!(written, ["Ada <ada@example.org>", "Grace <grace@example.org>"]);
}

/// What a watch sees of the repository's branches.
async fn seen(
    root: &Path,
    remote: &TestRepo,
    known: &[(&str, &str)],
    gone: &[(&str, &str)],
) -> BTreeMap<String, HeadSeen> {
    let stage = |name: &str| StageName::new(name).unwrap();
    let heads = |of: &[(&str, &str)]| of.iter().map(|(at, commit)| (stage(at), CommitId::new(*commit))).collect();
    let stages = ["dev", "main"];
    let work = WatchWork {
        system: SystemName::new("webshop").unwrap(),
        repository: RepositoryName::new("image").unwrap(),
        url: remote.url(),
        stages: stages.map(stage).into(),
        branches: stages.map(|name| (stage(name), name.to_owned())).into(),
        known: heads(known),
        gone: heads(gone),
        named: BTreeSet::new(),
        unread: BTreeMap::new(),
        seen: false,
        reachable: true,
        interval_ms: 1_000,
        pins: BTreeMap::new(),
        require_signatures: BTreeSet::new(),
        tags: None,
    };
    let (mirrors, looks) = (mirrors(root), Places::new(PlaceKind::Looks, 1));
    let quarantine = Quarantine::open(root.join("begun")).unwrap();
    let nudged = tokio::sync::Notify::new();
    let with = Watching {
        mirrors: &mirrors,
        looks: &looks,
        fetches: &looks,
        quarantine: &quarantine,
        nudged: &nudged,
        no_news: &|| {},
    };
    let looked = tokio::time::timeout(Duration::from_secs(60), watch(&work, with));
    let Outcome::Heads { heads, .. } = looked.await.unwrap() else { panic!("it was reached") };
    heads.into_iter().filter_map(|(stage, head)| Some((stage.to_string(), head?))).collect()
}

fn commits_of(remote: &TestRepo, count: usize) -> String {
    let tree = remote.git(&["rev-parse", "dev^{tree}"]);
    let mut head = remote.head("dev").unwrap();
    for number in 0..count {
        let person = format!("P{number} <p{number}@example.org> {} +0000", 1_767_300_000 + number);
        let commit = format!("tree {tree}\nparent {head}\nauthor {person}\ncommitter {person}\n\nGo on\n");
        head = remote.write_commit(&commit);
    }
    remote.set_branch("dev", &head);
    head
}

#[tokio::test]
async fn every_author_of_a_long_push_is_told() {
    let root = tempfile::tempdir().unwrap();
    let remote = remote(root.path());
    let begin = remote.head("dev").unwrap();
    commits_of(&remote, 150);
    let dev = seen(root.path(), &remote, &[("dev", &begin)], &[]).await.remove("dev").unwrap();
    assert_eq!((dev.authors.len(), dev.others_wrote), (150, false));
    commits_of(&remote, 600);
    let dev = seen(root.path(), &remote, &[("dev", &begin)], &[]).await.remove("dev").unwrap();
    assert!(dev.others_wrote, "more people than are kept");
}

#[tokio::test]
async fn what_was_there_before_is_looked_for_and_missed_aloud() {
    let root = tempfile::tempdir().unwrap();
    let remote = remote(root.path());
    let begin = remote.head("dev").unwrap();
    remote.set_branch("main", &begin);
    let head = commits_of(&remote, 3);
    let first_sight = seen(root.path(), &remote, &[], &[]).await;
    assert_eq!(
        (first_sight["dev"].authors.len(), first_sight["dev"].others_wrote),
        (3, false),
        "what main does not have"
    );
    assert_eq!((first_sight["main"].authors.len(), first_sight["main"].others_wrote), (1, false));
    let again = seen(root.path(), &remote, &[("main", &begin)], &[("dev", &begin)]).await;
    assert_eq!((again["dev"].authors.len(), again["dev"].others_wrote, again["dev"].forced), (3, false, false));
    let lost = seen(root.path(), &remote, &[("main", &begin), ("dev", &"1".repeat(40))], &[]).await;
    assert!(lost["dev"].others_wrote && lost["dev"].commit.as_str() == head, "{:?}", lost["dev"]);
}
