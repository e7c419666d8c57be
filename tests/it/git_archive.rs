//! Archives and checkouts are what git makes of a tree: the same names, bytes and modes, whatever its attributes say.

use crate::git::{SOON, failure, mirrors};
use crate::support::repo::TestRepo;
use git2::{Oid, Repository};
use proptest::{prelude::*, sample::select};
use std::collections::BTreeMap;
use std::io::Read;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tidegate::providers::Fault;
use tidegate::providers::git::{ArchiveFormat, ArchiveOptions, GitOptions, Mirror, Mirrors, Taking};

/// Path → mode, and content; of a link, where it leads.
pub(crate) type Listed = BTreeMap<Vec<u8>, (u32, Vec<u8>)>;

pub(crate) fn plain(format: ArchiveFormat) -> ArchiveOptions {
    ArchiveOptions { format, exclude: Vec::new(), taking: Taking::PLAIN }
}

/// What is in a tar. Folders count when nothing is in them.
pub(crate) fn listed(tar: impl Read) -> Listed {
    let mut archive = tar::Archive::new(tar);
    let mut listed = Listed::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        if let Some(target) = entry.link_name_bytes() {
            content = target.into_owned();
        }
        if !entry.header().entry_type().is_pax_global_extensions() {
            listed.insert(entry.path_bytes().into_owned(), (entry.header().mode().unwrap(), content));
        }
    }
    let holds = |folder: &[u8]| listed.keys().any(|path| path.len() > folder.len() && path.starts_with(folder));
    let full: Vec<_> = listed.keys().filter(|path| path.ends_with(b"/") && holds(path)).cloned().collect();
    full.iter().for_each(|path| drop(listed.remove(path)));
    listed
}

/// What is in a folder, as [`listed`] says it.
pub(crate) fn on_disk(root: &Path) -> Listed {
    let mut listed = Listed::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        let name = |path: &Path| path.strip_prefix(root).unwrap().as_os_str().as_bytes().to_vec();
        if entries.is_empty() {
            listed.insert([&name(&folder), b"/".as_slice()].concat(), (0o755, Vec::new()));
        }
        for path in entries {
            let metadata = path.symlink_metadata().unwrap();
            if metadata.is_dir() {
                folders.push(path);
            } else if metadata.is_symlink() {
                let target = std::fs::read_link(&path).unwrap().as_os_str().as_bytes().to_vec();
                listed.insert(name(&path), (0o777, target));
            } else {
                let mode = if metadata.permissions().mode() & 0o100 == 0 { 0o644 } else { 0o755 };
                listed.insert(name(&path), (mode, std::fs::read(&path).unwrap()));
            }
        }
    }
    listed
}

/// What `git archive` gives.
fn by_git(remote: &TestRepo, commit: &str) -> Listed {
    let file = remote.directory.join("by-git.tar");
    remote.git(&["-c", "tar.umask=0022", "archive", "--format=tar", "-o", file.to_str().unwrap(), commit]);
    listed(std::fs::File::open(file).unwrap())
}

pub(crate) async fn fetched(root: &Path, url: &str) -> (Mirrors, Arc<Mirror>) {
    let mirrors = mirrors(root);
    let mirror = mirrors.mirror(url).unwrap();
    mirror.fetch(&["dev".to_owned()], SOON).await.unwrap();
    (mirrors, mirror)
}

/// What is in the archive that we make.
pub(crate) async fn by_us(mirrors: &Mirrors, mirror: &Arc<Mirror>, commit: &str, options: &ArchiveOptions) -> Listed {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("archive");
    let made = mirrors.archive(mirror, commit, options, &file, SOON).await.unwrap();
    let bytes = std::fs::read(&file).unwrap();
    assert_eq!(made.identity, mirror.archive_identity(commit, options).await.unwrap());
    assert_eq!(made.size_bytes, bytes.len() as u64);
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
    assert_eq!(left.len(), 1, "nothing is left beside it: {left:?}");
    match options.format {
        ArchiveFormat::TarGz => listed(flate2::read::GzDecoder::new(bytes.as_slice())),
        ArchiveFormat::TarZst => listed(zstd::Decoder::new(bytes.as_slice()).unwrap()),
    }
}

/// Mode, path and content; names are bytes.
type TreeEntry = (i32, Vec<u8>, Vec<u8>);

