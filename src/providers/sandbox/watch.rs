//! Watches what a command uses where the kernel does not hold it to a limit: how many processes there are, also those of
//! root, how much memory all of them have together, and how much lies in its folders; and lets them stand back.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::settings::Limits;
use super::{memory, sessions};
use crate::providers::process_table;

/// How often processes are counted, and their memory is summed up, at most; a shell makes a few thousand in a second.
const COUNT_EVERY: Duration = Duration::from_millis(50);
/// How often folders are measured, at most.
const MEASURE_EVERY: Duration = Duration::from_millis(500);
/// How often it is looked for sessions that do not stand back yet, at most.
const STAND_BACK_EVERY: Duration = Duration::from_millis(500);
/// The box's own session is there in a moment: how often it is looked for at first, and how many times.
const FIRST_EVERY: Duration = Duration::from_millis(5);
const FIRST_LOOKS: u32 = 20;
/// Of our time, measuring may take one part in so many: large trees are measured less often.
const MEASURE_SHARE: u32 = 10;
/// The most files and folders in a command's folders: more than any tree of sources with what is installed for it.
const MOST_FILES: u64 = 2_000_000;
/// What a file takes of the disk that is empty, or a folder.
const LEAST_BYTES: u64 = 512;

/// Ends when the box whose outer process this is uses too much, and says of what. The caller ends the box. Each of the lists of
/// folders may hold as much as the limits say.
pub(crate) async fn excess(box_pid: i32, limits: Limits, folders: Vec<Vec<PathBuf>>) -> String {
    let (mut memory, mut disk) = (Pace::of(COUNT_EVERY), Pace::of(MEASURE_EVERY));
    let _open = sessions::Open::now();
    for _ in 0..FIRST_LOOKS {
        if sessions::stand_back(box_pid) {
            break;
        }
        tokio::time::sleep(FIRST_EVERY).await;
    }
    let mut sessions = Pace::of(STAND_BACK_EVERY);
    loop {
        tokio::time::sleep(COUNT_EVERY).await;
        if sessions.is_due() {
            sessions.measure(move || sessions::stand_back(box_pid)).await;
        }
        let inside = Inside::of(box_pid);
        if inside.as_ref().is_some_and(|inside| inside.processes.len() > limits.processes as usize) {
            return format!("had more than {} processes (`processes` of `step_limits`)", limits.processes);
        }
        if let Some(Inside { root, processes }) = inside
            && memory.is_due()
        {
            let most_bytes = limits.all_memory_bytes();
            let beyond = memory.measure(move || memory::beyond(most_bytes, &root, &processes)).await.flatten();
            if let Some(bytes) = beyond {
                return limits.too_much_memory(Some(bytes));
            }
        }
        if disk.is_due() {
            let measuring = folders.clone();
            let all_fit = move || measuring.iter().all(|folders| fits(folders, limits.disk_bytes()));
            if !disk.measure(all_fit).await.unwrap_or(true) {
                return format!("wrote more than {} MiB (`disk_mib` of `step_limits`)", limits.disk_mib);
            }
        }
    }
}

/// How often something is measured.
struct Pace {
    least: Duration,
    due: Instant,
}

impl Pace {
    fn of(least: Duration) -> Self {
        Self { least, due: Instant::now() + least }
    }

    fn is_due(&self) -> bool {
        Instant::now() >= self.due
    }

    /// Measures off the async threads; what takes long is due later. `None` where it broke off.
    async fn measure<T: Send + 'static>(&mut self, measuring: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let began = Instant::now();
        let measured = tokio::task::spawn_blocking(measuring).await;
        self.due = Instant::now() + self.least.max(began.elapsed() * MEASURE_SHARE);
        measured.ok()
    }
}

/// What is in a box, as its own `/proc` lists it.
struct Inside {
    root: PathBuf,
    /// Their folders in that `/proc`.
    processes: Vec<PathBuf>,
}

impl Inside {
    /// Nothing before there is a first process in it that sees the box, and not the machine any more.
    fn of(box_pid: i32) -> Option<Self> {
        let first = *process_table::children(box_pid).first()?;
        let first = PathBuf::from(format!("/proc/{}", first.as_raw_nonzero()));
        let root = first.join("root");
        let namespace = |process: PathBuf| fs::read_link(process.join("ns/pid")).ok();
        if namespace(root.join("proc/1"))? != namespace(first)? {
            return None;
        }
        let entries = fs::read_dir(root.join("proc")).ok()?;
        let is_process = |name: &str| name.bytes().all(|byte| byte.is_ascii_digit());
        let entries = entries.flatten().filter(|entry| entry.file_name().to_str().is_some_and(is_process));
        Some(Self { processes: entries.map(|entry| entry.path()).collect(), root })
    }
}

/// Whether no more than so much lies in the folders. What changes meanwhile is measured next time.
pub(crate) fn fits(folders: &[PathBuf], most_bytes: u64) -> bool {
    let (mut bytes, mut files) = (0_u64, 0_u64);
    let mut pending: Vec<PathBuf> = folders.to_vec();
    while let Some(folder) = pending.pop() {
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            // Folders within folders, so deep that nobody can name them any more: nobody needs that.
            Err(error) if error.kind() == ErrorKind::InvalidFilename => return false,
            Err(_) => continue,
        };
        for entry in entries.flatten() {
            let Ok(metadata) = entry.metadata() else { continue };
            files += 1;
            bytes += (metadata.blocks() * 512).max(LEAST_BYTES);
            if metadata.is_dir() {
                pending.push(entry.path());
            }
            if bytes > most_bytes || files > MOST_FILES {
                return false;
            }
        }
    }
    true
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    /// While a box is being made, its first process sees the machine: its processes and its /tmp are not the box's.
    #[test]
    fn what_the_machine_has_is_not_what_a_box_has() {
        let alone = ["--user", "--map-root-user", "--pid", "--fork", "--kill-child", "sleep", "30"];
        let Ok(mut outside) = std::process::Command::new("unshare").args(alone).spawn() else {
            println!("left out: no unshare");
            return;
        };
        let pid = i32::try_from(outside.id()).unwrap();
        let until = Instant::now() + Duration::from_secs(10);
        while process_table::children(pid).is_empty() && outside.try_wait().unwrap().is_none() && Instant::now() < until
        {
            std::thread::yield_now();
        }
        assert!(Inside::of(pid).is_none());
        let _ = outside.kill();
        outside.wait().unwrap();
    }

    #[test]
    fn what_lies_in_folders_is_measured() {
        let directory = tempfile::tempdir().unwrap();
        let deep = directory.path().join("a/b/c");
        fs::create_dir_all(&deep).unwrap();
        fs::write(deep.join("file"), vec![7; 100_000]).unwrap();
        // A link leads out of the folder, and is not followed.
        std::os::unix::fs::symlink("/usr", directory.path().join("usr")).unwrap();
        let folders = [directory.path().to_owned()];
        assert!(fits(&folders, 200_000));
        assert!(!fits(&folders, 90_000));
    }
}
