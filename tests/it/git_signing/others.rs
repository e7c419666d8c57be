//! What others push where signatures are required: it is carried when all of it is signed by somebody who is listed.

use std::{collections::BTreeSet, path::Path};

use serde_json::json;
use tidegate::providers::git::{Forwarded, GitOptions, Mirror, Mirrors, Signers, Unsigned};

use super::{
    gnupg::{Gnupg, gnupg_is_here},
    keys::ssh_key,
};
use crate::git::{SOON, options, pin, place};
use crate::support::repo::{TestRepo, hermetic_git};

fn remote(root: &Path) -> TestRepo {
    TestRepo::with(root.join("image.git"), "dev", &[("config.json", "{ \"tag\": \"v1\" }\n")])
}

/// Commits on top of dev, signed by a key.
fn signed(remote: &TestRepo, subject: &str, settings: &[(&str, &str)], gnupg: Option<&Gnupg>) -> String {
    let (head, tree) = (remote.head("dev").unwrap(), remote.git(&["rev-parse", "dev^{tree}"]));
    let mut git = hermetic_git(&remote.directory);
    git.envs(gnupg.map(|gnupg| ("GNUPGHOME", gnupg.home())));
    for (name, value) in settings {
        git.args(["-c", &format!("{name}={value}")]);
    }
    for who in ["AUTHOR", "COMMITTER"] {
        git.env(format!("GIT_{who}_NAME"), "Ada").env(format!("GIT_{who}_EMAIL"), "ada@example.org");
    }
    let made = git.args(["commit-tree", "-S", "-p", &head, "-m", subject, &tree]).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let commit = String::from_utf8(made.stdout).unwrap().trim().to_owned();
    remote.set_branch("dev", &commit);
    commit
}

