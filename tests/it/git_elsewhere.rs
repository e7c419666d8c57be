//! What a tree says but does not hold: Git LFS objects from a real server over HTTP and from a folder, and submodules.

use crate::git::{SOON, failure, mirrors};
use crate::git_archive::{by_us, fetched, on_disk, plain};
use crate::support::lfs_server::{LfsServer, Trouble, oid, pointer};
use crate::support::repo::{TestRepo, hermetic_git};
use std::path::Path;
use std::time::Duration;
use tidegate::providers::Fault;
use tidegate::providers::git::{ArchiveFormat, ArchiveOptions, Lfs, Submodules, Taking};

const FETCH: Taking = Taking { lfs: Lfs::Fetch, submodules: Submodules::Fetch };

fn options(taking: Taking) -> ArchiveOptions {
    ArchiveOptions { taking, ..plain(ArchiveFormat::TarGz) }
}

/// A repository with these files, and the commit.
fn repository(root: &Path, name: &str, entries: &[(&str, &str, &str)]) -> (TestRepo, String) {
    let remote = TestRepo::empty(root.join(name));
    let tree = remote.tree(None, entries);
    let commit = remote.commit_tree("dev", "Begin", &tree, &[]);
    (remote, commit)
}

#[tokio::test]
async fn lfs_pointers_are_refused_with_their_paths_unless_the_rule_says_otherwise() {
    let root = tempfile::tempdir().unwrap();
    let logo = pointer(b"a logo");
    let entries = [("100644", "assets/logo.png", logo.as_str()), ("100644", "assets/readme.md", "x")];
    let (remote, commit) = repository(root.path(), "shop.git", &entries);
    let (mirrors, mirror) = fetched(root.path(), &remote.url()).await;
    let out = root.path().join("out");
    let refused = mirrors.archive(&mirror, &commit, &options(Taking::REFUSED), &out, SOON).await;
    let (error, hint) = failure(refused);
    assert!(
        error.contains("LFS pointers") && error.contains("assets/logo.png") && !error.contains("readme"),
        "{error}"
    );
    assert!(hint.contains("`lfs: fetch`") && hint.contains("`lfs: pointers`"), "{hint}");
    let (error, _) = failure(mirrors.checkout(&mirror, &commit, &out, Taking::REFUSED, SOON).await);
    assert!(error.contains("assets/logo.png") && !out.exists(), "{error}");
    let left_out = ArchiveOptions { exclude: vec!["assets/logo.png".to_owned()], ..options(Taking::REFUSED) };
    assert_eq!(by_us(&mirrors, &mirror, &commit, &left_out).await.len(), 1, "what is left out is nobody's concern");
    let found = by_us(&mirrors, &mirror, &commit, &options(Taking::PLAIN)).await;
    assert_eq!(found[b"assets/logo.png".as_slice()].1, logo.as_bytes());
    // It is nowhere: a repository on this machine has objects in its folder.
    let (error, hint) = failure(mirrors.archive(&mirror, &commit, &options(FETCH), &out, SOON).await);
    assert!(error.contains(&oid(b"a logo")) && hint.contains("git lfs push"), "{error}");
}

