//! Who wrote a change, as signatures of OpenPGP and certificates tell: that of a key which is somebody's, and counts, says so; one
//! of a key that is foreign, expired, revoked or somebody else's, or over another commit, says nothing.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::TcpListener,
    os::unix::fs::PermissionsExt as _,
    path::Path,
};

use tidegate::{
    engine::{Access, Person},
    providers::git::{GitOptions, Mirrors, Signers},
    rules::KnownBy,
};

use super::{
    authority::Authority,
    gnupg::{Gnupg, gnupg_is_here},
    identity::{verdict, written},
};
use crate::git::options;
use crate::support::repo::{TestRepo, hermetic_git};

const LINUS: &str = "Linus <linus@x.example>";
const GRACE: &str = "Grace <grace@x.example>";
/// When keys were made that have expired since.
const ONCE: &str = "20200101T000000";
/// When they signed.
const THEN: &str = "--faked-system-time 20200115T000000";

/// A commit, and what is said of who wrote it: where the rules say nothing of identity, where they say `signature`, and why
/// the signature does not count.
struct Case {
    what: &'static str,
    commit: String,
    unsaid: &'static str,
    signature: &'static str,
    because: &'static str,
}

impl Case {
    /// Ada's signature counts: she is an author, and may not approve.
    fn counts(what: &'static str, commit: String) -> Self {
        Self { what, commit, unsaid: "an author", signature: "an author", because: "" }
    }

    /// In the name of somebody who lists a key; nothing that counts has signed it.
    fn refused(what: &'static str, commit: String, because: &'static str) -> Self {
        Self { what, commit, unsaid: "`override`", signature: "`override`", because }
    }
}

/// A remote to which people push what they signed.
struct Pushed {
    remote: TestRepo,
    begin: String,
}

impl Pushed {
    fn new(root: &Path) -> Self {
        let remote = TestRepo::with(root.join("software.git"), "main", &[("a", "1")]);
        Self { begin: remote.head("main").unwrap(), remote }
    }

    /// A commit in somebody's name, signed as these settings of git say.
    fn signed(&self, author: &str, gnupg: &Gnupg, settings: &[(&str, &str)]) -> String {
        let mut git = hermetic_git(&self.remote.directory);
        let (name, email) = author.trim_end_matches('>').split_once(" <").unwrap();
        for who in ["AUTHOR", "COMMITTER"] {
            git.env(format!("GIT_{who}_NAME"), name).env(format!("GIT_{who}_EMAIL"), email);
        }
        git.env("GNUPGHOME", gnupg.home());
        git.args(settings.iter().flat_map(|(name, value)| ["-c".to_owned(), format!("{name}={value}")]));
        let tree = format!("{}^{{tree}}", self.begin);
        let made = git.args(["commit-tree", "-S", "-p", &self.begin, "-m", "Sell more", &tree]).output().unwrap();
        assert!(made.status.success(), "{settings:?}: {}", String::from_utf8_lossy(&made.stderr));
        String::from_utf8(made.stdout).unwrap().trim().to_owned()
    }

    /// The text of a commit in Grace's name that nobody has signed.
    fn unsigned(&self) -> String {
        let tree = self.remote.git(&["rev-parse", "main^{tree}"]);
        let who = format!("{GRACE} 1768000000 +0000");
        format!("tree {tree}\nparent {}\nauthor {who}\ncommitter {who}\n\nSell more\n", self.begin)
    }

    /// A commit whose text bears a signature that was made elsewhere.
    fn bearing(&self, text: &str, signature: &str) -> String {
        let (head, message) = text.split_once("\n\n").unwrap();
        let lines = signature.trim_end().replace('\n', "\n ");
        self.remote.write_commit(&format!("{head}\ngpgsig {lines}\n\n{message}"))
    }

    /// The same commit in Grace's name, under the signature that was made for another's.
    fn moved(&self, signed: &str) -> String {
        self.remote.write_commit(&(self.remote.git(&["cat-file", "commit", signed]).replace(LINUS, GRACE) + "\n"))
    }

