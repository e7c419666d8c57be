//! Archives and check-outs, straight from git objects.

use crate::git::{SOON, failure, mirrors};
use crate::support::repo::TestRepo;
use std::collections::BTreeMap;
use std::io::Read;
use tidegate::providers::git::{ArchiveFormat, ArchiveOptions};

fn options(format: ArchiveFormat) -> ArchiveOptions {
    ArchiveOptions { format, exclude: vec!["docs/".to_owned(), "**/*.tmp".to_owned()] }
}

/// The paths in a tar, with mode and content (of a link: where it leads).
fn entries(tar: impl Read) -> BTreeMap<String, (u32, String)> {
    let mut archive = tar::Archive::new(tar);
    let read = |entry: std::io::Result<tar::Entry<'_, _>>| {
        let mut entry = entry.unwrap();
        assert_eq!((entry.header().uid().unwrap(), entry.header().mtime().unwrap()), (0, 315_532_800));
        let path = entry.path().unwrap().to_str().unwrap().to_owned();
        let mut content = String::new();
        entry.read_to_string(&mut content).unwrap();
        if let Some(target) = entry.link_name().unwrap() {
            content = target.to_str().unwrap().to_owned();
        }
        (path, (entry.header().mode().unwrap(), content))
    };
    archive.entries().unwrap().map(read).collect()
}

fn shop(root: &std::path::Path) -> TestRepo {
    let remote = TestRepo::empty(root.join("shop.git"));
    let long = format!("deep/{}/end.txt", "folder/".repeat(30));
    let tree = remote.tree(
        None,
        &[
            (
                "100644",
                ".gitattributes",
                "tests/ export-ignore\n*.secret export-ignore\n.gitattributes export-ignore\n",
            ),
            ("100644", "src/.gitattributes", "keep.secret -export-ignore\n"),
            ("100755", "bin/run", "#!/bin/sh\n"),
            ("120000", "current", "bin/run"),
            ("100644", "docs/index.md", "docs"),
            ("100644", "src/a.tmp", "t"),
            ("100644", "src/keep.secret", "kept"),
            ("100644", "src/lost.secret", "lost"),
            ("100644", "tests/one", "1"),
            ("100644", &long.replace("//", "/"), "far"),
        ],
    );
    remote.commit_tree("dev", "Begin", &tree, &[]);
    remote
}

#[tokio::test]
async fn the_same_tree_is_the_same_bytes_whatever_the_commit() {
    let root = tempfile::tempdir().unwrap();
    let remote = shop(root.path());
    let first = remote.head("dev").unwrap();
    let tree = remote.git(&["rev-parse", "dev^{tree}"]);
    let second = remote.commit_tree("dev", "The same again", &tree, std::slice::from_ref(&first));
    let mirror = mirrors(root.path()).mirror(&remote.url()).unwrap();
    mirror.fetch(&["dev".to_owned()], SOON).await.unwrap();
    let elsewhere = mirrors(&root.path().join("elsewhere")).mirror(&remote.url()).unwrap();
    elsewhere.fetch(&["dev".to_owned()], SOON).await.unwrap();

    for format in [ArchiveFormat::TarGz, ArchiveFormat::TarZst] {
        let path = |name: &str| root.path().join(format!("{name}.{}", format.extension()));
        let one = mirror.archive(&first, &options(format), &path("one")).await.unwrap();
        let two = elsewhere.archive(&second, &options(format), &path("two")).await.unwrap();
        assert_eq!(one, two);
        let bytes = std::fs::read(path("one")).unwrap();
        assert_eq!(bytes, std::fs::read(path("two")).unwrap());
        assert_eq!((one.size_bytes, one.identity), (bytes.len() as u64, options(format).identity(&tree)));

        let unpacked = match format {
            ArchiveFormat::TarGz => entries(flate2::read::GzDecoder::new(bytes.as_slice())),
            ArchiveFormat::TarZst => entries(zstd::Decoder::new(bytes.as_slice()).unwrap()),
        };
        let paths: Vec<_> = unpacked.keys().map(String::as_str).collect();
        assert_eq!((paths.len(), paths[0], paths[1], paths[3]), (4, "bin/run", "current", "src/keep.secret"));
        assert!(paths[2].len() > 200 && unpacked[paths[2]].1 == "far");
        assert_eq!(unpacked["bin/run"], (0o755, "#!/bin/sh\n".to_owned()));
        assert_eq!(unpacked["current"].1, "bin/run");
        assert_eq!(unpacked["src/keep.secret"], (0o644, "kept".to_owned()));
    }
    let left: Vec<_> = std::fs::read_dir(root.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| !name.to_str().unwrap().contains("partial")));
    let plain = ArchiveOptions { exclude: vec![], ..options(ArchiveFormat::TarGz) };
    assert_ne!(plain.identity(&tree), options(ArchiveFormat::TarGz).identity(&tree));
    assert_ne!(options(ArchiveFormat::TarZst).identity(&tree), options(ArchiveFormat::TarGz).identity(&tree));
}

#[tokio::test]
async fn a_checkout_is_plain_files_and_no_link_leads_out() {
    let root = tempfile::tempdir().unwrap();
    let remote = shop(root.path());
    let mirror = mirrors(root.path()).mirror(&remote.url()).unwrap();
    let dev = ["dev".to_owned()];
    mirror.fetch(&dev, SOON).await.unwrap();
    let out = root.path().join("out");
    mirror.checkout_into(&remote.head("dev").unwrap(), &out).await.unwrap();
    assert_eq!(std::fs::read_to_string(out.join("current")).unwrap(), "#!/bin/sh\n");
    assert_eq!(std::fs::read_to_string(out.join("tests/one")).unwrap(), "1");
    for (number, target) in ["/etc/passwd", "../../x", "a/../../x"].into_iter().enumerate() {
        let tree = remote.tree(None, &[("120000", "folder/link", target)]);
        let commit = remote.commit_tree("dev", "Link", &tree, &[]);
        mirror.fetch(&dev, SOON).await.unwrap();
        let (error, _) = failure(mirror.checkout_into(&commit, &root.path().join(format!("out-{number}"))).await);
        assert!(error.contains("'folder/link' leads to") && error.contains(target), "{error}");
    }
    assert_eq!(mirror.read_file(&remote.head("dev").unwrap(), "absent").await.unwrap(), None);
    let (error, _) = failure(mirror.read_file(&"0".repeat(40), "a").await);
    assert!(error.contains("no commit 000"), "{error}");
}
