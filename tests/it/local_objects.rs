//! The object store that is a directory.

use std::fs;
use std::process::Command;

use tidegate::providers::Fault;
use tidegate::providers::objects::{DirectoryObjects, Objects, Source};

/// Set in the process that plays the writer on a full disk.
const FULL_DISK: &str = "TIDEGATE_TEST_FULL_DISK";

#[tokio::test]
async fn an_object_is_put_once_and_found_by_name_and_uri() {
    let directory = tempfile::tempdir().unwrap();
    let store = DirectoryObjects::open(&directory.path().join("a store")).unwrap();
    let first = store.put_if_absent("images/a.tar", Source::Bytes(b"bytes")).await.unwrap();
    assert!(first.created && first.uri.starts_with("file:///") && first.uri.ends_with("/a%20store/images/a.tar"));
    let file = directory.path().join("file");
    fs::write(&file, "bytes").unwrap();
    let second = store.put_if_absent("images/a.tar", Source::File(&file)).await.unwrap();
    assert_eq!((second.created, &second.uri), (false, &first.uri));
    assert_eq!(store.uri("images/a.tar").unwrap(), first.uri);
    assert_eq!(store.get("images/a.tar").await.unwrap(), b"bytes");
    store.fetch_to(&first.uri, &directory.path().join("copy")).await.unwrap();
    assert_eq!(fs::read(directory.path().join("copy")).unwrap(), b"bytes");
    assert!(store.exists(&first.uri).await.unwrap() && !store.exists("images/b").await.unwrap());
}

#[tokio::test]
async fn other_bytes_under_the_same_name_fail_unless_they_are_to_replace() {
    let directory = tempfile::tempdir().unwrap();
    let store = DirectoryObjects::open(directory.path()).unwrap();
    store.put_if_absent("name", Source::Bytes(b"one")).await.unwrap();
    let Err(Fault::Fail { error, .. }) = store.put_if_absent("name", Source::Bytes(b"two")).await else {
        panic!("not a failure")
    };
    assert!(error.contains("with other bytes"), "{error}");
    assert_eq!(store.get("name").await.unwrap(), b"one");
    store.put("name", Source::Bytes(b"two")).await.unwrap();
    assert_eq!(store.get("name").await.unwrap(), b"two");
}

#[tokio::test]
async fn of_many_writers_one_creates() {
    let directory = tempfile::tempdir().unwrap();
    let store = DirectoryObjects::open(directory.path()).unwrap();
    let writers: Vec<_> = (0..16)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move { store.put_if_absent("deep/down/name", Source::Bytes(&[7; 100_000])).await })
        })
        .collect();
    let mut created = 0;
    for writer in writers {
        created += usize::from(writer.await.unwrap().unwrap().created);
    }
    assert_eq!(created, 1);
    assert_eq!(fs::read_dir(directory.path().join(".partial")).unwrap().count(), 0);
}

#[tokio::test]
async fn names_cannot_leave_the_store() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("secret"), "secret").unwrap();
    let store = DirectoryObjects::open(&directory.path().join("store")).unwrap();
    let outside = format!("file://{}/secret", directory.path().display());
    let climbing = format!("file://{}/store/../secret", directory.path().display());
    for name in ["../secret", "/etc/passwd", "a/../../secret", "", "a//b", ".partial/x", "a\nb", &outside, &climbing] {
        let fault = store.get(name).await.unwrap_err();
        assert!(matches!(fault, Fault::Fail { .. }) && fault.to_string().contains("is not an"), "{name}: {fault}");
    }
    assert!(store.get("absent").await.unwrap_err().to_string().contains("read the object absent"));
}

#[tokio::test]
async fn objects_are_listed_by_prefix_in_order() {
    let directory = tempfile::tempdir().unwrap();
    let store = DirectoryObjects::open(directory.path()).unwrap();
    for name in ["reports/2.json", "reports/1.json", "reports/deep/3.json", "reporter", "images/x"] {
        store.put(name, Source::Bytes(b"")).await.unwrap();
    }
    assert_eq!(store.list("reports/").await.unwrap(), ["reports/1.json", "reports/2.json", "reports/deep/3.json"]);
    assert_eq!(store.list("reports/d").await.unwrap(), ["reports/deep/3.json"]);
    assert_eq!(store.list("repo").await.unwrap().len(), 4);
    assert_eq!(store.list("").await.unwrap().len(), 5);
}

/// A process of its own may write only 32 KiB per file, as if the disk were full from there on.
#[test]
fn a_full_disk_is_tried_again_and_leaves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let status = Command::new("sh")
        .args(["-c", r#"trap '' XFSZ; ulimit -f 64; exec "$0" "$@""#])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "local_objects::the_writer_on_a_full_disk", "--ignored"])
        .env(FULL_DISK, directory.path())
        .status()
        .unwrap();
    assert!(status.success());
    assert_eq!(fs::read_dir(directory.path().join(".partial")).unwrap().count(), 0);
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2, "the folder of partial files and `small`");
}

#[tokio::test]
#[ignore = "runs in a process of its own, started by a_full_disk_is_tried_again_and_leaves_nothing"]
async fn the_writer_on_a_full_disk() {
    let Some(directory) = std::env::var_os(FULL_DISK) else { return };
    let store = DirectoryObjects::open(directory.as_ref()).unwrap();
    store.put("small", Source::Bytes(&[1; 1000])).await.unwrap();
    let Err(Fault::Retry { error, .. }) = store.put_if_absent("large", Source::Bytes(&[1; 100_000])).await else {
        panic!("not to be tried again")
    };
    assert!(error.contains("store large") && error.contains("no room is left"), "{error}");
    assert!(!store.exists("large").await.unwrap());
}