/// A tree of these.
fn tree(repository: &Repository, entries: &[TreeEntry]) -> Oid {
    let mut builder = repository.treebuilder(None).unwrap();
    let mut below: BTreeMap<&[u8], Vec<TreeEntry>> = BTreeMap::new();
    for (mode, path, content) in entries {
        match path.iter().position(|byte| *byte == b'/') {
            Some(at) => {
                below.entry(&path[..at]).or_default().push((*mode, path[at + 1..].to_vec(), content.clone()));
            }
            None => {
                let blob = repository.blob(content).unwrap();
                builder.insert(path.as_slice(), blob, *mode).unwrap();
            }
        }
    }
    for (name, entries) in below {
        builder.insert(name, tree(repository, &entries), 0o040_000).unwrap();
    }
    builder.write().unwrap()
}

fn committed(root: &Path, entries: &[(i32, Vec<u8>, Vec<u8>)]) -> (TestRepo, String) {
    let remote = TestRepo::empty(root.join("shop.git"));
    let tree = tree(&Repository::open_bare(&remote.directory).unwrap(), entries).to_string();
    let commit = remote.commit_tree("dev", "Begin", &tree, &[]);
    (remote, commit)
}

fn file(path: &str, content: &str) -> (i32, Vec<u8>, Vec<u8>) {
    (0o100_644, path.into(), content.into())
}

#[tokio::test]
async fn the_same_tree_is_the_same_bytes_whatever_the_commit() {
    let root = tempfile::tempdir().unwrap();
    let far = format!("deep/{}end.txt", "folder/".repeat(30));
    let entries = [
        file(".gitattributes", "tests/ export-ignore\n*.secret export-ignore\n.gitattributes export-ignore\n"),
        file("src/.gitattributes", "keep.secret -export-ignore\n"),
        (0o100_755, b"bin/run".to_vec(), b"#!/bin/sh\n".to_vec()),
        (0o120_000, b"current".to_vec(), b"bin/run".to_vec()),
        file("docs/index.md", "docs"),
        file("src/a.tmp", "t"),
        file("src/keep.secret", "kept"),
        file("src/lost.secret", "lost"),
        file("tests/one", "1"),
        file(&far, "far"),
    ];
    let (remote, first) = committed(root.path(), &entries);
    let tree = remote.git(&["rev-parse", "dev^{tree}"]);
    let second = remote.commit_tree("dev", "The same again", &tree, std::slice::from_ref(&first));
    let (mirrors, mirror) = fetched(root.path(), &remote.url()).await;
    let (others, elsewhere) = fetched(&root.path().join("elsewhere"), &remote.url()).await;
    for format in [ArchiveFormat::TarGz, ArchiveFormat::TarZst] {
        let exclude = vec!["docs/".to_owned(), "**/*.tmp".to_owned()];
        let options = ArchiveOptions { exclude, ..plain(format) };
        let path = |name: &str| root.path().join(format!("{name}.{}", format.extension()));
        let one = mirrors.archive(&mirror, &first, &options, &path("one"), SOON).await.unwrap();
        let two = others.archive(&elsewhere, &second, &options, &path("two"), SOON).await.unwrap();
        assert_eq!(one, two);
        assert_eq!(std::fs::read(path("one")).unwrap(), std::fs::read(path("two")).unwrap());
        let found = by_us(&mirrors, &mirror, &first, &options).await;
        // A pattern of a deeper file counts from there, and what holds the patterns is left out by one of them.
        let expected = ["bin/run", "current", far.as_str(), "src/keep.secret"].map(|path| path.as_bytes().to_vec());
        assert_eq!(found.keys().cloned().collect::<Vec<_>>(), expected);
        assert_eq!(found[b"bin/run".as_slice()], (0o755, b"#!/bin/sh\n".to_vec()));
        assert_eq!(found[b"current".as_slice()], (0o777, b"bin/run".to_vec()));
        assert_eq!(found[b"src/keep.secret".as_slice()], (0o644, b"kept".to_vec()));
        assert_eq!(found[far.as_bytes()], (0o644, b"far".to_vec()));
        assert!(!found.contains_key(b"src/lost.secret".as_slice()) && !found.contains_key(b"docs/index.md".as_slice()));
        for other in [plain(format), ArchiveOptions { taking: Taking::REFUSED, ..options.clone() }] {
            let other = mirror.archive_identity(&first, &other).await.unwrap();
            assert_ne!(other, one.identity);
        }
    }
}