#[tokio::test]
async fn lfs_objects_are_fetched_once_from_the_server() {
    let root = tempfile::tempdir().unwrap();
    let server = LfsServer::start(root.path(), Some("Basic Ym90OnNlY3JldA=="));
    let (big, small) = (b"big ".repeat(100_000), b"small".to_vec());
    let (first, second) = (server.hold(&big), server.hold(&small));
    let crlf = second.replace('\n', "\r\n");
    let entries = [
        ("100755", "bin/big", first.as_str()),
        ("100644", "same/big", first.as_str()),
        ("100644", "small", second.as_str()),
        ("100644", "crlf", crlf.as_str()),
        ("100644", "text", "version 1\n"),
    ];
    let (_remote, commit) = repository(root.path(), "shop.git", &entries);
    let (mirrors, mirror) = fetched(root.path(), &server.url("bot:secret@", "shop.git")).await;
    let found = by_us(&mirrors, &mirror, &commit, &options(FETCH)).await;
    assert_eq!(found[b"bin/big".as_slice()], (0o755, big.clone()));
    assert_eq!(found[b"same/big".as_slice()], (0o644, big.clone()));
    assert_eq!((found[b"small".as_slice()].1.clone(), found[b"crlf".as_slice()].1.clone()), (small.clone(), small));
    assert_eq!(found[b"text".as_slice()].1, b"version 1\n");
    assert_eq!(server.requests().len(), 3, "one batch and two objects: {:?}", server.requests());

    let out = root.path().join("out");
    mirrors.checkout(&mirror, &commit, &out, FETCH, SOON).await.unwrap();
    assert_eq!(on_disk(&out)[b"same/big".as_slice()].1, big);
    let read = mirrors.read_file(&mirror, &commit, "small", FETCH, SOON).await.unwrap();
    assert_eq!(read.as_deref(), Some(b"small".as_slice()));
    let (error, _) = failure(mirrors.read_file(&mirror, &commit, "small", Taking::REFUSED, SOON).await);
    assert!(error.contains("'small' is a Git LFS pointer"), "{error}");
    assert_eq!(server.requests().len(), 3, "nothing is fetched twice");
    let kept = std::fs::read_dir(root.path().join("mirrors")).unwrap().map(|entry| entry.unwrap().path());
    let kept = kept.map(|mirror| mirror.join("lfs/objects")).find(|objects| objects.is_dir()).unwrap();
    assert_eq!(on_disk(&kept).len(), 2, "exactly once, and nothing beside them");

    // One that was damaged on the disk is not packed, and is fetched again.
    let path = kept.join(&oid(b"small")[..2]).join(&oid(b"small")[2..4]).join(oid(b"small"));
    std::fs::write(&path, b"smell").unwrap();
    let damaged = mirrors.archive(&mirror, &commit, &options(FETCH), &root.path().join("a"), SOON).await;
    assert!(matches!(damaged, Err(Fault::Retry { .. })), "{damaged:?}");
    assert_eq!(by_us(&mirrors, &mirror, &commit, &options(FETCH)).await, found);
}

#[tokio::test]
async fn what_goes_wrong_with_lfs_is_tried_again_or_explained() {
    let root = tempfile::tempdir().unwrap();
    let server = LfsServer::start(root.path(), None);
    let held = server.hold(b"an object of some length");
    let (_remote, commit) = repository(root.path(), "shop.git", &[("100644", "held", held.as_str())]);
    let (mirrors, mirror) = fetched(root.path(), &server.url("", "shop.git")).await;
    let out = root.path().join("out");
    let try_it = async |trouble: Trouble, deadline: Duration| {
        server.set_trouble(trouble);
        mirrors.archive(&mirror, &commit, &options(FETCH), &out, deadline).await
    };
    for (trouble, says, hint_says) in [
        (Trouble::Object(404), "it is not there", "git lfs push --all"),
        (Trouble::Object(410), "it was removed", "commit the file anew"),
        (Trouble::Object(422), "invalid", "commit the file anew"),
        (Trouble::Batch(403), "said by the server", "credentials"),
        (Trouble::Batch(404), "it is not there", "enable it there"),
        (Trouble::Batch(509), "bandwidth", "used up"),
        (Trouble::NoLfs, "not that of an LFS server", "may have no LFS"),
        (Trouble::OtherBytes, "not what its pointer says", "push the object again"),
    ] {
        let (error, hint) = failure(try_it(trouble.clone(), SOON).await);
        assert!(error.contains(says) && hint.contains(hint_says), "{trouble:?}: {error}; {hint}");
    }
    for (trouble, expected) in [
        (Trouble::Batch(429), Some(Duration::from_secs(7))),
        (Trouble::Batch(503), Some(Duration::from_secs(7))),
        (Trouble::Object(500), None),
        (Trouble::Cut, None),
    ] {
        match try_it(trouble.clone(), SOON).await {
            Err(Fault::Retry { after, .. }) => assert_eq!(after, expected, "{trouble:?}"),
            other => panic!("{trouble:?} passes: {other:?}"),
        }
    }
    let hung = try_it(Trouble::Hang, Duration::from_secs(2)).await;
    assert!(matches!(&hung, Err(Fault::Retry { error, .. }) if error.contains("deadline")), "{hung:?}");
    assert!(!out.exists());
    try_it(Trouble::None, SOON).await.unwrap();
}