    /// Asks who wrote each of them, and compares.
    async fn judge(&self, root: &Path, options: GitOptions, people: &Access, cases: Vec<Case>) {
        let mirrors = Mirrors::open(root.join("mirrors"), options).unwrap();
        for (number, Case { what, commit, unsaid, signature, because }) in cases.into_iter().enumerate() {
            let branch = format!("case-{number}");
            self.remote.set_branch(&branch, &commit);
            for (identity, expected) in [(None, unsaid), (Some(KnownBy::Signature), signature)] {
                let written = written(&mirrors, &self.remote, (&branch, &commit, &self.begin), identity).await;
                assert_eq!(verdict(people, &written), expected, "{what}, {identity:?}: {written:?}");
                let doubts = people.doubts(&written).unwrap_or_default();
                let doubted = expected.contains("override");
                assert!(doubted != doubts.is_empty() && (!doubted || doubts.contains(because)), "{what}: {doubts}");
            }
            let names = written(&mirrors, &self.remote, (&branch, &commit, &self.begin), Some(KnownBy::Names)).await;
            assert!(names.signatures.is_empty() && people.doubts(&names).is_none(), "{what}: {names:?}");
        }
    }
}

/// The people: Ada lists these keys, Grace one of her own, Linus and Mary none.
fn people(ada: &[&str], grace: &str) -> Access {
    let person = |name: &str, keys: &[&str]| Person {
        emails: BTreeSet::from([format!("{name}@x.example")]),
        keys: keys.iter().map(|key| (*key).to_owned()).collect(),
        ..Person::default()
    };
    let people = [("ada", person("ada", ada)), ("grace", person("grace", &[grace]))].into_iter();
    let people = people.chain(["linus", "mary"].map(|name| (name, person(name, &[]))));
    let people: BTreeMap<String, Person> = people.map(|(name, person)| (name.to_owned(), person)).collect();
    Access { people, ..Access::default() }
}

/// A fingerprint as people copy it: in groups.
fn in_groups(fingerprint: &str, by: usize, between: &str) -> String {
    let groups: Vec<&str> = (0..fingerprint.len()).step_by(by).map(|at| &fingerprint[at..at + by]).collect();
    groups.join(between)
}

