//! Signatures on commits: ours, made by the programs that git uses, and those of others, where rules require them.

pub(crate) mod authority;
pub(crate) mod gnupg;
mod identity;
pub(crate) mod keys;
mod others;
mod tells;
mod whose;

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use serde_json::json;
use tidegate::providers::{
    Fault,
    git::{
        Forwarded, GitOptions, MergeChange, Merged, Mirrors, Proofs, RestoreChange, Restored, Signer, SigningFormat,
    },
};

use self::{
    gnupg::{Gnupg, gnupg_is_here},
    keys::ssh_key,
};
use crate::git::{SOON, failure, message, options, pin, place};
use crate::support::repo::{TestRepo, hermetic_git};

const CONFIG: &str = "{ \"tag\": \"v1\" }\n";

fn signer(format: SigningFormat, key: &str) -> Signer {
    let (program, key) = (PathBuf::from(format.program()), key.to_owned());
    Signer { format, key, program, environment: Vec::new(), deadline: Duration::from_secs(20) }
}

fn signed_mirrors(root: &Path, signer: Signer) -> Mirrors {
    let options = GitOptions { proofs: Proofs::with(&[7; 32]).signed_by(Some(signer)), ..options() };
    Mirrors::open(root.join("mirrors"), options).unwrap()
}

