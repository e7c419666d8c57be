//! The table in `docs/gates.md` that says what each setting of `identity` protects from, row by row and cell by cell: Ada pushes,
//! real git says who wrote it, and the engine says whether she may approve it herself.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    process::Command,
};

use tidegate::{
    engine::{Access, Attribution, AuthorsOf, AuthorsWork, CommitId, Naming, Person, Principal, RunId, Written},
    providers::{
        forge::{Account, Forge, Pushed as PushTold},
        git::{GitOptions, Mirrors, Signers},
    },
    rules::{KnownBy, RepositoryName, StepId, SystemName},
    steps::attribute,
};

use super::{keys::ssh_key, tells::Tells};
use crate::git::options;
use crate::support::repo::{TestRepo, hermetic_git};

const ADA: &str = "Ada <ada@x.example>";
const GRACE: &str = "Grace <grace@x.example>";
const LINUS: &str = "Linus <linus@x.example>";
const FORGE: &str = "GitHub <noreply@github.com>";

/// What Ada pushes.
struct Pushed {
    author: &'static str,
    committer: Option<&'static str>,
    message: &'static str,
    /// Whose key signs it.
    key: Option<&'static str>,
    /// What the settings say besides.
    ignore_tags: bool,
    forge_is_listed: bool,
}

const BY: Pushed = Pushed {
    author: ADA,
    committer: None,
    message: "Sell more",
    key: None,
    ignore_tags: false,
    forge_is_listed: false,
};

/// What each row of the table pushes.
fn pushed(row: &str) -> Pushed {
    match row {
        "in her own name, not signed" => BY,
        "in her own name, signed" => Pushed { key: Some("ada"), ..BY },
        "as Bob, who is none of the people, not signed" => Pushed { author: "Bob <bob@y.example>", ..BY },
        "as Bob, signed" => Pushed { author: "Bob <bob@y.example>", key: Some("ada"), ..BY },
        "as Linus, who lists no key, not signed" => Pushed { author: LINUS, ..BY },
        "as Linus, signed" => Pushed { author: LINUS, key: Some("ada"), ..BY },
        "as Grace, who lists a key, not signed" => Pushed { author: GRACE, ..BY },
        "as Grace, signed" => Pushed { author: GRACE, key: Some("ada"), ..BY },
        "as Grace, signed with a key that `signers` does not list" => {
            Pushed { author: GRACE, key: Some("unlisted"), ..BY }
        }
        "as Linus, signed with a key that is nobody's" => Pushed { author: LINUS, key: Some("forge"), ..BY },
        "with a hidden address at a forge that is not listed" => {
            Pushed { author: "Linus <linus@users.noreply.code.example>", ..BY }
        }
        "with her hidden address at a forge that is listed" => {
            Pushed { author: "A <12345+ada@users.noreply.github.com>", ..BY }
        }
        "as Tidegate, without a proof" => Pushed { author: "Tidegate <tidegate@example.org>", ..BY },
        "under her name in another case" => Pushed { author: "ADA <ADA@X.example>", ..BY },
        "as `ada+x@…`" => Pushed { author: "A <ada+x@x.example>", ..BY },
        "as `ada+x@…`, with `ignore_tags`" => Pushed { author: "A <ada+x@x.example>", ignore_tags: true, ..BY },
        "as Linus, with herself as a co-author in the first paragraph" => Pushed {
            author: LINUS,
            message: "Sell more\n\nCo-authored-by: Ada <ada@x.example>\n\nAt last.\n\nReviewed-by: Linus",
            ..BY
        },
        "as a merge on the forge's pages, whose key is nobody's" => {
            Pushed { committer: Some(FORGE), key: Some("forge"), ..BY }
        }
        "as such a merge, where the forge's key is listed as one of the people's" => {
            Pushed { committer: Some(FORGE), key: Some("forge"), forge_is_listed: true, ..BY }
        }
        other => panic!("docs/gates.md has a row that no test pushes: {other}"),
    }
}

/// The fingerprint of a key, as people list it.
fn fingerprint(key: &Path) -> String {
    let said = Command::new("ssh-keygen").arg("-lf").arg(key.with_extension("pub")).output().unwrap();
    String::from_utf8(said.stdout).unwrap().split_whitespace().nth(1).unwrap().to_owned()
}

/// Ada pushes to a branch of her own.
fn push(remote: &TestRepo, keys: &Path, branch: &str, pushed: &Pushed) -> String {
    let (begin, tree) = (remote.head("main").unwrap(), remote.git(&["rev-parse", "main^{tree}"]));
    let mut git = hermetic_git(&remote.directory);
    for (who, person) in [("AUTHOR", pushed.author), ("COMMITTER", pushed.committer.unwrap_or(pushed.author))] {
        let (name, email) = person.trim_end_matches('>').split_once(" <").unwrap();
        git.env(format!("GIT_{who}_NAME"), name).env(format!("GIT_{who}_EMAIL"), email);
    }
    git.arg("-c").arg("gpg.format=ssh");
    if let Some(key) = pushed.key {
        git.arg("-c").arg(format!("user.signingKey={}", keys.join(key).display()));
    }
    git.arg("commit-tree").args(pushed.key.map(|_| "-S"));
    let made = git.args(["-p", &begin, "-m", pushed.message, &tree]).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let commit = String::from_utf8(made.stdout).unwrap().trim().to_owned();
    remote.set_branch(branch, &commit);
    commit
}

