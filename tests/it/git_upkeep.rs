//! Mirrors that are kept in order: packed beside whoever reads and writes, removed when nobody names them, and one for each
//! repository however its URL is written.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use serde_json::json;
use tidegate::{
    providers::git::{GitOptions, Mirror, MirrorLoad, Mirrors, Taking, UNUSED_FOR, Upkeep, mirrors_on_disk},
    rules::repository_key,
};

use crate::git::{SOON, mirrors, options, pin};
use crate::support::repo::TestRepo;

const CONFIG: &str = "{ \"tag\": \"v1\" }\n";
const NOW_MS: i64 = 1_768_000_000_000;

fn remote(root: &Path) -> TestRepo {
    TestRepo::with(root.join("image.git"), "dev", &[("config.json", CONFIG)])
}

/// The folder of the only mirror.
fn folder(root: &Path) -> PathBuf {
    let mut all = mirrors_on_disk(&root.join("mirrors")).unwrap();
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0).directory
}

/// Puts so many objects into a mirror that nothing leads to.
pub(crate) fn plant(mirror: &Path, count: usize) {
    let repository = git2::Repository::open_bare(mirror).unwrap();
    for number in 0..count {
        repository.blob(format!("object {number}\n").as_bytes()).unwrap();
    }
}

async fn pin_many(mirror: &Mirror, numbers: std::ops::Range<usize>) {
    for number in numbers {
        let change = pin("dev", &format!("run-{number}"), "config.json", &[("/tag", json!(format!("v{number}")))]);
        mirror.forward(&change, SOON).await.unwrap();
    }
}

#[tokio::test]
async fn what_has_come_in_is_packed_and_nothing_is_lost() {
    let root = tempfile::tempdir().unwrap();
    let remote = remote(root.path());
    let first = remote.head("dev").unwrap();
    let mirrors = mirrors(root.path());
    let mirror = mirrors.mirror(&remote.url()).unwrap();
    pin_many(&mirror, 2..12).await;
    let orphan = git2::Repository::open_bare(folder(root.path())).unwrap().blob(b"nobody's").unwrap();
    let packed = mirror.maintain(SOON).await.unwrap();
    assert!(packed.before.loose >= 30, "{packed:?}");
    assert_eq!((packed.after.loose, packed.after.packs), (0, 1), "{packed:?}");
    assert_eq!(packed.after, MirrorLoad::of(&folder(root.path())).unwrap());
    let repository = git2::Repository::open_bare(folder(root.path())).unwrap();
    assert!(repository.find_blob(orphan).is_ok(), "what nothing leads to is packed too");
    assert!(mirror.is_ancestor(&first, &remote.head("dev").unwrap()).await.unwrap());
    pin_many(&mirror, 12..14).await;
    assert_eq!(remote.log("dev").len(), 13);
}

#[tokio::test]
async fn readers_and_writers_go_on_while_a_mirror_is_packed() {
    let root = tempfile::tempdir().unwrap();
    let remote = remote(root.path());
    let files: Vec<(String, String)> = (0..300).map(|n| (format!("d{}/f{n}", n % 7), format!("{n}\n"))).collect();
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let head = remote.commit("dev", "Many files", &files);
    let mirrors = Arc::new(mirrors(root.path()));
    let mirror = mirrors.mirror(&remote.url()).unwrap();
    mirror.fetch(&["dev".to_owned()], SOON).await.unwrap();
    let done = Arc::new(AtomicBool::new(false));
    let packing = tokio::spawn({
        let (mirror, done, folder) = (Arc::clone(&mirror), Arc::clone(&done), folder(root.path()));
        async move {
            let mut rounds = 0;
            while !done.load(Ordering::SeqCst) {
                let planted = folder.clone();
                // Something new each time, so that every round makes a pack and takes others away.
                tokio::task::spawn_blocking(move || plant_one(&planted, rounds)).await.unwrap();
                mirror.maintain(SOON).await.unwrap();
                rounds += 1;
            }
            rounds
        }
    });
    let reading = tokio::spawn({
        let (mirrors, mirror, done) = (Arc::clone(&mirrors), Arc::clone(&mirror), Arc::clone(&done));
        let root = root.path().to_owned();
        async move {
            let mut number = 0;
            while !done.load(Ordering::SeqCst) {
                let into = root.join(format!("checkout-{number}"));
                mirrors.checkout(&mirror, &head, &into, Taking::PLAIN, SOON).await.unwrap();
                assert_eq!(std::fs::read_to_string(into.join("d5/f299")).unwrap(), "299\n");
                number += 1;
            }
            number
        }
    });
    pin_many(&mirror, 2..22).await;
    done.store(true, Ordering::SeqCst);
    let (packed, read) = (packing.await.unwrap(), reading.await.unwrap());
    assert!(packed > 2 && read > 2, "{packed} packings, {read} checkouts");
    assert_eq!(remote.log("dev").len(), 22);
}

fn plant_one(mirror: &Path, number: usize) {
    git2::Repository::open_bare(mirror).unwrap().blob(format!("another {number}\n").as_bytes()).unwrap();
}