#[tokio::test]
async fn a_tree_sends_nobody_to_another_host_for_lfs() {
    let root = tempfile::tempdir().unwrap();
    let server = LfsServer::start(root.path(), None);
    let held = server.hold(b"held");
    let lfsconfig = "[lfs]\n\turl = http://evil.example/lfs\n";
    let (remote, commit) =
        repository(root.path(), "shop.git", &[("100644", "held", held.as_str()), ("100644", ".lfsconfig", lfsconfig)]);
    let (mirrors, mirror) = fetched(root.path(), &server.url("", "shop.git")).await;
    let out = root.path().join("out");
    let (error, _) = failure(mirrors.archive(&mirror, &commit, &options(FETCH), &out, SOON).await);
    assert!(error.contains("evil.example") && error.contains("not that of the repository"), "{error}");
    // The same host is as good as the repository's own.
    let own = format!("[lfs]\n\turl = {}/info/lfs\n", server.url("", "other.git"));
    let commit = remote.commit("dev", "Move", &[(".lfsconfig", &own)]);
    mirror.fetch(&["dev".to_owned()], SOON).await.unwrap();
    assert_eq!(by_us(&mirrors, &mirror, &commit, &options(FETCH)).await[b"held".as_slice()].1, b"held");
    assert!(server.requests()[0].contains("/other.git/info/lfs/objects/batch"), "{:?}", server.requests());
}

/// A clone in which a person works with `git-lfs`.
fn with_git_lfs(clone: &Path, url: &str) -> bool {
    let git = |arguments: &[&str]| {
        let done = hermetic_git(clone).args(arguments).env("HOME", clone).output().unwrap();
        assert!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    };
    if !hermetic_git(clone).args(["lfs", "version"]).output().is_ok_and(|said| said.status.success()) {
        println!("left out: git-lfs is not installed");
        return false;
    }
    git(&["init", "--quiet", "--initial-branch=dev", "."]);
    git(&["lfs", "install", "--local"]);
    git(&["lfs", "track", "*.bin"]);
    std::fs::write(clone.join("data.bin"), b"\x00data".repeat(5_000)).unwrap();
    git(&["add", "."]);
    git(&["-c", "user.name=Ada", "-c", "user.email=ada@example.org", "commit", "--quiet", "-m", "Add data"]);
    git(&["remote", "add", "origin", url]);
    git(&["push", "--quiet", "origin", "dev"]);
    true
}

#[tokio::test]
async fn what_git_lfs_pushed_is_fetched_over_http_and_from_a_folder() {
    let root = tempfile::tempdir().unwrap();
    let server = LfsServer::start(root.path(), None);
    for (name, url) in [("http.git", server.url("", "http.git")), ("folder.git", "folder.git".to_owned())] {
        let remote = TestRepo::empty(root.path().join(name));
        let url = if url == name { format!("file://{}", remote.url()) } else { url };
        let clone = root.path().join(format!("clone-{name}"));
        std::fs::create_dir_all(&clone).unwrap();
        if !with_git_lfs(&clone, &url) {
            return;
        }
        let (mirrors, mirror) = fetched(&root.path().join(format!("of-{name}")), &url).await;
        let commit = remote.head("dev").unwrap();
        let found = by_us(&mirrors, &mirror, &commit, &options(FETCH)).await;
        assert_eq!(found[b"data.bin".as_slice()].1, b"\x00data".repeat(5_000), "{name}");
        let pointers = by_us(&mirrors, &mirror, &commit, &options(Taking::PLAIN)).await;
        assert!(pointers[b"data.bin".as_slice()].1.starts_with(b"version https://git-lfs"), "{name}");
    }
}