#[tokio::test]
async fn what_attributes_say_is_honoured_as_git_honours_it() {
    let root = tempfile::tempdir().unwrap();
    let attributes = "[attr]private export-ignore -diff\n\"with space.txt\" private\n*.key private\nkeep.key !export-ignore\n\
                      win.txt text eol=crlf\nwide.txt text working-tree-encoding=UTF-16LE\nid.txt ident\n\
                      version export-subst\nlink export-ignore\ndir/ export-ignore\n*.bin binary\n";
    let entries = [
        file(".gitattributes", attributes),
        file("with space.txt", "private"),
        file("a.key", "private"),
        file("keep.key", "kept"),
        file("win.txt", "one\ntwo\n"),
        file("wide.txt", "wide\n"),
        file("id.txt", "$Id$\n"),
        file("version", "$Format:%H %h %an %s$\n"),
        file("other", "$Format:%H$\n"),
        file("dir/inside", "private"),
        (0o120_000, b"dir2/dir".to_vec(), b"../keep.key".to_vec()),
        (0o120_000, b"link".to_vec(), b"keep.key".to_vec()),
        (0o120_000, b"sub/.gitattributes".to_vec(), b"shown export-ignore".to_vec()),
        file("sub/shown", "shown"),
    ];
    let (remote, commit) = committed(root.path(), &entries);
    let (mirrors, mirror) = fetched(root.path(), &remote.url()).await;
    let options = plain(ArchiveFormat::TarZst);
    let found = by_us(&mirrors, &mirror, &commit, &options).await;
    assert_eq!(found, by_git(&remote, &commit));
    for gone in ["with space.txt", "a.key", "dir/inside", "link"] {
        assert!(!found.contains_key(gone.as_bytes()), "{gone}");
    }
    assert_eq!(found[b"win.txt".as_slice()].1, b"one\r\ntwo\r\n");
    let version = String::from_utf8(found[b"version".as_slice()].1.clone()).unwrap();
    assert_eq!(version, format!("{commit} {} Ada Begin\n", &commit[..7]));

    // The bytes depend on the commit, and so does what they are known by.
    let tree = remote.git(&["rev-parse", "dev^{tree}"]);
    let again = remote.commit_tree("dev", "Again", &tree, std::slice::from_ref(&commit));
    mirror.fetch(&["dev".to_owned()], SOON).await.unwrap();
    let identity = async |commit: &str| mirror.archive_identity(commit, &options).await.unwrap();
    assert_ne!(identity(&commit).await, identity(&again).await);

    // What is written into the mirror's own attributes counts, as git has it.
    let before = identity(&commit).await;
    let own = "win.txt export-ignore\n";
    let here = std::fs::read_dir(root.path().join("mirrors")).unwrap().map(|entry| entry.unwrap().path());
    let here = here.filter(|path| path.join("HEAD").is_file());
    for git in here.chain([remote.directory.clone()]) {
        std::fs::create_dir_all(git.join("info")).unwrap();
        std::fs::write(git.join("info/attributes"), own).unwrap();
    }
    let found = by_us(&mirrors, &mirror, &commit, &options).await;
    assert!(!found.contains_key(b"win.txt".as_slice()));
    assert_eq!(found, by_git(&remote, &commit));
    assert_ne!(before, identity(&commit).await);
}

#[tokio::test]
async fn names_are_bytes() {
    let root = tempfile::tempdir().unwrap();
    let long = [b"long/\xff\xfe\n".as_slice(), "ü".repeat(90).as_bytes(), b"\xe9"].concat();
    let names: [&[u8]; 9] = [
        b"caf\xe9",
        b"caf\xe8",
        b"back\\slash",
        b"tab\tand\nline",
        b" ",
        b"-dash",
        b"\"quoted\"",
        b"dir\xff/in",
        &long,
    ];
    let mut entries: Vec<_> = names.iter().map(|name| (0o100_644, name.to_vec(), name.to_vec())).collect();
    entries.push((0o120_000, b"link\xff".to_vec(), b"dir\xff/./in//".to_vec()));
    entries.push((0o120_000, b"far".to_vec(), [b"dir\xff/".as_slice(), &b"\xe9".repeat(120)].concat()));
    let (remote, commit) = committed(root.path(), &entries);
    let (mirrors, mirror) = fetched(root.path(), &remote.url()).await;
    let expected: Listed = entries
        .iter()
        .map(|(mode, path, content)| (path.clone(), (if *mode == 0o120_000 { 0o777 } else { 0o644 }, content.clone())))
        .collect();
    assert_eq!(by_us(&mirrors, &mirror, &commit, &plain(ArchiveFormat::TarGz)).await, expected);
    let out = root.path().join("out");
    mirrors.checkout(&mirror, &commit, &out, Taking::PLAIN, SOON).await.unwrap();
    assert_eq!(on_disk(&out), expected);
}