#[tokio::test]
async fn a_mirror_is_opened_while_its_objects_are_packed() {
    let root = tempfile::tempdir().unwrap();
    let remote = remote(root.path());
    mirrors(root.path()).mirror(&remote.url()).unwrap().fetch(&["dev".to_owned()], SOON).await.unwrap();
    // Its name is listed, and when it is opened it is not there: what a packing does between the two.
    let fan = folder(root.path()).join("objects/ab");
    std::fs::create_dir_all(&fan).unwrap();
    std::os::unix::fs::symlink("/nowhere", fan.join("0".repeat(38))).unwrap();
    let mirror = mirrors(root.path()).mirror(&remote.url()).unwrap();
    assert!(mirror.commit_info(&remote.head("dev").unwrap()).await.is_ok(), "it was not made anew");
}

#[tokio::test]
async fn a_round_packs_what_is_named_and_is_due() {
    let root = tempfile::tempdir().unwrap();
    let remote = remote(root.path());
    let mirrors = mirrors(root.path());
    mirrors.mirror(&remote.url()).unwrap().fetch(&["dev".to_owned()], SOON).await.unwrap();
    let named = BTreeSet::from([remote.url(), "/not/there.git".to_owned()]);
    let load = || MirrorLoad::of(&folder(root.path())).unwrap();
    let few = load();
    let mut upkeep = Upkeep::default();
    upkeep.round(&mirrors, &named, true, NOW_MS).await;
    assert_eq!(load(), few, "it is not worth it");
    plant(&folder(root.path()), 1_000);
    upkeep.round(&mirrors, &named, true, NOW_MS).await;
    assert_eq!((load().loose, load().packs), (0, 1));
    assert!(mirrors_on_disk(&root.path().join("mirrors")).unwrap()[0].packed_at_ms.is_some());
}

#[tokio::test]
async fn a_mirror_that_no_rules_name_goes_after_a_week() {
    let root = tempfile::tempdir().unwrap();
    let (remote, other) = (remote(root.path()), TestRepo::with(root.path().join("other.git"), "dev", &[("a", "1")]));
    let mirrors = mirrors(root.path());
    for repository in [&remote, &other] {
        mirrors.mirror(&repository.url()).unwrap().fetch(&["dev".to_owned()], SOON).await.unwrap();
    }
    let on_disk = || mirrors_on_disk(&root.path().join("mirrors")).unwrap();
    let unused = || on_disk().iter().filter_map(|mirror| mirror.unused_since_ms).collect::<Vec<_>>();
    let (one, both) = (BTreeSet::from([remote.url()]), BTreeSet::from([remote.url(), other.url()]));
    let week_ms = i64::try_from(UNUSED_FOR.as_millis()).unwrap();
    let mut upkeep = Upkeep::default();
    upkeep.round(&mirrors, &one, false, NOW_MS).await;
    assert!(unused().is_empty(), "some rules could not be read: they may name it");
    upkeep.round(&mirrors, &one, true, NOW_MS).await;
    assert_eq!(unused(), [NOW_MS]);
    upkeep.round(&mirrors, &both, true, NOW_MS + week_ms).await;
    assert_eq!((unused(), on_disk().len()), (vec![], 2), "it is named again");
    upkeep.round(&mirrors, &one, true, NOW_MS).await;
    upkeep.round(&mirrors, &one, true, NOW_MS + week_ms - 1).await;
    assert_eq!(on_disk().len(), 2, "a week is not over");
    upkeep.round(&mirrors, &one, true, NOW_MS + week_ms).await;
    assert_eq!(on_disk().len(), 1);
    let left: Vec<_> =
        std::fs::read_dir(root.path().join("mirrors")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| name.to_string_lossy().starts_with("image-")), "{left:?}");
    let again = mirrors.mirror(&other.url()).unwrap();
    again.fetch(&["dev".to_owned()], SOON).await.unwrap();
    assert_eq!(on_disk().len(), 2, "who needs it makes it anew");
}

#[tokio::test]
async fn one_repository_has_one_mirror_however_its_url_is_written() {
    let root = tempfile::tempdir().unwrap();
    let remote = remote(root.path());
    let options = GitOptions { key: repository_key, ..options() };
    let mirrors = Mirrors::open(root.path().join("mirrors"), options).unwrap();
    let path = remote.url();
    let bare = path.trim_end_matches(".git");
    for url in [path.clone(), format!("{path}/"), format!("file://{path}"), bare.to_owned(), format!("file://{bare}")] {
        let mirror = mirrors.mirror(&url).unwrap();
        let head = mirror.heads(&["dev".to_owned()], SOON).await.unwrap()["dev"].clone();
        assert_eq!(head, remote.head("dev"), "{url}");
        mirror.fetch(&["dev".to_owned()], SOON).await.unwrap_or_else(|fault| panic!("{url}: {fault}"));
        assert_eq!(
            Mirrors::directory_in(&root.path().join("mirrors"), &url, repository_key).unwrap(),
            folder(root.path())
        );
    }
    // Two of the spellings write in turn: neither overwrites the other.
    for (number, url) in [path.clone(), bare.to_owned(), format!("file://{path}"), path].into_iter().enumerate() {
        pin_many(&mirrors.mirror(&url).unwrap(), number + 2..number + 3).await;
    }
    assert_eq!(remote.log("dev").len(), 5);
}
