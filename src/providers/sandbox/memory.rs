//! How much memory all of a box has in use: what its processes have, in memory and swapped, and what lies in files that are
//! memory. What none of them has at hand (a System V segment that is attached nowhere, buffers of sockets) is not seen.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::statvfs;

const KIB: u64 = 1024;
/// The folders of a box that are memory.
const IN_MEMORY: [&str; 2] = ["tmp", "dev/shm"];
/// What an open file that is memory and has no name is called in `/proc/PID/fd`.
const NAMELESS: &str = "/memfd:";

/// The bytes that all of a box has in use, where that is more than `most_bytes`. `root` is its root folder, `processes` are its
/// processes' folders in its own `/proc`.
///
/// What several processes share is counted once; that takes the kernel a while, so it is only asked where it matters.
pub(super) fn beyond(most_bytes: u64, root: &Path, processes: &[PathBuf]) -> Option<u64> {
    let files = in_folders(root) + nameless(processes);
    let each: u64 = processes.iter().map(|process| of_status(process)).sum();
    if files + each <= most_bytes {
        return None;
    }
    let shared: u64 = processes.iter().map(|process| proportional(process).unwrap_or_else(|| of_status(process))).sum();
    Some(files + shared).filter(|bytes| *bytes > most_bytes)
}

/// What a process has, also what it shares: `/proc/PID/status` (proc(5)). Nothing where it has ended.
fn of_status(process: &Path) -> u64 {
    let status = fs::read_to_string(process.join("status")).unwrap_or_default();
    sum_of(&status, &["VmRSS:", "VmSwap:"])
}

/// What a process has, and its share of what it shares: `/proc/PID/smaps_rollup` (proc(5)).
fn proportional(process: &Path) -> Option<u64> {
    let rollup = fs::read_to_string(process.join("smaps_rollup")).ok()?;
    Some(sum_of(&rollup, &["Pss:", "SwapPss:"]))
}

/// The sum of the lines of these names, whose numbers are in KiB.
fn sum_of(text: &str, names: &[&str]) -> u64 {
    let value = |line: &str| {
        let (name, value) = line.split_once(char::is_whitespace)?;
        if names.contains(&name) { value.split_whitespace().next()?.parse::<u64>().ok() } else { None }
    };
    text.lines().filter_map(value).sum::<u64>() * KIB
}

fn in_folders(root: &Path) -> u64 {
    let used = |folder: &&str| {
        let disk = statvfs(root.join(folder)).ok()?;
        Some(disk.f_blocks.saturating_sub(disk.f_bfree).saturating_mul(disk.f_frsize))
    };
    IN_MEMORY.iter().filter_map(used).sum()
}

/// What lies in files that are memory and have no name, each counted once, whoever has it open.
fn nameless(processes: &[PathBuf]) -> u64 {
    let mut seen = BTreeSet::new();
    let open = processes.iter().filter_map(|process| fs::read_dir(process.join("fd")).ok()).flatten().flatten();
    let size = |entry: fs::DirEntry| {
        let path = entry.path();
        let target = fs::read_link(&path).ok()?;
        let metadata = target.to_str()?.starts_with(NAMELESS).then(|| fs::metadata(&path).ok()).flatten()?;
        seen.insert(metadata.ino()).then(|| metadata.blocks() * 512)
    };
    open.filter_map(size).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_process_has_is_read_in_both_ways() {
        let own = [PathBuf::from("/proc/self")];
        // The process grows meanwhile: what is read later is no less.
        let share = proportional(&own[0]).unwrap_or_default();
        let whole = of_status(&own[0]);
        assert!(share > 0 && whole >= share, "{whole} {share}");
        let nowhere = Path::new("/nonexistent");
        assert_eq!(beyond(whole * 2, nowhere, &own), None);
        assert!(beyond(KIB, nowhere, &own).is_some_and(|bytes| bytes > KIB));
        assert_eq!(beyond(0, nowhere, &[PathBuf::from("/proc/0")]), None, "what has ended has nothing");
    }
}
