//! What every object store keeps, whatever it is. A new kind of store is a row in `kinds.rs` and a line at the end of this file.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

use tidegate::providers::{
    Fault,
    objects::{self, Source},
};
use tokio::io::AsyncReadExt as _;

use super::kinds::Kind;

/// Set in the processes that write to a store: its kind, a number, and its place.
const WRITING: &str = "TIDEGATE_TEST_WRITING_OBJECTS";
const PROCESSES: usize = 4;
const TASKS_OF_EACH: usize = 5;
/// How many writers are killed.
const KILLS: usize = 9;
/// Large enough that a kill comes in the middle of a write, often.
const LARGE_BYTES: usize = 4 << 20;

async fn an_object_is_put_once_and_found_by_name_and_uri(kind: Kind) {
    let place = tempfile::tempdir().unwrap();
    let first = kind.seeded(place.path()).put_if_absent("images/a.tar", Source::Bytes(b"bytes")).await.unwrap();
    assert!(first.created);
    let store = kind.open(place.path());
    let file = place.path().join("file");
    fs::write(&file, "bytes").unwrap();
    for source in [Source::File(&file), Source::Bytes(b"bytes")] {
        let again = store.put_if_absent("images/a.tar", source).await.unwrap();
        assert_eq!((again.created, &again.uri), (false, &first.uri), "the same bytes");
    }
    assert_eq!(store.uri("images/a.tar").unwrap(), first.uri);
    assert_eq!(store.name(&first.uri).unwrap(), "images/a.tar");
    for name in ["images/a.tar", &first.uri] {
        assert_eq!(store.get(name).await.unwrap(), b"bytes");
        assert!(store.exists(name).await.unwrap());
    }
    fs::write(place.path().join("copy"), "what was there, and longer").unwrap();
    store.fetch_to(&first.uri, &place.path().join("copy")).await.unwrap();
    assert_eq!(fs::read(place.path().join("copy")).unwrap(), b"bytes");
    assert!(!store.exists("images/b").await.unwrap());
    let absent = store.get("images/b").await.unwrap_err();
    assert!(matches!(&absent, Fault::Fail { error, .. } if error.contains("read the object images/b")), "{absent}");
}

async fn other_bytes_under_the_same_name_fail_unless_they_are_to_replace(kind: Kind) {
    let place = tempfile::tempdir().unwrap();
    kind.seeded(place.path()).put("name", Source::Bytes(b"one")).await.unwrap();
    let store = kind.open(place.path());
    let file = place.path().join("file");
    fs::write(&file, "one and more").unwrap();
    for source in [Source::Bytes(b"two"), Source::Bytes(b""), Source::File(&file)] {
        let Err(Fault::Fail { error, .. }) = store.put_if_absent("name", source).await else { panic!("not a failure") };
        assert!(error.contains("store name") && error.contains("with other bytes"), "{error}");
    }
    assert_eq!(store.get("name").await.unwrap(), b"one");
    store.put("name", Source::Bytes(b"two")).await.unwrap();
    assert_eq!(store.get("name").await.unwrap(), b"two");
    assert!(store.put_if_absent("name", Source::Bytes(b"one")).await.is_err(), "it is another now");
}

async fn of_many_writers_one_creates(kind: Kind) {
    let place = tempfile::tempdir().unwrap();
    let writers: Vec<_> = (0..16)
        .map(|_| {
            let store = kind.open(place.path());
            tokio::spawn(async move { store.put_if_absent("deep/down/name", Source::Bytes(&[7; 100_000])).await })
        })
        .collect();
    let mut created = 0;
    for writer in writers {
        created += usize::from(writer.await.unwrap().unwrap().created);
    }
    assert_eq!(created, 1);
    assert_eq!(kind.open(place.path()).list("").await.unwrap(), ["deep/down/name"]);
}