/// A lib within a lib within a shop, with relative URLs; the commit of the shop.
fn nested(root: &Path, object: &str) -> (TestRepo, String) {
    let (_inner, inner) = repository(root, "inner.git", &[("100644", "deep.txt", "deep"), ("100644", "big", object)]);
    let modules = "[submodule \"inner\"]\n\tpath = in side\n\turl = ../inner.git\n";
    let entries = [
        ("100644", ".gitmodules", modules),
        ("100644", ".gitattributes", "secret export-ignore\nwin.txt text eol=crlf\n"),
        ("100644", "secret", "private"),
        ("100644", "win.txt", "a\n"),
        ("160000", "in side", inner.as_str()),
    ];
    let (lib, first) = repository(root, "lib.git", &entries);
    lib.commit("dev", "Go on", &[("later", "later")]);
    let modules = "[submodule \"vendor/lib\"]\n\tpath = vendor/lib\n\turl = ../lib.git\n";
    let entries =
        [("100644", ".gitmodules", modules), ("100644", "own", "own"), ("160000", "vendor/lib", first.as_str())];
    repository(root, "shop.git", &entries)
}

#[tokio::test]
async fn submodules_are_fetched_left_or_refused_as_the_rule_says() {
    let root = tempfile::tempdir().unwrap();
    let server = LfsServer::start(root.path(), Some("Basic Ym90OnNlY3JldA=="));
    let (remote, commit) = nested(root.path(), &server.hold(b"far away"));
    for (number, url) in [server.url("bot:secret@", "shop.git"), remote.url()].into_iter().enumerate() {
        let place = root.path().join(format!("place-{number}"));
        let (mirrors, mirror) = fetched(&place, &url).await;
        let out = root.path().join(format!("out-{number}"));
        let refused = mirrors.archive(&mirror, &commit, &options(Taking::REFUSED), &out, SOON).await;
        let (error, hint) = failure(refused);
        assert!(error.contains("submodules") && error.contains("vendor/lib"), "{error}");
        assert!(hint.contains("`submodules: fetch`") && hint.contains("`submodules: leave`"), "{hint}");
        let left = by_us(&mirrors, &mirror, &commit, &options(Taking::PLAIN)).await;
        assert_eq!(left[b"vendor/lib/".as_slice()], (0o755, Vec::new()));
        assert_eq!(left.len(), 3, "{left:?}");
        let lfs = if number == 0 { Lfs::Fetch } else { Lfs::Pointers };
        let taking = Taking { lfs, ..FETCH };
        let would = options(taking);
        let would = mirrors.archive_fetches(&mirror, &commit, &would, (&out, SOON)).await.unwrap();
        assert_eq!(would, ["vendor/lib"]);
        let found = by_us(&mirrors, &mirror, &commit, &options(taking)).await;
        assert_eq!(found[b"vendor/lib/in side/deep.txt".as_slice()].1, b"deep");
        assert_eq!(found[b"vendor/lib/win.txt".as_slice()].1, b"a\r\n");
        assert_eq!(found[b"vendor/lib/in side/big".as_slice()].1 == b"far away", number == 0);
        assert!(
            !found.contains_key(b"vendor/lib/secret".as_slice()) && !found.contains_key(b"vendor/lib/later".as_slice())
        );
        mirrors.checkout(&mirror, &commit, &out, taking, SOON).await.unwrap();
        let checked_out = on_disk(&out);
        assert_eq!(checked_out[b"vendor/lib/secret".as_slice()].1, b"private");
        assert_eq!(checked_out[b"vendor/lib/in side/deep.txt".as_slice()].1, b"deep");
        let read = mirrors.read_file(&mirror, &commit, "vendor/lib/in side/deep.txt", FETCH, SOON).await.unwrap();
        assert_eq!(read.as_deref(), Some(b"deep".as_slice()));
        let refused = mirrors.read_file(&mirror, &commit, "vendor/lib/win.txt", Taking::REFUSED, SOON).await;
        assert!(failure(refused).1.contains("`submodules: fetch`"));
    }
}

