//! Trees and commits that git itself would not make are pushed: they hurt at most their own branch, and what is shown of them
//! holds nothing that a terminal obeys.

use git2::{ObjectType, Oid, Repository};
use tidegate::engine::RunState;

use super::{NEW_VERSION, delivery::Delivery};

/// An entry of a tree, byte for byte.
fn entry(mode: &str, name: &[u8], id: Oid) -> Vec<u8> {
    [mode.as_bytes(), b" ", name, b"\0", id.as_bytes()].concat()
}

/// Trees as they lie in the object store, each with what is wrong with it.
fn trees(repository: &Repository, blob: Oid) -> Vec<(String, Vec<u8>)> {
    let folder = repository.treebuilder(None).unwrap().write().unwrap();
    let long = [b'n'; 5_000];
    let names: [&[u8]; 17] = [
        b"",
        b".",
        b"..",
        b".git",
        b".GIT",
        b"git~1",
        ".g\u{200c}it".as_bytes(),
        b"a/b",
        b"../../evil",
        b"/etc/evil",
        b"a\\b",
        b"a\nb",
        b"\x1b[2Jx",
        "\u{202e}txt.exe".as_bytes(),
        b"\xff\xfe",
        b"-rf",
        &long,
    ];
    let named = names.iter().map(|name| {
        (format!("the name {:?}", String::from_utf8_lossy(&name[..name.len().min(20)])), entry("100644", name, blob))
    });
    let modes = ["0", "777777", "40000", "120000", "160000", "100", "-1", "999999999999999999999999"];
    let modes = modes.iter().map(|mode| (format!("the mode {mode}"), entry(mode, b"file", blob)));
    let missing = Oid::from_str(&"7".repeat(40)).unwrap();
    let others = [
        ("twice", [entry("100644", b"a", blob), entry("100644", b"a", blob)].concat()),
        ("in no order", [entry("100644", b"z", blob), entry("100644", b"a", blob)].concat()),
        ("a file and a folder", [entry("100644", b"a", blob), entry("40000", b"a", folder)].concat()),
        ("a blob that is missing", entry("100644", b"a", missing)),
        ("a folder that is missing", entry("40000", b"a", missing)),
        ("no object id", b"100644 a\0\x01\x02".to_vec()),
        ("no end", b"100644 a".to_vec()),
        ("no bytes at all", Vec::new()),
        (
            "links for what is read",
            [entry("120000", b".gitattributes", blob), entry("120000", b".gitmodules", blob)].concat(),
        ),
    ];
    named.chain(modes).chain(others.map(|(name, bytes)| (name.to_owned(), bytes))).collect()
}

/// Commits that are none: in their heads, in their encodings, in their times.
fn commits(tree: Oid, parent: &str) -> Vec<Vec<u8>> {
    let heads = [
        format!(
            "tree {tree}\nparent {parent}\nauthor \u{1b}[31mAda\u{202e} <ada@x> 99999999999999999999 +9999\ncommitter A <a@x> -1 -0000\n\n\u{1b}]0;x\u{7}\n"
        ),
        format!(
            "tree {tree}\nparent {parent}\nparent {parent}\nauthor A <a@x> 1 +0000\ncommitter A <a@x> 1 +0000\nencoding latin-99\n\nTwice\n"
        ),
        format!("tree {tree}\nparent {parent}\nauthor <> 0 +0000\ncommitter  <> 0 +0000\n"),
        format!(
            "tree {tree}\nparent {}\nauthor A <a@x> 1 +0000\ncommitter A <a@x> 1 +0000\n\nOf nothing\n",
            "7".repeat(40)
        ),
    ];
    let mut all: Vec<Vec<u8>> = heads.into_iter().map(String::into_bytes).collect();
    let zeros = format!("tree {tree}\nparent {parent}\nauthor A <a@x> 1 +0000\ncommitter A <a@x> 1 +0000\n\nA\0B\n")
        .into_bytes();
    all.push([zeros, vec![0xff, 0xfe, 0xc0, 0xaf]].concat());
    all
}

#[test]
fn trees_and_commits_that_git_would_not_make_hurt_their_own_branch_alone() {
    let mut delivery = Delivery::by_hand();
    delivery.serve();
    let repository = Repository::open(&delivery.software.directory).unwrap();
    let objects = repository.odb().unwrap();
    let blob = objects.write(ObjectType::Blob, b"hello\n").unwrap();
    let before = delivery.software.head("main").unwrap();
    let push = |commit: Oid| {
        let file = delivery.software.directory.join("refs/heads/qa");
        std::fs::write(file, format!("{commit}\n")).unwrap();
    };
    let mut number = 0;
    let mut goes_on = || {
        number += 1;
        let version = format!("webshop 2.{number}\n");
        let pushed = delivery.software.commit("dev", "Sell more", &[(NEW_VERSION.0, version.as_str())]);
        assert_eq!(delivery.ended_on("package", &pushed).state, RunState::Done);
        let status = delivery.status();
        let obeyed = |character: char| {
            character.is_control() && character != '\n' || ('\u{202a}'..='\u{202e}').contains(&character)
        };
        assert!(!status.contains(obeyed), "{status:?}");
    };
    for (index, (what, bytes)) in trees(&repository, blob).into_iter().enumerate() {
        let tree = objects.write(ObjectType::Tree, &bytes).unwrap();
        let commit =
            format!("tree {tree}\nparent {before}\nauthor A <a@x> 1 +0000\ncommitter A <a@x> 1 +0000\n\nPush {what}\n");
        push(objects.write(ObjectType::Commit, commit.as_bytes()).unwrap());
        // A look sees the newest: every fourth is given time to be looked at alone.
        if index % 4 == 0 {
            goes_on();
        }
    }
    let tree = repository.find_commit(Oid::from_str(&before).unwrap()).unwrap().tree_id();
    for bytes in commits(tree, &before) {
        push(objects.write(ObjectType::Commit, &bytes).unwrap());
        goes_on();
    }
    // And what is good again is taken.
    delivery.software.set_branch("qa", &before);
    let pushed = delivery.software.commit("qa", "Mend it", &[NEW_VERSION]);
    assert_eq!(delivery.ended_on("package", &pushed).state, RunState::Done);
}
