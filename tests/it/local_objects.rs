//! The object store that is a directory.

use std::fs;
use std::process::Command;

use tidegate::providers::Fault;
use tidegate::providers::objects::{self, DirectoryObjects, Objects, Source};

/// Set in the process that plays the writer on a full disk.
const FULL_DISK: &str = "TIDEGATE_TEST_FULL_DISK";
/// Set in the processes that add lines to one object.
const ADDING: &str = "TIDEGATE_TEST_ADDING";
const PROCESSES: usize = 4;
const TASKS_OF_EACH: usize = 5;

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

#[tokio::test]
async fn an_object_is_replaced_only_while_it_is_what_was_seen() {
    let directory = tempfile::tempdir().unwrap();
    let store = DirectoryObjects::open(directory.path()).unwrap();
    assert_eq!(store.get_version("a/index").await.unwrap(), None);
    assert!(store.put_if_unchanged("a/index", None, b"one").await.unwrap());
    assert!(!store.put_if_unchanged("a/index", None, b"two").await.unwrap(), "it is there already");
    let (bytes, seen) = store.get_version("a/index").await.unwrap().unwrap();
    assert_eq!(bytes, b"one");
    assert!(store.put_if_unchanged("a/index", Some(&seen), b"two").await.unwrap());
    assert!(!store.put_if_unchanged("a/index", Some(&seen), b"three").await.unwrap(), "it is another now");
    assert!(!store.put_if_unchanged("absent", Some(&seen), b"").await.unwrap());
    assert_eq!(store.get("a/index").await.unwrap(), b"two");
    assert_eq!(store.list("").await.unwrap(), ["a/index"], "no lock is an object");
}

#[tokio::test]
async fn a_store_over_another_compares_with_it_and_leaves_it() {
    let directory = tempfile::tempdir().unwrap();
    let below = DirectoryObjects::open(&directory.path().join("below")).unwrap();
    below.put("index", Source::Bytes(b"one")).await.unwrap();
    let store = DirectoryObjects::open_over(below.root(), &directory.path().join("over")).unwrap();
    assert!(!store.put_if_unchanged("index", None, b"two").await.unwrap());
    let (_, seen) = store.get_version("index").await.unwrap().unwrap();
    assert!(store.put_if_unchanged("index", Some(&seen), b"two").await.unwrap());
    assert!(!store.put_if_unchanged("index", Some(&seen), b"three").await.unwrap());
    assert_eq!((store.get("index").await.unwrap(), below.get("index").await.unwrap()), (b"two".into(), b"one".into()));
}

#[tokio::test]
async fn no_change_is_lost_among_tasks_and_processes() {
    let directory = tempfile::tempdir().unwrap();
    let start = |number: usize| {
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "local_objects::a_process_that_adds_lines", "--ignored"])
            .env(ADDING, format!("{number} {}", directory.path().display()))
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap()
    };
    let processes: Vec<_> = (0..PROCESSES).map(start).collect();
    for mut process in processes {
        assert!(process.wait().unwrap().success());
    }
    let store = DirectoryObjects::open(directory.path()).unwrap();
    let text = String::from_utf8(store.get("index").await.unwrap()).unwrap();
    let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
    lines.sort();
    let all = (0..PROCESSES).flat_map(|process| (0..TASKS_OF_EACH).map(move |task| format!("{process}-{task}")));
    assert_eq!(lines, all.collect::<Vec<_>>());
    assert_eq!(fs::read_dir(directory.path().join(".partial")).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "runs in processes of its own, started by no_change_is_lost_among_tasks_and_processes"]
async fn a_process_that_adds_lines() {
    let Ok(adding) = std::env::var(ADDING) else { return };
    let (process, directory) = adding.split_once(' ').unwrap();
    let store = DirectoryObjects::open(directory.as_ref()).unwrap();
    let add = |task| {
        let (store, line) = (store.clone(), format!("{process}-{task}\n"));
        tokio::spawn(async move {
            let added = |before: Option<&[u8]>| Ok([before.unwrap_or_default(), line.as_bytes()].concat());
            objects::update(&store, "index", added).await
        })
    };
    let tasks: Vec<_> = (0..TASKS_OF_EACH).map(add).collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
}