/// What git says of a commit's signature, given where the keys are.
fn verdict(remote: &TestRepo, commit: &str, settings: &[(&str, &str)], gnupg: Option<&Gnupg>) -> String {
    let mut git = hermetic_git(&remote.directory);
    for (name, value) in settings {
        git.args(["-c", &format!("{name}={value}")]);
    }
    git.envs(gnupg.map(|gnupg| ("GNUPGHOME", gnupg.home())));
    let output = git.args(["log", "-1", "--format=%G?", commit]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A forward commit, a merge and a way back, each made twice: signed, ours by their proof, and there once.
async fn all_kinds_are_signed(root: &Path, signer: Signer, is_good: impl Fn(&TestRepo, &str) -> bool) {
    let remote = TestRepo::with(root.join("image.git"), "dev", &[("config.json", CONFIG)]);
    let begin = remote.head("dev").unwrap();
    remote.set_branch("qa", &begin);
    let mirrors = signed_mirrors(root, signer);
    let mirror = mirrors.mirror(&remote.url()).unwrap();
    mirror.fetch(&["dev", "qa"].map(str::to_owned), SOON).await.unwrap();

    let change = pin("dev", "run-1", "config.json", &[("/tag", json!("v2"))]);
    let Forwarded::Committed { commit, .. } = mirror.forward(&change, SOON).await.unwrap() else { panic!() };
    assert!(is_good(&remote, &commit), "the forward commit");
    assert_eq!(mirror.forward(&change, SOON).await.unwrap(), Forwarded::AlreadyThere { commit: commit.clone() });
    let new = mirror.new_commits(&[place("dev")], std::slice::from_ref(&begin), &commit).await.unwrap();
    assert_eq!((new.keys, new.authors.len()), (vec!["run-1".to_owned()], 0), "it is ours");
    remote.git(&["fsck", "--strict", "--no-dangling"]);

    let merge = MergeChange {
        source_commit: commit.clone(),
        branch: "qa".to_owned(),
        back_from: None,
        pins: Vec::new(),
        kept: Vec::new(),
        message: message("promote-1"),
    };
    let Merged::Committed { commit: merged } = mirror.merge(&merge, SOON).await.unwrap() else { panic!() };
    assert!(is_good(&remote, &merged), "the merge");
    assert_eq!(mirror.merge(&merge, SOON).await.unwrap(), Merged::AlreadyThere { commit: merged.clone() });

    let back = RestoreChange {
        to: begin.clone(),
        from: merged.clone(),
        branch: "qa".to_owned(),
        pins: Vec::new(),
        message: message("rollback-1"),
    };
    let Restored::Committed { commit: restored, .. } = mirror.restore(&back, SOON).await.unwrap() else { panic!() };
    assert!(is_good(&remote, &restored), "the way back");
    assert_eq!(mirror.restore(&back, SOON).await.unwrap(), Restored::AlreadyThere { commit: restored.clone() });
    assert_eq!(mirror.commit_of_key(&place("qa"), "rollback-1", SOON).await.unwrap(), Some(restored.clone()));

    // Neither the proof nor the signature holds for another content.
    let raw = remote.git(&["cat-file", "commit", &restored]);
    let forged = remote.write_commit(&(raw.replacen("Pin rollback-1", "Pin rollback-1!", 1) + "\n"));
    assert!(!is_good(&remote, &forged));
    remote.set_branch("qa", &forged);
    let other = mirror.commit_of_key(&place("qa"), "rollback-1", SOON).await.unwrap();
    assert_ne!(other, Some(forged), "the proof is of all but the signature");
}

#[tokio::test]
async fn commits_are_signed_with_an_ssh_key() {
    let root = tempfile::tempdir().unwrap();
    let key = ssh_key(root.path(), "bot", "");
    let public = std::fs::read_to_string(key.with_extension("pub")).unwrap();
    let allowed = root.path().join("allowed_signers");
    std::fs::write(&allowed, format!("tidegate@example.org {public}")).unwrap();
    let settings = [("gpg.ssh.allowedSignersFile", allowed.to_str().unwrap())];
    let is_good = |remote: &TestRepo, commit: &str| verdict(remote, commit, &settings, None) == "G";
    all_kinds_are_signed(root.path(), signer(SigningFormat::Ssh, key.to_str().unwrap()), is_good).await;
}

#[tokio::test]
async fn commits_are_signed_with_gpg() {
    if !gnupg_is_here("gpg") {
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let gnupg = Gnupg::with_a_key("Tidegate <tidegate@example.org>", "");
    let signer = Signer { environment: gnupg.environment(), ..signer(SigningFormat::Openpgp, "tidegate@example.org") };
    let is_good = |remote: &TestRepo, commit: &str| verdict(remote, commit, &[], Some(&gnupg)) == "G";
    all_kinds_are_signed(root.path(), signer, is_good).await;
}

#[tokio::test]
async fn commits_are_signed_with_a_certificate() {
    if !gnupg_is_here("gpgsm") {
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let (gnupg, fingerprint) = Gnupg::with_a_certificate();
    let signer = Signer { environment: gnupg.environment(), ..signer(SigningFormat::X509, &fingerprint) };
    let is_good = |remote: &TestRepo, commit: &str| {
        // That a certificate of a test is nobody's is no matter here.
        matches!(verdict(remote, commit, &[("gpg.format", "x509")], Some(&gnupg)).as_str(), "G" | "U")
    };
    all_kinds_are_signed(root.path(), signer, is_good).await;
}

#[tokio::test]
async fn what_cannot_sign_says_what_to_do_and_pushes_nothing() {
    let root = tempfile::tempdir().unwrap();
    let remote = TestRepo::with(root.path().join("image.git"), "dev", &[("config.json", CONFIG)]);
    let begin = remote.head("dev").unwrap();
    let change = pin("dev", "run-1", "config.json", &[("/tag", json!("v2"))]);
    let locked = ssh_key(root.path(), "locked", "a passphrase");
    let open = ssh_key(root.path(), "open", "");
    std::fs::set_permissions(&open, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    let with = |key: &Path| signer(SigningFormat::Ssh, key.to_str().unwrap());
    let mut cases = vec![
        (with(&root.path().join("nowhere")), "No such file", "name it as `key` in `[identity] signing`"),
        (with(&locked), "passphrase", "nobody can be asked here"),
        (with(&open), "are too open", "chmod 600"),
        (Signer { program: "no-such-signer".into(), ..with(&locked) }, "'no-such-signer' cannot be run", "install it"),
    ];
    let gnupg = gnupg_is_here("gpg").then(|| Gnupg::with_a_key("Locked <locked@example.org>", "a passphrase"));
    if let Some(gnupg) = &gnupg {
        let gpg = |key| Signer { environment: gnupg.environment(), ..signer(SigningFormat::Openpgp, key) };
        cases.push((gpg("nobody@example.org"), "No secret key", "give the server's user a private key"));
        cases.push((gpg("locked@example.org"), "cannot be signed", "nobody can be asked here"));
    }
    for (number, (signer, expected, hint)) in cases.into_iter().enumerate() {
        let mirrors = signed_mirrors(&root.path().join(number.to_string()), signer);
        let (error, said) = failure(mirrors.mirror(&remote.url()).unwrap().forward(&change, SOON).await);
        assert!(error.contains(expected) && said.contains(hint), "{error}: {said}");
    }
    assert_eq!(remote.head("dev"), Some(begin));
}

#[tokio::test]
async fn an_agent_that_hangs_is_ended_at_its_deadline_and_the_mirror_goes_on() {
    let root = tempfile::tempdir().unwrap();
    let remote = TestRepo::with(root.path().join("image.git"), "dev", &[("config.json", CONFIG)]);
    let program = root.path().join("hangs");
    let pid = root.path().join("pid");
    std::fs::write(&program, format!("#!/bin/sh\nsleep 600 & echo $! > {}\nwait\n", pid.display())).unwrap();
    std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let hanging = Signer { program, deadline: Duration::from_secs(1), ..signer(SigningFormat::Ssh, "key") };
    let mirrors = signed_mirrors(root.path(), hanging);
    let mirror = mirrors.mirror(&remote.url()).unwrap();
    let change = pin("dev", "run-1", "config.json", &[("/tag", json!("v2"))]);
    let begun = Instant::now();
    let Err(Fault::Retry { error, .. }) = mirror.forward(&change, SOON).await else { panic!("it is tried again") };
    assert!(error.contains("did not end within 1s, and was killed: does its agent wait for somebody"), "{error}");
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
    let child = std::fs::read_to_string(&pid).unwrap();
    let is_gone = || {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.trim())).unwrap_or_default();
        stat.is_empty() || stat.contains(") Z ")
    };
    let patience = Instant::now();
    while !is_gone() {
        assert!(patience.elapsed() < SOON, "its children end with it");
        std::thread::yield_now();
    }
    assert_eq!(mirror.heads(&["dev".to_owned()], SOON).await.unwrap()["dev"], remote.head("dev"));
}