/// The people: Ada and Grace list a key each, Linus and Mary none.
fn people(keys: &Path, pushed: &Pushed) -> Access {
    let person = |name: &str, key: Option<&str>| Person {
        emails: BTreeSet::from([format!("{name}@x.example")]),
        github: Some(name.to_owned()),
        keys: key.map(|key| fingerprint(&keys.join(key))).into_iter().collect(),
        ..Person::default()
    };
    let mut people: BTreeMap<String, Person> = ["ada", "grace", "linus", "mary"]
        .map(|name| (name.to_owned(), person(name, Some(name).filter(|name| matches!(*name, "ada" | "grace")))))
        .into();
    if pushed.forge_is_listed {
        people.insert("github".to_owned(), person("nobody", Some("forge")));
    }
    let forges = BTreeSet::from(["github.com".to_owned()]);
    Access { people, naming: Naming { forges, ignore_tags: pushed.ignore_tags }, ..Access::default() }
}

/// What git and the programs that verify say of what a branch brought, from `begin` to `commit`.
pub(super) async fn written(
    mirrors: &Mirrors,
    remote: &TestRepo,
    (branch, commit, begin): (&str, &str, &str),
    identity: Option<KnownBy>,
) -> Written {
    let of = AuthorsOf {
        url: remote.url(),
        branches: vec![branch.to_owned()],
        commit: Some(CommitId::new(commit)),
        base: vec![CommitId::new(begin)],
        otherwise: Vec::new(),
        identity,
    };
    let work = AuthorsWork {
        system: SystemName::new("webshop").unwrap(),
        run: RunId::new("deliver-1"),
        step: StepId::new("approve").unwrap(),
        repositories: [(RepositoryName::new("software").unwrap(), of)].into(),
    };
    // The forge knows: it was Ada, whatever she wrote.
    let ada = Account { id: 12345, login: "ada".to_owned() };
    let push = PushTold { by: Some(ada), before: begin.to_owned(), after: commit.to_owned() };
    let tells = Tells(vec![push]);
    let forge = (identity == Some(KnownBy::Forge)).then_some(&tells as &dyn Forge);
    match attribute(&work, mirrors, forge).await {
        Attribution::Told(written) => written,
        Attribution::Retry { error, .. } => panic!("git could not say: {error}"),
    }
}

/// What the engine makes of it: whether Ada counts as an author, and whether it takes `override`.
pub(super) fn verdict(access: &Access, written: &Written) -> &'static str {
    let is_author =
        |name: &str| access.is_author(&access.principal(name).unwrap_or_else(|| Principal::named(name)), written);
    assert!(!is_author("mary"), "she has nothing to do with it: {written:?}");
    match (is_author("ada"), access.doubts(written).is_some()) {
        (true, false) => "an author",
        (true, true) => "an author, `override`",
        (false, true) => "`override`",
        (false, false) => "**may**",
    }
}

#[tokio::test]
async fn each_setting_protects_from_what_the_table_says() {
    let root = tempfile::tempdir().unwrap();
    let keys = root.path();
    let mut allowed = String::new();
    for name in ["ada", "grace", "forge", "unlisted"] {
        let public = std::fs::read_to_string(ssh_key(keys, name, "").with_extension("pub")).unwrap();
        if name != "unlisted" {
            allowed.push_str(&format!("{name}@x.example {public}"));
        }
    }
    std::fs::write(keys.join("allowed"), allowed).unwrap();
    let remote = TestRepo::with(keys.join("software.git"), "main", &[("a", "1")]);
    let begin = remote.head("main").unwrap();
    let signers = Signers { ssh: Some(keys.join("allowed")), ..Signers::default() };
    let forges = BTreeSet::from(["github.com".to_owned()]);
    let options = GitOptions { signers, forges, ..options() };
    let mirrors = Mirrors::open(keys.join("mirrors"), options).unwrap();
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/gates.md")).unwrap();
    let table = text.split("| what Ada pushes |").nth(1).unwrap().split("\n\n").next().unwrap();
    let rows: Vec<Vec<&str>> = table
        .lines()
        .skip(2)
        .map(|row| row.trim_matches('|').split(" | ").map(|cell| cell.trim_matches(['|', ' '])).collect())
        .collect();
    assert!(rows.len() >= 19, "{rows:?}");
    for (number, row) in rows.iter().enumerate() {
        let (pushed, branch) = (pushed(row[0]), format!("row-{number}"));
        let commit = push(&remote, keys, &branch, &pushed);
        let access = people(keys, &pushed);
        let settings = [Some(KnownBy::Names), None, Some(KnownBy::Signature), Some(KnownBy::Forge)];
        assert_eq!(row.len(), 5, "{row:?}");
        for (cell, identity) in row[1..].iter().zip(settings) {
            let written = written(&mirrors, &remote, (&branch, &commit, &begin), identity).await;
            assert_eq!(verdict(&access, &written), *cell, "{}, {identity:?}: {written:?}", row[0]);
        }
    }
}
