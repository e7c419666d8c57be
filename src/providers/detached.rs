//! Processes that outlive us: in a session of their own, with their output in files, found again by whoever comes
//! after us. May not decide what a dead process means; that is its caller's matter.
//!
//! A process is known by its *identity directory*. Its process id and start time are written to `process.stat` by
//! the launcher itself before it becomes the program. And it inherits, as its standard input, the open
//! `process.lock` with the lock taken by its parent before the fork. So the lock tells of a launcher that has not
//! written yet, and there is no moment in which a process runs that a successor of ours could not find. A variable
//! in its environment marks its children, which are so found in whatever session they are. A process that is the outside
//! of a box ends what is inside with itself.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};

use crate::providers::process_table::{self, Stat};
use crate::providers::{Fault, files, search_path};

/// How long a launcher takes at most from its fork to its `process.stat`.
const LAUNCH_LIMIT: Duration = Duration::from_secs(10);
/// For killed processes to be gone.
const KILL_LIMIT: Duration = Duration::from_secs(5);
/// How often we look at a process that is about to start or to end.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);
/// Writes the launcher's own line of /proc (process id, start time), waits until `setsid`, its parent, has ended, and
/// becomes the program: a box ends with its parent, and is to live on with the one that it has for life.
const LAUNCHER: &str = r#"read -r stat < /proc/$$/stat && printf '%s\n' "$stat" > "$0.partial" && mv "$0.partial" "$0" || exit
while read -r parent < /proc/$PPID/comm && [ "$parent" = setsid ]; do sleep 0.001; done 2> /dev/null
exec "$@""#;
/// What the outside of a box is called.
const BOX: &str = "bwrap";

/// The variable that holds the identity directory.
const MARK: &str = "TIDEGATE_PROCESS";

/// A process that cannot be mistaken for a later one with the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ProcessIdentity {
    /// The process id, which is its session's id as well.
    pub(crate) pid: i32,
    /// When it started, in clock ticks since boot (field 22 of `/proc/PID/stat`).
    pub(crate) start_time: u64,
}

/// A program to start.
pub(crate) struct Detached<'a> {
    /// The program and its arguments.
    pub(crate) arguments: &'a [OsString],
    /// Where it runs.
    pub(crate) directory: &'a Path,
    /// Its whole environment beside PATH and LANG.
    pub(crate) environment: &'a BTreeMap<String, String>,
    /// Where its standard output and error go.
    pub(crate) log: &'a Path,
}