#[tokio::test]
async fn a_submodule_that_cannot_be_had_says_which_commit_of_what() {
    let root = tempfile::tempdir().unwrap();
    let (_lib, _) = repository(root.path(), "lib.git", &[("100644", "a", "a")]);
    let gone = "1234567890123456789012345678901234567890";
    let modules = "[submodule \"lib\"]\n\tpath = lib\n\turl = ../lib.git\n";
    let entries = [("100644", ".gitmodules", modules), ("160000", "lib", gone)];
    let (remote, commit) = repository(root.path(), "shop.git", &entries);
    let (mirrors, mirror) = fetched(root.path(), &remote.url()).await;
    let out = root.path().join("out");
    let (error, hint) = failure(mirrors.archive(&mirror, &commit, &options(FETCH), &out, SOON).await);
    assert!(error.contains("submodule 'lib'") && error.contains(gone) && error.contains("lib.git"), "{error}");
    assert!(hint.contains("push it there"), "{hint}");
    let (_other, commit) = repository(root.path(), "other.git", &[("160000", "undeclared", gone)]);
    let (mirrors, mirror) =
        fetched(&root.path().join("second"), &root.path().join("other.git").display().to_string()).await;
    let (error, _) = failure(mirrors.archive(&mirror, &commit, &options(FETCH), &out, SOON).await);
    assert!(error.contains("'undeclared' is not in .gitmodules"), "{error}");
}

#[tokio::test]
async fn a_pushed_gitmodules_reads_nothing_of_this_machine() {
    let root = tempfile::tempdir().unwrap();
    let (secret, pinned) = repository(&root.path().join("private"), "secret.git", &[("100644", "key", "secret")]);
    let server = LfsServer::start(root.path(), None);
    for (number, url) in
        [secret.url(), format!("file://{}", secret.url()), "../private/secret.git".to_owned()].iter().enumerate()
    {
        let modules = format!("[submodule \"x\"]\n\tpath = x\n\turl = {url}\n");
        let name = format!("shops/shop-{number}.git");
        let entries = [("100644", ".gitmodules", modules.as_str()), ("160000", "x", pinned.as_str())];
        let (remote, commit) = repository(root.path(), &name, &entries);
        for (kind, from) in [server.url("", &name), remote.url()].iter().enumerate() {
            let (mirrors, mirror) = fetched(&root.path().join(format!("of-{number}-{kind}")), from).await;
            let out = root.path().join("out");
            let made = mirrors.archive(&mirror, &commit, &options(FETCH), &out, SOON).await;
            assert!(made.is_err(), "{url} from {from}");
        }
    }
}

#[tokio::test]
async fn where_nothing_is_fetched_what_is_elsewhere_fails() {
    let root = tempfile::tempdir().unwrap();
    let server = LfsServer::start(root.path(), None);
    let held = server.hold(b"held");
    let (_remote, commit) = repository(root.path(), "shop.git", &[("100644", "held", held.as_str())]);
    let copies = mirrors(root.path()).without_fetching_contents();
    let mirror = copies.mirror(&server.url("", "shop.git")).unwrap();
    mirror.fetch(&["dev".to_owned()], SOON).await.unwrap();
    let out = root.path().join("out");
    let (error, _) = failure(copies.archive(&mirror, &commit, &options(FETCH), &out, SOON).await);
    assert!(error.contains("nothing is fetched here"), "{error}");
    let would = copies.archive_fetches(&mirror, &commit, &options(FETCH), (&out, SOON)).await.unwrap();
    assert_eq!(would, ["held"]);
    assert_eq!(server.requests(), Vec::<String>::new());
}
