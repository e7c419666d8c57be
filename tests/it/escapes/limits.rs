//! Commands that take all that they can get.

use std::fs;
use std::path::PathBuf;

use tidegate::providers::process::run;
use tidegate::providers::sandbox::Limits;

use super::Ground;
use crate::local_support::{eventually, processes_with};

#[tokio::test]
async fn forks_without_end_are_ended() {
    let Some(ground) = Ground::with_a_box() else { return };
    // Ten times as many as it may have; a test without an end would take the machine with it if it failed.
    let fork = "fork() { [ $1 -gt 0 ] || exec sleep 16.1804; fork $(($1 - 1)) & fork $(($1 - 1)) & wait; }; fork 9";
    let mut command = ground.command(fork);
    command.sandbox.limits = Limits { processes: 100, ..Limits::default() };
    // An ordinary user is refused the next process; root, whom the kernel does not count, is ended.
    match run(&command).await {
        Ok(finished) => assert!(!finished.stderr.is_empty() || finished.timed_out, "{finished:?}"),
        Err(fault) => assert!(fault.to_string().contains("had more than 100 processes"), "{fault}"),
    }
    assert!(processes_with("16.1804").is_empty());
}

/// Niceness counts within a session where the kernel shares out the processor by sessions; `setsid` makes another.
#[tokio::test]
async fn where_there_are_several_each_session_stands_back_for_processor_time() {
    let Some(ground) = Ground::with_a_box() else { return };
    let others: Vec<Ground> = (0..3).filter_map(|_| Ground::with_a_box()).collect();
    let waiting = others.iter().map(|other| other.command("sleep 60.1618"));
    let waiting: Vec<_> = waiting.map(|command| tokio::spawn(async move { run(&command).await })).collect();
    let until = "until grep -qs 'nice 1' /proc/self/autogroup || [ ! -e /proc/self/autogroup ]; do :; done; echo back";
    assert_eq!(ground.printed(until).await, "back\n");
    let other = format!("setsid --wait sh -c '{}'", until.replace('\'', "'\"'\"'"));
    assert_eq!(ground.printed(&other).await, "back\n");
    let own = fs::read_to_string("/proc/self/autogroup").unwrap_or_default();
    assert!(!own.contains("nice 1"), "we do not: {own}");
    for waits in waiting {
        waits.abort();
        drop(waits.await);
    }
}

#[tokio::test]
async fn one_file_and_many_files_fill_no_disk() {
    let Some(ground) = Ground::with_a_box() else { return };
    let few = Limits { disk_mib: 20, ..Limits::default() };
    let mut command = ground.command("head -c 100000000 /dev/zero > large; ls -l large | cut -d' ' -f5");
    command.sandbox.limits = few;
    let finished = run(&command).await.unwrap();
    assert_eq!(String::from_utf8_lossy(&finished.stdout), "20971520\n", "{finished:?}");

    let mut command = ground.command("i=0; while :; do i=$((i+1)); head -c 1000000 /dev/zero > $HOME/$i; done");
    command.sandbox.limits = few;
    let error = ground.fault(&command).await;
    assert!(error.contains("wrote more than 20 MiB (`disk_mib` of `step_limits`)"), "{error}");
}

#[tokio::test]
async fn folders_within_folders_hide_nothing() {
    let Some(ground) = Ground::with_a_box() else { return };
    let name = "d".repeat(200);
    let script = format!("while mkdir {name} && cd {name}; do :; done; sleep 60");
    let mut command = ground.command(&script);
    command.sandbox.limits = Limits { disk_mib: 20, ..Limits::default() };
    let error = ground.fault(&command).await;
    assert!(error.contains("wrote more than 20 MiB"), "{error}");
    // The test's own folder is too deep to be removed by name.
    std::process::Command::new("rm").arg("-rf").arg(ground.root().join("tree")).status().unwrap();
}

#[tokio::test]
async fn memory_and_what_is_memory_are_bounded() {
    let Some(ground) = Ground::with_a_box() else { return };
    let mut command = ground.command("head -c 1000000000 /dev/zero | tail -n 1 | wc -c");
    command.sandbox.limits = Limits { memory_mib: 100, ..Limits::default() };
    let finished = run(&command).await.unwrap();
    let said = String::from_utf8_lossy(&finished.stderr);
    assert!(said.contains("memory exhausted") || said.contains("Cannot allocate"), "{finished:?}");
    let printed =
        ground.printed("head -c 1000000000 /dev/zero > /tmp/x; head -c 1000000000 /dev/zero > /dev/shm/x").await;
    assert_eq!(printed.matches("No space left on device").count(), 2, "{printed}");
}

