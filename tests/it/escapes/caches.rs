//! What commands do to the folders that outlive them.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use tidegate::providers::caches::{Caches, GivenCache};
use tidegate::providers::process::run;
use tidegate::providers::sandbox::Limits;

use super::Ground;

async fn cache(ground: &Ground, stage: &str) -> GivenCache {
    let caches = Caches { folder: ground.root().join("caches"), most_mib: 5 };
    let variables = BTreeMap::from([("CACHE".to_owned(), PathBuf::new())]);
    caches.open(["shop", stage, "software", "npm"], variables).await.unwrap()
}

#[tokio::test]
async fn a_cache_is_there_again_for_its_own_stage_alone() {
    let Some(ground) = Ground::with_a_box() else { return };
    let mut command = ground.command(
        "echo poison > $CACHE/package; mkdir $CACHE/a && mv $CACHE/package $CACHE/a/ && cat $CACHE/a/*; echo $CACHE",
    );
    command.caches = vec![cache(&ground, "dev").await];
    assert_eq!(String::from_utf8_lossy(&run(&command).await.unwrap().stdout), "poison\n/cache/npm\n");
    // Another stage sees nothing of it, by no path, and cannot write to it.
    let mut command = ground.command(
        "find / -name package -path '*a/package' 2> /dev/null; ls -A $CACHE /cache; echo x > @ROOT@/caches/shop/dev/software/npm/files/x; echo x > /cache/x",
    );
    command.caches = vec![cache(&ground, "main").await];
    let finished = run(&command).await.unwrap();
    assert_eq!(String::from_utf8_lossy(&finished.stdout), "/cache:\nnpm\n\n/cache/npm:\n", "{finished:?}");
    assert!(!ground.root().join("caches/shop/dev/software/npm/files/x").exists());
    let mut command = ground.command("cat $CACHE/a/package");
    command.caches = vec![cache(&ground, "dev").await];
    assert_eq!(run(&command).await.unwrap().stdout, b"poison\n");
    let without = ground.printed("ls /cache").await;
    assert!(without.contains("No such file"), "{without}");
}

#[tokio::test]
async fn a_cache_grows_no_further_than_a_step_may_and_is_emptied_where_it_holds_too_much() {
    let Some(ground) = Ground::with_a_box() else { return };
    let mut command = ground.command("i=0; while :; do i=$((i+1)); head -c 1000000 /dev/zero > $CACHE/$i; done");
    command.sandbox.limits = Limits { disk_mib: 20, ..Limits::default() };
    command.caches = vec![cache(&ground, "dev").await];
    let error = ground.fault(&command).await;
    assert!(error.contains("wrote more than 20 MiB (`disk_mib` of `step_limits`)"), "{error}");
    drop(command);
    // What it leads to is not what it holds.
    let held = cache(&ground, "other").await;
    std::os::unix::fs::symlink(ground.root().join("data"), held.folder.join("link")).unwrap();
    fs::write(held.folder.join("large"), vec![7; 6 << 20]).unwrap();
    drop(held);
    for stage in ["dev", "other"] {
        let emptied = cache(&ground, stage).await;
        assert_eq!(fs::read_dir(&emptied.folder).unwrap().count(), 0, "{stage}");
    }
    assert_eq!(fs::read_to_string(ground.root().join("data/tidegate.db")).unwrap(), "the database");
}