async fn names_that_no_store_could_keep_are_refused_by_all(kind: Kind) {
    let place = tempfile::tempdir().unwrap();
    let store = kind.open(place.path());
    let inside = store.uri("secret").unwrap();
    let (climbing, beside) = (inside.replace("/secret", "/../secret"), inside.replace("secret", ".partial/x"));
    let (long, long_part) = (["part"; 206].join("/"), "x".repeat(256));
    let other_stores = ["file:///elsewhere/secret", "s3://bucket/secret", "https://store.example.com/secret"];
    // The first row is what a directory could take and other stores could not, or the other way round.
    let names = ["a b", "a\nb", "ä", "a\\b", ".hidden", "a/.hidden", &long, &long_part]
        .into_iter()
        .chain(["../secret", "/etc/passwd", "a/../../secret", "a/./b", ".", "..", "", "a//b", "a/", "/", ".partial/x"])
        .chain([climbing.as_str(), beside.as_str()])
        .chain(other_stores);
    for name in names {
        let faults = [
            store.put(name, Source::Bytes(b"")).await.err(),
            store.put_if_absent(name, Source::Bytes(b"")).await.err(),
            store.put_if_unchanged(name, None, b"").await.err(),
            store.get_version(name).await.err(),
            store.get(name).await.err(),
            store.exists(name).await.err(),
            store.name(name).err(),
            store.uri(name).err(),
        ];
        for fault in faults {
            let said = matches!(&fault, Some(Fault::Fail { error, .. }) if error.contains("is not an object"));
            assert!(said, "{name:?}: {fault:?}");
        }
    }
    for name in ["x".repeat(255), ["part"; 204].join("/"), "a?b=c&d%20:e".to_owned()] {
        let stored = store.put(&name, Source::Bytes(b"kept")).await.unwrap();
        assert_eq!(store.name(&stored.uri).unwrap(), name);
        assert_eq!(store.get(&stored.uri).await.unwrap(), b"kept");
    }
    assert_eq!(store.list("").await.unwrap().len(), 3);
}

async fn objects_are_listed_by_prefix_in_order(kind: Kind) {
    let place = tempfile::tempdir().unwrap();
    assert!(kind.open(place.path()).list("").await.unwrap().is_empty());
    for name in ["reports/2.json", "reporter", "images/x"] {
        kind.seeded(place.path()).put(name, Source::Bytes(b"")).await.unwrap();
    }
    let store = kind.open(place.path());
    for name in ["reports/1.json", "reports/deep/3.json", "reports-old", "reporter"] {
        store.put(name, Source::Bytes(b"")).await.unwrap();
    }
    assert_eq!(store.list("reports/").await.unwrap(), ["reports/1.json", "reports/2.json", "reports/deep/3.json"]);
    assert_eq!(store.list("reports/d").await.unwrap(), ["reports/deep/3.json"]);
    let all = ["reporter", "reports-old", "reports/1.json", "reports/2.json", "reports/deep/3.json"];
    assert_eq!(store.list("repo").await.unwrap(), all, "by their bytes, whatever is a folder");
    assert_eq!(store.list("").await.unwrap().len(), 6);
    assert!(store.list("absent/").await.unwrap().is_empty());
}

async fn an_object_is_replaced_only_while_it_is_what_was_seen(kind: Kind) {
    let place = tempfile::tempdir().unwrap();
    let store = kind.open(place.path());
    assert_eq!(store.get_version("a/index").await.unwrap(), None);
    assert!(kind.seeded(place.path()).put_if_unchanged("a/index", None, b"one").await.unwrap());
    assert!(!store.put_if_unchanged("a/index", None, b"two").await.unwrap(), "it is there already");
    let (bytes, seen) = store.get_version("a/index").await.unwrap().unwrap();
    assert_eq!(bytes, b"one");
    assert!(store.put_if_unchanged("a/index", Some(&seen), b"two").await.unwrap());
    assert!(!store.put_if_unchanged("a/index", Some(&seen), b"three").await.unwrap(), "it is another now");
    assert!(!store.put_if_unchanged("a/index", None, b"three").await.unwrap());
    assert!(!store.put_if_unchanged("absent", Some(&seen), b"").await.unwrap());
    assert_eq!(store.get("a/index").await.unwrap(), b"two");
    assert_eq!(store.list("").await.unwrap(), ["a/index"], "no lock is an object");
}

async fn a_large_object_is_written_and_read_in_pieces(kind: Kind) {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("large");
    let bytes: Vec<u8> = (0..LARGE_BYTES).map(|at| (at / 1_000) as u8).collect();
    fs::write(&file, &bytes).unwrap();
    kind.seeded(place.path()).put("large", Source::File(&file)).await.unwrap();
    let store = kind.open(place.path());
    let mut reader = store.open("large").await.unwrap();
    assert_eq!(reader.length_bytes, LARGE_BYTES as u64);
    let mut begun = vec![0; 10_000];
    reader.bytes.read_exact(&mut begun).await.unwrap();
    // Replaced while it is read: what was opened is read to its end.
    store.put("large", Source::Bytes(b"small")).await.unwrap();
    reader.bytes.read_to_end(&mut begun).await.unwrap();
    assert!(begun == bytes, "one whole object");
    assert_eq!(store.get("large").await.unwrap(), b"small");
    store.put("large", Source::Bytes(&bytes)).await.unwrap();
    let (digest, length) = objects::sha256_of(&*store, "large").await.unwrap();
    assert_eq!((digest, length), (crate::local_support::sha256(&bytes), LARGE_BYTES as u64));
}