#[tokio::test]
async fn a_checkout_is_a_clone_and_no_link_leads_out() {
    let root = tempfile::tempdir().unwrap();
    let entries = [
        file(
            ".gitattributes",
            "*.txt text eol=crlf\n*.secret export-ignore\nversion export-subst ident\nauto text=auto\n",
        ),
        file("a.txt", "one\ntwo\n"),
        file("a.secret", "here"),
        file("version", "$Format:%H$ $Id$\n"),
        file("auto", "one\ntwo\n"),
        (0o100_755, b"bin/run".to_vec(), b"#!/bin/sh\n".to_vec()),
        (0o120_000, b"current".to_vec(), b"bin/run".to_vec()),
    ];
    let (remote, commit) = committed(root.path(), &entries);
    let (mirrors, mirror) = fetched(root.path(), &remote.url()).await;
    let (out, clone) = (root.path().join("out"), root.path().join("clone"));
    mirrors.checkout(&mirror, &commit, &out, Taking::PLAIN, SOON).await.unwrap();
    remote.git(&["clone", "--quiet", "--branch", "dev", ".", clone.to_str().unwrap()]);
    std::fs::remove_dir_all(clone.join(".git")).unwrap();
    assert_eq!(on_disk(&out), on_disk(&clone));
    for (number, target) in ["/etc/passwd", "../../x", "a/../../x"].into_iter().enumerate() {
        let tree = remote.tree(None, &[("120000", "folder/link", target)]);
        let commit = remote.commit_tree("dev", "Link", &tree, &[]);
        mirror.fetch(&["dev".to_owned()], SOON).await.unwrap();
        let out = root.path().join(format!("out-{number}"));
        let (error, _) = failure(mirrors.checkout(&mirror, &commit, &out, Taking::PLAIN, SOON).await);
        assert!(error.contains("'folder/link' leads to") && error.contains(target), "{error}");
    }
    assert_eq!(mirror.read_file(&commit, "absent").await.unwrap(), None);
    let (error, _) = failure(mirror.read_file(&"0".repeat(40), "a").await);
    assert!(error.contains("no commit 000"), "{error}");
}

#[tokio::test]
async fn what_git_would_pass_over_is_refused_with_its_line() {
    let root = tempfile::tempdir().unwrap();
    let attributes = format!("# fine\n\n{} export-ignore\n", "a".repeat(2_040));
    let (remote, commit) = committed(root.path(), &[file("sub/.gitattributes", &attributes), file("sub/x", "x")]);
    let (mirrors, mirror) = fetched(root.path(), &remote.url()).await;
    let out = root.path().join("out.tar.gz");
    let made = mirrors.archive(&mirror, &commit, &plain(ArchiveFormat::TarGz), &out, SOON).await;
    let (error, hint) = failure(made);
    assert!(error.contains("sub/.gitattributes:3: git passes over lines") && hint.contains("shorter"), "{error}");
    assert!(!out.exists());
}

#[tokio::test]
async fn a_git_that_writes_nothing_is_ended() {
    let root = tempfile::tempdir().unwrap();
    let (remote, commit) = committed(root.path(), &[file("a", "a")]);
    let program = root.path().join("git");
    std::fs::write(&program, "#!/bin/sh\ncase \"$*\" in *archive*) exec sleep 600 ;; *) exec git \"$@\" ;; esac\n")
        .unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let options = GitOptions { program, patience: Duration::from_secs(4), ..crate::git::options() };
    let mirrors = Mirrors::open(root.path().join("mirrors"), options).unwrap();
    let mirror = mirrors.mirror(&remote.url()).unwrap();
    mirror.fetch(&["dev".to_owned()], SOON).await.unwrap();
    let out = root.path().join("out");
    let made = mirrors.archive(&mirror, &commit, &plain(ArchiveFormat::TarGz), &out, SOON).await;
    let (error, hint) = failure(made);
    assert!(error.contains("wrote nothing for 4 s") && hint.contains(".gitattributes"), "{error}");
    let late = mirrors.archive(&mirror, &commit, &plain(ArchiveFormat::TarGz), &out, Duration::from_secs(1)).await;
    assert!(matches!(&late, Err(Fault::Retry { error, .. }) if error.contains("before the deadline")), "{late:?}");
}

#[derive(Debug, Clone)]
struct Grown {
    entries: BTreeMap<Vec<u8>, (i32, Vec<u8>)>,
}

fn name() -> impl Strategy<Value = Vec<u8>> {
    let names: [&[u8]; 11] = [
        b"a",
        b"b.txt",
        b"c.key",
        b"with space",
        b"caf\xe9",
        b"q\"t",
        b"x\\y",
        b"*",
        b"Dir",
        b"z.bin",
        b"\xc3\xa4.txt",
    ];
    select(names.map(<[u8]>::to_vec).to_vec())
}