/// Starts the program under the identity directory `identity`, where nothing runs: the caller holds a lock of its
/// own against others that start or look at the same time, and has called [`end`].
pub(crate) async fn start(identity: &Path, program: &Detached<'_>) -> Result<(), Fault> {
    let name = program.arguments.first().map(|name| name.to_string_lossy()).unwrap_or("the process".into());
    let tried = format!("start {name}");
    // A killed process is said to be dead a moment before the last of its threads is, and until then its files are open.
    let lock = files::lock(&lock_path(identity), KILL_LIMIT).await?;
    let _ = fs::remove_file(stat_path(identity));
    let log = File::options()
        .create(true)
        .append(true)
        .open(program.log)
        .map_err(|error| files::fault(&format!("open {}", program.log.display()), &error))?;
    let errors = log.try_clone().map_err(|error| files::fault(&tried, &error))?;
    // `setsid --fork` returns at once and leaves the program to init, so that it never becomes our zombie.
    let status = tokio::process::Command::new("setsid")
        .args(["--fork", "sh", "-c", LAUNCHER])
        .arg(stat_path(identity))
        .args(program.arguments)
        .current_dir(program.directory)
        .env_clear()
        .env("PATH", search_path::search_path())
        .env("LANG", "C.UTF-8")
        .envs(program.environment)
        .env(MARK, identity)
        .stdin(Stdio::from(lock))
        .stdout(Stdio::from(log))
        .stderr(Stdio::from(errors))
        .status()
        .await
        .map_err(|error| {
            Fault::fail(format!("{tried}: setsid: {error}"), "install util-linux, which has the program setsid")
        })?;
    if !status.success() {
        return Err(Fault::retry(format!("{tried}: setsid ended with {status}")));
    }
    let until = Instant::now() + LAUNCH_LIMIT;
    while recorded(identity).is_none() {
        if Instant::now() >= until || !is_locked(identity)? {
            let log = files::tail(program.log, 2000);
            return Err(Fault::retry(format!("{tried}: it did not come up; its log ends with: {log}")));
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
    Ok(())
}

/// The process of this identity directory, if it lives. The caller holds the lock of [`start`].
pub(crate) async fn find(identity: &Path) -> Result<Option<ProcessIdentity>, Fault> {
    let until = Instant::now() + LAUNCH_LIMIT;
    loop {
        if let Some(process) = recorded(identity) {
            return Ok(Some(process).filter(|process| is_alive(*process)));
        }
        if !is_locked(identity)? {
            // It may have written its record between our two looks.
            return Ok(recorded(identity).filter(|process| is_alive(*process)));
        }
        if Instant::now() >= until {
            return Err(Fault::retry(format!("the process of {} does not come up", identity.display())));
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}

/// Ends the process of this identity directory and all that it started: SIGTERM, and SIGKILL after `grace`. Done
/// when nothing of it is left, which includes what a process that is dead already left behind.
pub(crate) async fn end(identity: &Path, grace: Duration) -> Result<(), Fault> {
    find(identity).await?;
    let Some(process) = recorded(identity) else { return Ok(()) };
    for (signal, limit) in [(Signal::TERM, grace), (Signal::KILL, KILL_LIMIT)] {
        let until = Instant::now() + limit;
        let mut asked = false;
        while Instant::now() < until {
            let family = family(identity, process);
            if family.is_empty() {
                return Ok(());
            }
            // SIGTERM is said once; SIGKILL until nobody is left, for a fork may outrun one round.
            if !asked || signal == Signal::KILL {
                // The outside of a box would end all that is inside at once, without a word to it; it ends after it by itself.
                let is_told = |pid: &Pid| signal == Signal::KILL || !is_box(*pid);
                for pid in family.into_iter().filter(is_told) {
                    // One that is gone already is what we want.
                    let _ = kill_process(pid, signal);
                }
                asked = true;
            }
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
    }
    Err(Fault::retry(format!("process {} of {} does not end even by SIGKILL", process.pid, identity.display())))
}

fn lock_path(identity: &Path) -> PathBuf {
    identity.join("process.lock")
}

fn stat_path(identity: &Path) -> PathBuf {
    identity.join("process.stat")
}

fn is_locked(identity: &Path) -> Result<bool, Fault> {
    Ok(identity.is_dir() && files::try_lock(&lock_path(identity))?.is_none())
}

fn recorded(identity: &Path) -> Option<ProcessIdentity> {
    let stat = Stat::parse(&fs::read_to_string(stat_path(identity)).ok()?)?;
    Some(ProcessIdentity { pid: stat.pid, start_time: stat.start_time })
}

fn is_alive(process: ProcessIdentity) -> bool {
    Stat::of(process.pid).is_some_and(|stat| stat.start_time == process.start_time && !stat.is_dead())
}

fn is_box(pid: Pid) -> bool {
    fs::read_to_string(format!("/proc/{}/comm", pid.as_raw_pid())).is_ok_and(|name| name.trim() == BOX)
}

/// The living processes of the session that `leader` leads or led, those that have inherited its mark, and those that
/// descend from it, marked or not.
fn family(identity: &Path, leader: ProcessIdentity) -> Vec<Pid> {
    let stats = process_table::all();
    // A session's number is not given to a new process while the session has members; so if its number belongs to
    // a process that started at another time, nothing of the session is left.
    let is_taken = stats.iter().any(|stat| stat.pid == leader.pid && stat.start_time != leader.start_time);
    let descendants = process_table::descendants(&stats, leader.pid);
    let is_kin = |stat: &Stat| !is_taken && (stat.session == leader.pid || descendants.contains(&stat.pid));
    let mark = format!("{MARK}={}", identity.display());
    let is_marked = |pid: i32| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes())
    };
    let members = stats.iter().filter(|stat| !stat.is_dead() && (is_kin(stat) || is_marked(stat.pid)));
    members.filter_map(|stat| Pid::from_raw(stat.pid)).collect()
}
