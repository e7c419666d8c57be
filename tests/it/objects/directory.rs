//! The object store that is a directory: full disks, and what a death leaves behind.

use std::fs;
use std::process::Command;

use tidegate::providers::Fault;
use tidegate::providers::objects::{DirectoryObjects, Objects, Source};

/// Set in the process that plays the writer on a full disk.
const FULL_DISK: &str = "TIDEGATE_TEST_FULL_DISK";

#[tokio::test]
async fn what_is_put_leaves_no_partial_file() {
    let directory = tempfile::tempdir().unwrap();
    let store = DirectoryObjects::open(directory.path()).unwrap();
    store.put("name", Source::Bytes(b"one")).await.unwrap();
    store.put_if_absent("name", Source::Bytes(b"two")).await.unwrap_err();
    store.put_if_unchanged("index", None, b"one").await.unwrap();
    assert!(store.put("name/below", Source::Bytes(b"")).await.is_err(), "an object is no folder");
    assert_eq!(fs::read_dir(directory.path().join(".partial")).unwrap().count(), 0);
}

#[tokio::test]
async fn the_uri_of_a_file_beside_the_store_is_none_of_it() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("secret"), "secret").unwrap();
    let store = DirectoryObjects::open(&directory.path().join("store")).unwrap();
    let outside = format!("file://{}/secret", directory.path().display());
    let climbing = format!("file://{}/store/../secret", directory.path().display());
    for uri in [&outside, &climbing] {
        let fault = store.get(uri).await.unwrap_err();
        assert!(matches!(fault, Fault::Fail { .. }) && fault.to_string().contains("is not an object of"), "{fault}");
    }
}

/// A process of its own may write only 32 KiB per file, as if the disk were full from there on.
#[test]
fn a_full_disk_is_tried_again_and_leaves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let status = Command::new("sh")
        .args(["-c", r#"trap '' XFSZ; ulimit -f 64; exec "$0" "$@""#])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "objects::directory::the_writer_on_a_full_disk", "--ignored"])
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