/// Each has less than one process may have; all of them together are ended before the machine has no more to give.
#[tokio::test]
async fn memory_of_many_processes_is_bounded_together() {
    let Some(ground) = Ground::with_a_box() else { return };
    // `tail` keeps the last line, which is all of it, and waits for more.
    let many = "for i in 1 2 3 4 5 6 7 8; do (head -c 60000000 /dev/zero; sleep 30.5772) | tail -n 1 & done; wait";
    let mut command = ground.command(many);
    command.sandbox.limits = Limits { memory_mib: 100, all_memory_mib: 300, ..Limits::default() };
    let error = ground.fault(&command).await;
    let had: u64 = error.split("it had ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
    assert!((301..700).contains(&had), "{error}");
    assert!(
        error.contains("MiB of memory in all its processes together, and may have 300 MiB (`all_memory_mib`"),
        "{error}"
    );
    assert!(processes_with("30.5772").is_empty());

    // Files that are memory count too, whoever maps them.
    let files = "head -c 200000000 /dev/zero > /tmp/x; head -c 200000000 /dev/zero > /dev/shm/x; sleep 30.5773";
    let mut command = ground.command(files);
    command.sandbox.limits = Limits { all_memory_mib: 300, ..Limits::default() };
    let error = ground.fault(&command).await;
    assert!(error.contains("(`all_memory_mib` of `step_limits`)"), "{error}");
}

/// What several processes share is counted once: a build whose workers are forks of one large process is not ended for it.
#[tokio::test]
async fn memory_that_processes_share_is_counted_once() {
    let Some(ground) = Ground::with_a_box() else { return };
    if !std::path::Path::new("/usr/bin/perl").exists() {
        println!("left out: this machine has no perl");
        return;
    }
    let forks = "$x = 'x' x 100_000_000; for (1..6) { fork or do { select undef, undef, undef, 1; exit } } while (wait > 0) {} print length $x";
    let mut command = ground.command("");
    command.arguments = ["/usr/bin/perl", "-e", forks].map(str::to_owned).to_vec();
    command.sandbox.limits = Limits { all_memory_mib: 300, ..Limits::default() };
    let finished = run(&command).await.unwrap();
    assert_eq!(finished.stdout, b"100000000", "{finished:?}");
    // A file without a name, which nobody maps.
    let nameless =
        "my $f = syscall(319, my $n = 'x', 0); open(my $h, '>&=', $f); print $h 'x' x 1_000_000 for 1..400; sleep 20";
    if cfg!(target_arch = "x86_64") {
        command.arguments[2] = nameless.to_owned();
        let error = ground.fault(&command).await;
        assert!(error.contains("(`all_memory_mib` of `step_limits`)"), "{error}");
    }
}

/// Where this test may make cgroups that have memory: as root, on a machine with cgroups of version 2 alone.
struct Cgroup(PathBuf);

impl Cgroup {
    fn made() -> Option<Self> {
        let top = PathBuf::from(format!("/sys/fs/cgroup/tidegate-test-{}", std::process::id()));
        let cgroup = Self(top);
        let made = fs::create_dir(&cgroup.0).and_then(|()| fs::read_to_string(cgroup.0.join("cgroup.controllers")));
        let made = made.and_then(|has| {
            fs::write(cgroup.0.join("cgroup.subtree_control"), "+memory")?;
            Ok(has)
        });
        if !made.as_ref().is_ok_and(|has| has.contains("memory")) {
            println!("left out: no cgroup that has memory can be made here: {made:?}");
            return None;
        }
        Some(cgroup)
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        drop(fs::remove_dir(&self.0));
    }
}

#[tokio::test]
async fn where_it_has_a_cgroup_the_kernel_holds_its_memory() {
    let Some(ground) = Ground::with_a_box() else { return };
    let Some(cgroup) = Cgroup::made() else { return };
    let mut command = ground.command("cat /proc/self/cgroup; for i in 1 2 3 4; do (head -c 90000000 /dev/zero; sleep 30.5774) | tail -n 1 & done; wait");
    command.sandbox.cgroups = Some(cgroup.0.clone());
    command.sandbox.limits = Limits { all_memory_mib: 300, ..Limits::default() };
    let error = ground.fault(&command).await;
    assert!(error.contains("(`all_memory_mib` of `step_limits`)"), "{error}");
    assert!(processes_with("30.5774").is_empty());
    command.arguments = ["true"].map(str::to_owned).to_vec();
    assert!(run(&command).await.unwrap().succeeded());
    eventually("its cgroups to be gone", async || {
        (fs::read_dir(&cgroup.0).unwrap().flatten().all(|it| it.path().is_file())).then_some(())
    })
    .await;
}