/// A program that signs with more options: as if it were January 2020, or without asking for lists of revoked certificates.
fn signing_with(root: &Path, name: &str, program: &str) -> String {
    let path = root.join(name);
    std::fs::write(&path, format!("#!/bin/sh\nexec {program} \"$@\"\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path.to_str().unwrap().to_owned()
}

#[tokio::test]
async fn who_signed_with_openpgp_wrote_it_and_a_key_that_does_not_count_says_nothing() {
    if !gnupg_is_here("gpg") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (root, pushed) = (folder.path(), Pushed::new(folder.path()));
    let (all, stranger, ring) = (Gnupg::empty(), Gnupg::empty(), Gnupg::empty());
    let ada = all.generate("Ada <ada@x.example>", "never", ONCE);
    let (good, old, gone) = (
        all.add_subkey(&ada, "never", ONCE),
        all.add_subkey(&ada, "2020-02-01", ONCE),
        all.add_subkey(&ada, "never", ONCE),
    );
    let expired = all.generate("Ada <ada@old.example>", "2020-02-01", ONCE);
    let revoked = all.generate("Ada <ada@lost.example>", "never", ONCE);
    let grace = all.generate("Grace <grace@home.example>", "never", ONCE);
    // Whoever makes a key writes any address into it.
    let (listed, foreign) = (
        all.generate("Grace <grace@x.example>", "never", ONCE),
        stranger.generate("Grace <grace@x.example>", "never", ONCE),
    );
    let then = signing_with(root, "then", &format!("gpg {THEN}"));
    let for_a_day = signing_with(root, "for-a-day", &format!("gpg {THEN} --default-sig-expire 1d"));
    let by = |author: &str, key: &str| pushed.signed(author, &all, &[("user.signingKey", &format!("{key}!"))]);
    let by_then = |author: &str, key: &str, program: &str| {
        pushed.signed(author, &all, &[("user.signingKey", &format!("{key}!")), ("gpg.program", program)])
    };
    let signs = |keys: &[&str], how: &[&str]| {
        let keys: Vec<&str> = keys.iter().flat_map(|key| ["-u", key]).collect();
        all.run("gpg", &[&["--batch", "--armor"], how, &keys].concat(), &pushed.unsigned())
    };
    let not_listed = "its signature cannot be verified: the key is not listed";
    let by_ada = by(LINUS, &ada);
    let cases = vec![
        Case::counts("with the subkey of Ada's key", by(LINUS, &good)),
        Case::counts("with the key itself, in Grace's name", by(GRACE, &ada)),
        Case::counts("detached, over that very commit", pushed.bearing(&pushed.unsigned(), &signs(&[&ada], &["-b"]))),
        Case::refused("another commit's", pushed.moved(&by_ada), "its signature is not of this commit"),
        Case::refused("a whole message", pushed.bearing(&pushed.unsigned(), &signs(&[&ada], &["--sign"])), not_listed),
        Case::refused(
            "clear text",
            pushed.bearing(&pushed.unsigned(), &signs(&[&ada], &["--clear-sign"])),
            "of no kind that git verifies",
        ),
        Case::refused("nonsense", pushed.bearing(&pushed.unsigned(), "signed, Ada"), "of no kind that git verifies"),
        Case::refused("of two", pushed.bearing(&pushed.unsigned(), &signs(&[&ada, &listed], &["-b"])), not_listed),
        Case::refused("no signature", pushed.remote.write_commit(&pushed.unsigned()), "it has no signature"),
        Case::refused("a key of Grace's address that is nobody's", by(GRACE, &listed), "which is nobody's"),
        Case::refused(
            "a key of Grace's address that is not in the folder",
            pushed.signed(GRACE, &stranger, &[("user.signingKey", &foreign)]),
            not_listed,
        ),
        Case::refused("an expired key", by_then(GRACE, &expired, &then), "signature or key have expired"),
        Case::refused("an expired subkey", by_then(GRACE, &old, &then), "signature or key have expired"),
        Case::refused("an expired signature", by_then(GRACE, &ada, &for_a_day), "signature or key have expired"),
        Case::refused("a revoked key", by(GRACE, &revoked), "which was revoked"),
        Case::refused("a revoked subkey", by(GRACE, &gone), "which was revoked"),
        Case {
            unsaid: "**may**",
            ..Case::refused(
                "an expired key, as Linus",
                by_then(LINUS, &expired, &then),
                "signature or key have expired",
            )
        },
    ];
    all.revoke_subkey(&ada, 3);
    all.run("gpg", &["--batch", "--import"], &all.revocation(&revoked));
    ring.import(&all, &[&ada, &expired, &revoked, &grace, &listed]);
    let options =
        GitOptions { signers: Signers { openpgp: Some(ring.home().into()), ..Signers::default() }, ..options() };
    let people = people(&[&in_groups(&ada, 4, " "), &expired, &revoked], &grace);
    pushed.judge(root, options, &people, cases).await;
}

#[tokio::test]
async fn who_signed_with_a_certificate_wrote_it_and_one_that_does_not_count_says_nothing() {
    let Some(authority) = Authority::new("Authority") else { return };
    let folder = tempfile::tempdir().unwrap();
    let (root, pushed) = (folder.path(), Pushed::new(folder.path()));
    let (long, short) = (("2020-01-01", "2089-01-01"), ("2020-01-01", "2020-02-01"));
    let ada = authority.vouch(("Ada", "ada@x.example"), 1, long);
    let expired = authority.vouch(("Ada", "ada@x.example"), 2, short);
    let revoked = authority.vouch(("Ada", "ada@x.example"), 3, long);
    let grace = authority.vouch(("Grace", "grace@home.example"), 4, long);
    let listed = authority.vouch(("Grace", "grace@x.example"), 5, long);
    let unlisted = authority.vouch(("Grace", "grace@x.example"), 6, long);
    let (stranger, foreign) = Gnupg::with_a_certificate();
    let then = signing_with(root, "then", &format!("gpgsm {THEN} --disable-crl-checks"));
    let by = |author: &str, key: &str| {
        pushed.signed(author, &authority.gnupg, &[("gpg.format", "x509"), ("user.signingKey", key)])
    };
    let past = [("gpg.format", "x509"), ("user.signingKey", expired.as_str()), ("gpg.x509.program", then.as_str())];
    let by_ada = by(LINUS, &ada);
    let cases = vec![
        Case::counts("with Ada's certificate, in Grace's name", by(GRACE, &ada)),
        Case::refused("another commit's", pushed.moved(&by_ada), "its signature is not of this commit"),
        Case::counts("with Ada's certificate, in Linus' name", by_ada),
        Case::refused("a certificate of Grace's address that is nobody's", by(GRACE, &listed), "which is nobody's"),
        Case::refused("one that the settings do not list", by(GRACE, &unlisted), "which is not listed"),
        Case::refused(
            "one that a stranger made",
            pushed.signed(GRACE, &stranger, &[("gpg.format", "x509"), ("user.signingKey", &foreign)]),
            "not listed",
        ),
        Case::refused("an expired one", pushed.signed(GRACE, &authority.gnupg, &past), "signature or key have expired"),
        Case::refused("a revoked one", by(GRACE, &revoked), "which was revoked"),
        Case {
            unsaid: "**may**",
            ..Case::refused("a revoked one, as Linus", by(LINUS, &revoked), "which was revoked")
        },
    ];
    authority.revoke(&[3]);
    let x509 = [&ada, &expired, &revoked, &grace, &listed].map(|key| in_groups(key, 2, ":")).into();
    let mut options = GitOptions { signers: Signers { x509, ..Signers::default() }, ..options() };
    options.environment.extend(authority.gnupg.environment());
    let people = people(&[&in_groups(&ada, 2, ":"), &expired, &revoked], &grace);
    pushed.judge(root, options, &people, cases).await;
}

/// Where its issuer lists revoked certificates, a certificate says itself; whoever pushes could have the server ask anybody.
#[tokio::test]
async fn nobody_is_asked_whether_a_certificate_was_revoked_that_the_settings_do_not_list() {
    let (Some(ours), Some(theirs)) = (Authority::new("Authority"), Authority::new("Stranger")) else { return };
    let folder = tempfile::tempdir().unwrap();
    let (root, pushed) = (folder.path(), Pushed::new(folder.path()));
    let asked = TcpListener::bind("127.0.0.1:0").unwrap();
    asked.set_nonblocking(true).unwrap();
    let address = format!("http://{}/list", asked.local_addr().unwrap());
    let (grace, eve) = (("Grace", "grace@x.example"), ("Eve", "eve@x.example"));
    let alone = signing_with(root, "alone", "gpgsm --disable-crl-checks");
    let by = |authority: &Authority, author: &str, key: &str| {
        let settings = [("gpg.format", "x509"), ("user.signingKey", key), ("gpg.x509.program", &alone)];
        pushed.signed(author, &authority.gnupg, &settings)
    };
    let listed = ours.vouch(grace, 1, ("2020-01-01", "2089-01-01"));
    let (foreign, unlisted) = (theirs.vouch_listed_at(eve, 1, &address), ours.vouch_listed_at(eve, 2, &address));
    let cases = vec![
        Case::refused("of a strange authority", by(&theirs, GRACE, &foreign), "which is not listed"),
        Case::refused("of a known authority", by(&ours, GRACE, &unlisted), "which is not listed"),
    ];
    let mut options =
        GitOptions { signers: Signers { x509: [listed.clone()].into(), ..Signers::default() }, ..options() };
    options.environment.extend(ours.gnupg.environment());
    pushed.judge(root, options, &people(&[], &listed), cases).await;
    assert!(asked.accept().is_err(), "nobody was asked");
}