async fn no_change_is_lost_among_tasks_and_processes(kind: Kind) {
    let place = tempfile::tempdir().unwrap();
    let processes = (0..PROCESSES).map(|number| writer("a_process_that_adds_lines", kind, number, place.path()));
    for mut process in processes.collect::<Vec<_>>() {
        assert!(process.wait().unwrap().success());
    }
    let text = String::from_utf8(kind.open(place.path()).get("index").await.unwrap()).unwrap();
    let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
    lines.sort();
    let all = (0..PROCESSES).flat_map(|process| (0..TASKS_OF_EACH).map(move |task| format!("{process}-{task}")));
    assert_eq!(lines, all.collect::<Vec<_>>());
}

async fn a_write_that_is_killed_leaves_the_object_whole_or_absent(kind: Kind) {
    let place = tempfile::tempdir().unwrap();
    kind.seeded(place.path()).put("replaced", Source::Bytes(&vec![0; LARGE_BYTES])).await.unwrap();
    let store = kind.open(place.path());
    for number in 1..=KILLS {
        let mut process = writer("a_process_that_writes_until_it_is_killed", kind, number, place.path());
        // It says so after every write, so that each kind of write is killed in turn.
        let told = BufReader::new(process.stdout.take().unwrap()).lines();
        let written =
            told.filter(|line| line.as_ref().is_ok_and(|line| line.ends_with("written"))).take(1 + number % 3);
        assert_eq!(written.count(), 1 + number % 3);
        process.kill().unwrap();
        process.wait().unwrap();
        for name in store.list("").await.unwrap() {
            let bytes = store.get(&name).await.unwrap();
            assert!(bytes == vec![bytes[0]; LARGE_BYTES], "{name} is not one whole object");
        }
        // What the dead one held keeps nobody out.
        objects::update(&*store, "updated", |_| Ok(vec![number as u8; LARGE_BYTES])).await.unwrap();
    }
}

/// A process of its own that runs one of the tests below.
fn writer(test: &str, kind: Kind, number: usize, place: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("objects::contract::{test}"), "--ignored", "--nocapture"])
        .env(WRITING, format!("{} {number} {}", kind.name(), place.display()))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// What [`writer`] asked for.
fn asked() -> Option<(Kind, String, std::path::PathBuf)> {
    let writing = std::env::var(WRITING).ok()?;
    let mut words = writing.splitn(3, ' ');
    let mut word = || words.next().unwrap().to_owned();
    Some((Kind::named(&word()), word(), word().into()))
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "runs in processes of its own, started by no_change_is_lost_among_tasks_and_processes"]
async fn a_process_that_adds_lines() {
    let Some((kind, process, place)) = asked() else { return };
    let add = |task| {
        let (store, line) = (kind.open(&place), format!("{process}-{task}\n"));
        tokio::spawn(async move {
            let added = |before: Option<&[u8]>| Ok([before.unwrap_or_default(), line.as_bytes()].concat());
            objects::update(&*store, "index", added).await
        })
    };
    for task in (0..TASKS_OF_EACH).map(add).collect::<Vec<_>>() {
        task.await.unwrap().unwrap();
    }
}

#[tokio::test]
#[ignore = "runs in processes of its own, started by a_write_that_is_killed_leaves_the_object_whole_or_absent"]
async fn a_process_that_writes_until_it_is_killed() {
    let Some((kind, number, place)) = asked() else { return };
    let (store, number) = (kind.open(&place), number.parse::<u8>().unwrap());
    for round in 0.. {
        let bytes = vec![number; LARGE_BYTES];
        store.put_if_absent(&format!("new/{number}-{round}"), Source::Bytes(&bytes)).await.unwrap();
        println!("written");
        store.put("replaced", Source::Bytes(&bytes)).await.unwrap();
        println!("written");
        objects::update(&*store, "updated", |_| Ok(bytes.clone())).await.unwrap();
        println!("written");
    }
}

/// All of the contract, for one kind of store.
macro_rules! keeps_the_contract {
    ($($module:ident $kind:expr;)*) => { $(mod $module {
        use super::Kind;

        keeps_the_contract! { tests $kind;
            an_object_is_put_once_and_found_by_name_and_uri
            other_bytes_under_the_same_name_fail_unless_they_are_to_replace
            of_many_writers_one_creates
            names_that_no_store_could_keep_are_refused_by_all
            objects_are_listed_by_prefix_in_order
            an_object_is_replaced_only_while_it_is_what_was_seen
            a_large_object_is_written_and_read_in_pieces
            no_change_is_lost_among_tasks_and_processes
            a_write_that_is_killed_leaves_the_object_whole_or_absent
        }
    })* };
    (tests $kind:expr; $($test:ident)*) => { $(#[tokio::test] async fn $test() { super::$test($kind).await; })* };
}

keeps_the_contract! {
    directory Kind::Directory;
    over_nothing Kind::OverNothing;
    over_another Kind::OverAnother;
}