fn folder() -> impl Strategy<Value = Vec<u8>> {
    select(["", "lib/", "lib/deep/", "Dir.d/", "a b/"].map(|folder| folder.as_bytes().to_vec()).to_vec())
}

fn attributes() -> impl Strategy<Value = Vec<u8>> {
    let pattern = select(vec![
        "*",
        "*.txt",
        "*.key",
        "lib",
        "lib/",
        "/lib/**",
        "**/deep",
        "deep/*",
        "\"with space\"",
        "\"caf\\351\"",
        "\\*",
        "a*",
        "[ab]*",
        "!a",
        "\"q\\\"t\"",
        "Dir.d/",
        "/a",
        "lib/deep/a",
        "?.bin",
        "dir",
        "#x",
    ]);
    let said = select(vec![
        "export-ignore",
        "export-ignore",
        "-export-ignore",
        "!export-ignore",
        "export-ignore=1",
        "hide",
        "-hide",
        "shown",
        "text",
        "-text",
        "text=auto",
        "eol=crlf",
        "text eol=crlf",
        "eol=lf",
        "ident",
        "export-subst",
        "binary",
        "working-tree-encoding=UTF-16LE",
        "export-ignore -export-ignore",
        "text=auto eol=crlf ident export-subst",
    ]);
    let line = (pattern, said).prop_map(|(pattern, said)| format!("{pattern} {said}\n"));
    (any::<bool>(), prop::collection::vec(line, 0..6)).prop_map(|(macros, lines)| {
        let macros = if macros { "[attr]hide export-ignore eol=crlf\n[attr]shown -export-ignore\n" } else { "" };
        format!("{macros}{}", lines.concat()).into_bytes()
    })
}

fn grown() -> impl Strategy<Value = Grown> {
    let contents: [&[u8]; 9] = [
        b"",
        b"plain\nlines\n",
        b"crlf\r\nlines\r\n",
        b"mixed\r\nlines\n",
        b"$Id$\n$Id: old $\n",
        b"\x00\x01binary\r\n",
        b"$Format:%H %h %an <%ae> %s$\n",
        "h\u{e9}llo\n".as_bytes(),
        b"no end",
    ];
    let content = select(contents.map(<[u8]>::to_vec).to_vec());
    let mode = prop_oneof![5 => Just(0o100_644), 2 => Just(0o100_755), 1 => Just(0o120_000)];
    let file = (folder(), name(), mode, content).prop_map(|(folder, name, mode, content)| {
        // A link leads somewhere.
        let content = if mode == 0o120_000 { b"a".to_vec() } else { content };
        ([folder, name].concat(), (mode, content))
    });
    let rules = (folder(), prop_oneof![8 => Just(0o100_644), 1 => Just(0o120_000)], attributes())
        .prop_map(|(folder, mode, text)| ([folder.as_slice(), b".gitattributes"].concat(), (mode, text)))
        .prop_filter("a link leads to something here", |(_, (mode, text))| {
            *mode == 0o100_644 || !(text.is_empty() || text.starts_with(b"/"))
        });
    (prop::collection::vec(file, 1..12), prop::collection::vec(rules, 1..4))
        .prop_map(|(files, rules)| Grown { entries: files.into_iter().chain(rules).collect() })
}

proptest! {
    // Each case makes a repository and asks git four times.
    #![proptest_config(ProptestConfig { cases: 16, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn archives_and_checkouts_are_those_of_git(grown in grown()) {
        let root = tempfile::tempdir().unwrap();
        let entries: Vec<_> = grown.entries.iter().map(|(path, (mode, content))| (*mode, path.clone(), content.clone())).collect();
        let (remote, commit) = committed(root.path(), &entries);
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let (found, out) = runtime.block_on(async {
            let (mirrors, mirror) = fetched(root.path(), &remote.url()).await;
            let out = root.path().join("out");
            mirrors.checkout(&mirror, &commit, &out, Taking::PLAIN, SOON).await.unwrap();
            (by_us(&mirrors, &mirror, &commit, &plain(ArchiveFormat::TarGz)).await, on_disk(&out))
        });
        prop_assert_eq!(found, by_git(&remote, &commit));
        let clone = root.path().join("clone");
        remote.git(&["clone", "--quiet", "--branch", "dev", ".", clone.to_str().unwrap()]);
        std::fs::remove_dir_all(clone.join(".git")).unwrap();
        prop_assert_eq!(out, on_disk(&clone));
    }
}
