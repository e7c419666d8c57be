//! A cgroup of its own for each command, where the server may divide up its own (`Delegate=yes` of its systemd unit): there the
//! kernel holds the memory of all of a command's processes, of whatever kind it is, and gives them the processor when the server
//! does not need it. Elsewhere the watch stands alone.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::fs::{getxattr, statfs};

use super::settings::Sandbox;

/// Where cgroups are, on a machine that has no others than those of version 2.
const ROOT: &str = "/sys/fs/cgroup";
/// The magic number of their file system (statfs(2)).
const CGROUP2: u64 = 0x6367_7270;
/// What systemd writes on a cgroup that it leaves to its unit ("Control Group APIs and Delegation", systemd.io).
const DELEGATED: [&str; 2] = ["user.delegate", "trusted.delegate"];
/// How much of the processor time a command has, where the server has 100: it stands back for it.
const WEIGHT: &str = "2";
/// Where the server itself goes: a cgroup that is divided up has no processes of its own.
const OWN: &str = "server";
const COMMANDS: &str = "command-";
const PROCESSES: &str = "cgroup.procs";
/// Goes into the cgroup, where that can be done, and becomes the command.
const ENTER: &str = r#"{ echo $$ > "$0"; } 2> /dev/null; exec "$@""#;
/// For what was killed to be gone, so that its cgroup can go.
const GONE_WITHIN: Duration = Duration::from_secs(5);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// The cgroup that this process may divide up, divided, so that commands can have theirs in it. `None` where there is none.
pub fn divide() -> Option<PathBuf> {
    let is_only = statfs(ROOT).is_ok_and(|found| u64::try_from(found.f_type) == Ok(CGROUP2));
    let listed = fs::read_to_string("/proc/self/cgroup").ok().filter(|_| is_only)?;
    let own = Path::new(ROOT).join(listed.lines().find_map(|line| line.strip_prefix("0::/"))?);
    let is_ours = |folder: &&Path| DELEGATED.iter().any(|name| getxattr(*folder, *name, &mut [0_u8; 8]).is_ok());
    let top = [Some(own.as_path()), own.parent()].into_iter().flatten().find(is_ours)?;
    match divided(top) {
        Ok(()) => Some(top.to_owned()),
        Err(error) => {
            let cgroup = top.display();
            tracing::warn!(%cgroup, %error, "the memory of commands is watched, not held: the cgroup cannot be divided up");
            None
        }
    }
}

/// Moves what is in it into a part of it, and lets its parts be limited. What commands of a server before left is removed.
fn divided(top: &Path) -> io::Result<()> {
    let processes = fs::read_to_string(top.join(PROCESSES))?;
    if !processes.trim().is_empty() {
        fs::create_dir_all(top.join(OWN))?;
        for process in processes.lines() {
            fs::write(top.join(OWN).join(PROCESSES), process)?;
        }
    }
    for left in fs::read_dir(top)?.flatten().filter(|it| it.file_name().to_string_lossy().starts_with(COMMANDS)) {
        // One in which something lives stays.
        drop(fs::remove_dir(left.path()));
    }
    // Where it cannot be shared out, commands stand back by niceness.
    drop(fs::write(top.join("cgroup.subtree_control"), "+cpu"));
    fs::write(top.join("cgroup.subtree_control"), "+memory")
}

impl Sandbox {
    /// A cgroup for a command, where there can be one.
    pub(crate) fn cage(&self) -> Option<Cage> {
        let top = self.cgroups.as_ref().filter(|_| self.is_on())?;
        let made = Cage::make(top, self.limits.all_memory_bytes());
        made.inspect_err(|error| tracing::warn!(%error, "a command's memory is watched, not held: it got no cgroup"))
            .ok()
    }
}

/// A command's cgroup. What is in it ends with it.
pub(crate) struct Cage(PathBuf);

impl Cage {
    /// A cgroup for a command in one that is divided up, with so much memory and no swap.
    pub(super) fn make(top: &Path, most_bytes: u64) -> io::Result<Self> {
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let cage = Self(top.join(format!("{COMMANDS}{}-{number}", std::process::id())));
        fs::create_dir(&cage.0)?;
        fs::write(cage.0.join("memory.max"), most_bytes.to_string())?;
        // Kernels without swap have not this one; older ones not that.
        drop(fs::write(cage.0.join("memory.swap.max"), "0"));
        drop(fs::write(cage.0.join("memory.oom.group"), "1"));
        drop(fs::write(cage.0.join("cpu.weight"), WEIGHT));
        Ok(cage)
    }

    /// The command line that runs this one in it.
    pub(crate) fn around(&self, line: Vec<OsString>) -> Vec<OsString> {
        let mut entering: Vec<OsString> = ["sh", "-c", ENTER].map(OsString::from).to_vec();
        entering.push(self.0.join(PROCESSES).into());
        entering.extend(line);
        entering
    }

    /// Whether the kernel ended something in it for want of memory.
    pub(crate) fn was_full(&self) -> bool {
        let events = fs::read_to_string(self.0.join("memory.events")).unwrap_or_default();
        let is_end = |line: &str| {
            line.split_once(' ').is_some_and(|(event, count)| event.starts_with("oom_") && count.trim() != "0")
        };
        events.lines().any(is_end)
    }
}

impl Drop for Cage {
    fn drop(&mut self) {
        drop(fs::write(self.0.join("cgroup.kill"), "1"));
        let is_gone = |folder: &Path| match fs::remove_dir(folder) {
            Ok(()) => true,
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        };
        if is_gone(&self.0) {
            return;
        }
        let folder = self.0.clone();
        std::thread::spawn(move || {
            for _ in 0..GONE_WITHIN.as_millis() / LOOK_EVERY.as_millis() {
                std::thread::sleep(LOOK_EVERY);
                if is_gone(&folder) {
                    return;
                }
            }
            tracing::warn!(cgroup = %folder.display(), "the cgroup of a command was left behind");
        });
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    /// A folder that is no cgroup shows what is written; what the kernel does with it is tested where there is one.
    #[test]
    fn a_command_goes_into_a_cgroup_with_its_limit_and_what_ended_there_is_seen() {
        let top = tempfile::tempdir().unwrap();
        let cage = Cage::make(top.path(), 1 << 30).unwrap();
        let file = |name: &str| cage.0.join(name);
        assert_eq!(fs::read_to_string(file("memory.max")).unwrap(), "1073741824");
        assert_eq!(fs::read_to_string(file("cpu.weight")).unwrap(), "2", "it stands back for the server");
        let line = cage.around(["sh", "-c", "echo $$ $0"].map(OsString::from).to_vec());
        let ran = std::process::Command::new(&line[0]).args(&line[1..]).output().unwrap();
        let pid = fs::read_to_string(file(PROCESSES)).unwrap();
        assert_eq!(String::from_utf8(ran.stdout).unwrap(), format!("{} sh\n", pid.trim()), "the same process");
        assert!(!cage.was_full(), "nothing is known");
        for (events, was_full) in [("max 7\noom 1\noom_kill 0\n", false), ("oom 1\noom_kill 2\n", true)] {
            fs::write(file("memory.events"), events).unwrap();
            assert_eq!(cage.was_full(), was_full, "{events}");
        }
        // Where there is none to go into, the command runs all the same.
        fs::remove_dir_all(&cage.0).unwrap();
        let ran = std::process::Command::new(&line[0]).args(&line[1..]).output().unwrap();
        assert!(ran.status.success() && ran.stderr.is_empty(), "{ran:?}");
    }
}
