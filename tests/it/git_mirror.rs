//! A mirror that is not as it should be: lock files of killed processes, objects that were cut short, work that hangs.

use std::{path::Path, time::Duration};

use crate::git::{SOON, mirrors, options};
use crate::support::repo::TestRepo;

fn remote(root: &Path) -> TestRepo {
    TestRepo::with(root.join("image.git"), "dev", &[("config.json", "{}\n")])
}

#[tokio::test]
async fn locks_that_a_killed_process_left_stop_nothing_that_changes_a_mirror() {
    let root = tempfile::tempdir().unwrap();
    let remote = remote(root.path());
    let first = remote.head("dev").unwrap();
    let second = remote.commit("dev", "Go on", &[("a", "2")]);
    let mirror = mirrors(root.path()).mirror(&remote.url()).unwrap();
    mirror.fetch(&["dev".to_owned()], SOON).await.unwrap();
    mirror.keep("webshop", [first.as_str()], SOON).await.unwrap();
    let folder = std::fs::read_dir(root.path().join("mirrors")).unwrap();
    let folder = folder.map(|entry| entry.unwrap().path()).find(|path| path.is_dir()).unwrap();
    let kept = |commit: &str| folder.join(format!("refs/tidegate/keep/webshop/{commit}"));
    let leave_locks = || {
        for locked in [kept(&first), kept(&second), folder.join("packed-refs"), folder.join("refs/heads/dev")] {
            std::fs::write(locked.with_extension("lock"), "").unwrap();
        }
    };
    leave_locks();
    mirror.keep("webshop", [second.as_str()], SOON).await.unwrap();
    assert!(kept(&second).exists(), "the commit is kept");
    leave_locks();
    mirror.keep_only("webshop", [second.as_str()], SOON).await.unwrap();
    assert!(!kept(&first).exists(), "what is not named any more is let go");
    leave_locks();
    mirror.maintain(SOON).await.unwrap();
    let third = remote.commit("dev", "And on", &[("a", "3")]);
    leave_locks();
    mirror.fetch(&["dev".to_owned()], SOON).await.unwrap();
    assert_eq!(mirror.parted(std::slice::from_ref(&third)).await.unwrap(), (vec![third.clone()], Vec::new()));
}

/// Cuts all loose objects of the only mirror short.
fn cut_short(root: &Path, keep: usize) {
    let folder = std::fs::read_dir(root.join("mirrors")).unwrap();
    let folder = folder.map(|entry| entry.unwrap().path()).find(|path| path.is_dir()).unwrap();
    for fan in std::fs::read_dir(folder.join("objects")).unwrap() {
        let fan = fan.unwrap().path();
        let objects = if fan.file_name().unwrap().len() == 2 { Some(std::fs::read_dir(fan).unwrap()) } else { None };
        for object in objects.into_iter().flatten() {
            let object = object.unwrap().path();
            let bytes = std::fs::read(&object).unwrap();
            std::fs::remove_file(&object).unwrap();
            std::fs::write(&object, &bytes[..keep.min(bytes.len())]).unwrap();
        }
    }
}

#[tokio::test]
async fn a_mirror_whose_objects_were_cut_short_is_made_anew() {
    for keep in [0, 1, 2, 10, 20, 40] {
        let root = tempfile::tempdir().unwrap();
        let remote = remote(root.path());
        let dev = ["dev".to_owned()];
        let head = remote.commit("dev", "Go on", &[("config.json", &"x".repeat(5_000))]);
        mirrors(root.path()).mirror(&remote.url()).unwrap().fetch(&dev, SOON).await.unwrap();
        cut_short(root.path(), keep);
        let mirror = mirrors(root.path()).mirror(&remote.url()).unwrap();
        assert_eq!(mirror.parted([&head]).await.unwrap(), (Vec::new(), vec![head.clone()]), "it is empty");
        mirror.fetch(&dev, SOON).await.unwrap();
        assert_eq!(mirror.commit_info(&head).await.unwrap().id, head);
    }
}

/// libgit2 reads an object that was cut short for ever. Only another process can be looked at when that happens to it: this
/// test starts itself.
#[tokio::test]
async fn work_that_hangs_in_a_mirror_ends_the_process_and_the_next_makes_the_mirror_anew() {
    const ROOT: &str = "TIDEGATE_TEST_HANGS_IN";
    if let Some(root) = std::env::var_os(ROOT) {
        let root = Path::new(&root);
        let mut options = options();
        options.patience = Duration::from_secs(1);
        let mirrors = tidegate::providers::git::Mirrors::open(root.join("mirrors"), options).unwrap();
        let mirror = mirrors.mirror(root.join("image.git").to_str().unwrap()).unwrap();
        mirror.fetch(&["dev".to_owned()], SOON).await.unwrap();
        let head = mirror.heads(&["dev".to_owned()], SOON).await.unwrap()["dev"].clone().unwrap();
        for keep in [40, 30, 20, 10, 3, 2, 1, 0] {
            cut_short(root, keep);
            drop(mirror.commit_info(&head).await);
            drop(mirror.read_file(&head, "config.json").await);
        }
        panic!("nothing hung");
    }
    let root = tempfile::tempdir().unwrap();
    let remote = remote(root.path());
    remote.commit("dev", "Go on", &[("config.json", &"x".repeat(5_000))]);
    let name = "git_mirror::work_that_hangs_in_a_mirror_ends_the_process_and_the_next_makes_the_mirror_anew";
    let mut again = std::process::Command::new(std::env::current_exe().unwrap());
    let ended = again.args(["--exact", name, "--nocapture"]).env(ROOT, root.path()).output().unwrap();
    assert_eq!(ended.status.code(), Some(70), "{}", String::from_utf8_lossy(&ended.stderr));
    let mirror = mirrors(root.path()).mirror(&remote.url()).unwrap();
    mirror.fetch(&["dev".to_owned()], SOON).await.unwrap();
    assert!(mirror.commit_info(&remote.head("dev").unwrap()).await.is_ok());
}