fn with_ssh(key: &Path) -> [(&'static str, String); 2] {
    [("gpg.format", "ssh".to_owned()), ("user.signingKey", key.display().to_string())]
}

fn mirrors(root: &Path, signers: Signers) -> Mirrors {
    let options = GitOptions { signers, ..options() };
    Mirrors::open(root.join("mirrors"), options).unwrap()
}

async fn unsigned(mirror: &Mirror, remote: &TestRepo, known: &[&str]) -> Option<Unsigned> {
    mirror.fetch(&["dev".to_owned()], SOON).await.unwrap();
    let known: Vec<String> = known.iter().map(|commit| (*commit).to_owned()).collect();
    mirror.unsigned(&[place("dev")], &known, &remote.head("dev").unwrap(), SOON).await.unwrap()
}

fn borrowed<'text>(settings: &'text [(&'static str, String); 2]) -> Vec<(&'static str, &'text str)> {
    settings.iter().map(|(name, value)| (*name, value.as_str())).collect()
}

#[tokio::test]
async fn commits_count_that_a_listed_ssh_key_signed_and_our_own() {
    let root = tempfile::tempdir().unwrap();
    let remote = remote(root.path());
    let begin = remote.head("dev").unwrap();
    let (listed, other) = (ssh_key(root.path(), "listed", ""), ssh_key(root.path(), "other", ""));
    let allowed = root.path().join("allowed_signers");
    let public = std::fs::read_to_string(listed.with_extension("pub")).unwrap();
    std::fs::write(&allowed, format!("ada@example.org namespaces=\"git\" {public}")).unwrap();
    let mirrors = mirrors(root.path(), Signers { ssh: Some(allowed.clone()), ..Signers::default() });
    let mirror = mirrors.mirror(&remote.url()).unwrap();

    let refused = unsigned(&mirror, &remote, &[]).await.unwrap();
    assert_eq!((refused.commit.as_str(), refused.why.as_str()), (begin.as_str(), "it has no signature"));
    let good = signed(&remote, "Sell more", &borrowed(&with_ssh(&listed)), None);
    assert_eq!(unsigned(&mirror, &remote, &[&begin]).await, None);
    assert_eq!(unsigned(&mirror, &remote, &[]).await, None, "where nothing is known, the head alone is asked");
    let change = pin("dev", "run-1", "config.json", &[("/tag", json!("v2"))]);
    let Forwarded::Committed { commit: ours, .. } = mirror.forward(&change, SOON).await.unwrap() else { panic!() };
    assert_eq!(unsigned(&mirror, &remote, &[&begin]).await, None, "a commit of ours has its proof");

    let bad = signed(&remote, "Sell less", &borrowed(&with_ssh(&other)), None);
    let refused = unsigned(&mirror, &remote, &[&begin]).await.unwrap();
    assert_eq!((&refused.commit, refused.author.as_str()), (&bad, "Ada <ada@example.org>"));
    assert!(
        refused.why.starts_with("it is signed with the key SHA256:") && refused.why.ends_with("which is not listed")
    );
    let on_top = signed(&remote, "Sell more again", &borrowed(&with_ssh(&listed)), None);
    assert_eq!(unsigned(&mirror, &remote, &[&ours]).await.unwrap().commit, bad, "what is signed on top does not help");
    assert_eq!(unsigned(&mirror, &remote, &[&bad]).await, None);

    // Somebody else's content under a listed signature, and a commit that only says that it is ours.
    let raw = remote.git(&["cat-file", "commit", &good]);
    remote.set_branch("dev", &remote.write_commit(&(raw.replacen("Sell more", "Sell all", 1) + "\n")));
    let refused = unsigned(&mirror, &remote, &[&begin]).await.unwrap();
    assert_eq!(refused.why, "its signature is not of this commit: one of the two was changed");
    remote.set_branch("dev", &on_top);
    let forged = remote.commit("dev", "Forge\n\nTidegate-System: webshop\nTidegate-Key: run-9", &[("a", "1")]);
    let refused = unsigned(&mirror, &remote, &[&on_top]).await.unwrap();
    assert_eq!((refused.commit, refused.why.as_str()), (forged, "it has no signature"));
    assert_eq!(
        refused_text(&mirror, &remote, &on_top).await,
        "is not carried: it has no signature; sign it with a listed key and push it again, or list the key in `signers` of \
         tidegate.toml; `require_signatures` of the rules asks for it"
    );

    let nobody = super::others::mirrors(&root.path().join("nobody"), Signers::default());
    remote.set_branch("dev", &good);
    let refused = unsigned(&nobody.mirror(&remote.url()).unwrap(), &remote, &[&begin]).await.unwrap();
    assert_eq!(refused.why, "it is signed, and `signers` of tidegate.toml lists nobody for ssh");
}

async fn refused_text(mirror: &Mirror, remote: &TestRepo, known: &str) -> String {
    let fault = unsigned(mirror, remote, &[known]).await.unwrap().refused("image", "dev").whole();
    assert!(fault.contains("on dev of image by Ada <ada@example.org> (\"Forge\")"), "{fault}");
    fault[fault.find("is not carried").unwrap()..].to_owned()
}

#[tokio::test]
async fn commits_count_that_a_key_of_the_keyring_signed() {
    if !gnupg_is_here("gpg") {
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let remote = remote(root.path());
    let begin = remote.head("dev").unwrap();
    let (ada, eve, ring) = (
        Gnupg::with_a_key("Ada <ada@example.org>", ""),
        Gnupg::with_a_key("Eve <eve@example.org>", ""),
        Gnupg::empty(),
    );
    let public = ada.run("gpg", &["--armor", "--export", "ada@example.org"], "");
    ring.run("gpg", &["--batch", "--import"], &public);
    let signers = Signers { openpgp: Some(ring.home().into()), ..Signers::default() };
    let mirrors = mirrors(root.path(), signers);
    let mirror = mirrors.mirror(&remote.url()).unwrap();
    let good = signed(&remote, "Sell more", &[("user.signingKey", "ada@example.org")], Some(&ada));
    assert_eq!(unsigned(&mirror, &remote, &[&begin]).await, None);
    let bad = signed(&remote, "Sell less", &[("user.signingKey", "eve@example.org")], Some(&eve));
    let refused = unsigned(&mirror, &remote, &[&good]).await.unwrap();
    assert_eq!(
        (refused.commit, refused.why.as_str()),
        (bad, "its signature cannot be verified: the key is not listed")
    );
}

#[tokio::test]
async fn commits_count_that_a_listed_certificate_signed() {
    if !gnupg_is_here("gpgsm") {
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let remote = remote(root.path());
    let begin = remote.head("dev").unwrap();
    let (gnupg, fingerprint) = Gnupg::with_a_certificate();
    signed(&remote, "Sell more", &[("gpg.format", "x509"), ("user.signingKey", &fingerprint)], Some(&gnupg));
    for (listed, counts) in [(fingerprint.clone(), true), ("00".repeat(20), false)] {
        let x509 = BTreeSet::from([listed]);
        let mut options = GitOptions { signers: Signers { x509, ..Signers::default() }, ..options() };
        options.environment.extend(gnupg.environment());
        let mirrors = Mirrors::open(root.path().join(format!("mirrors-{counts}")), options).unwrap();
        let refused = unsigned(&mirrors.mirror(&remote.url()).unwrap(), &remote, &[&begin]).await;
        assert_eq!(refused.is_none(), counts, "{refused:?}");
    }
}
