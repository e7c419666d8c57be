//! Watches what a command uses where the kernel does not hold it to a limit: how many processes there are, also those of
//! root, and how much lies in its folders.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::settings::Limits;
use crate::providers::process_table;

/// How often processes are counted; a shell makes a few thousand in a second.
const COUNT_EVERY: Duration = Duration::from_millis(50);
/// How often folders are measured, at most.
const MEASURE_EVERY: Duration = Duration::from_millis(500);
/// Of our time, measuring may take one part in so many: large trees are measured less often.
const MEASURE_SHARE: u32 = 10;
/// The most files and folders in a command's folders: more than any tree of sources with what is installed for it.
const MOST_FILES: u64 = 2_000_000;
/// What a file takes of the disk that is empty, or a folder.
const LEAST_BYTES: u64 = 512;

/// Ends when the box whose outer process this is uses too much, and says of what. The caller ends the box.
pub(crate) async fn excess(box_pid: i32, limits: Limits, folders: Vec<PathBuf>) -> String {
    let mut measured = Instant::now();
    let mut pause = MEASURE_EVERY;
    loop {
        tokio::time::sleep(COUNT_EVERY).await;
        if processes_in(box_pid).is_some_and(|count| count > limits.processes as usize) {
            return format!("had more than {} processes (`processes` of `step_limits`)", limits.processes);
        }
        if measured.elapsed() < pause {
            continue;
        }
        let (began, measuring) = (Instant::now(), folders.clone());
        let fits = tokio::task::spawn_blocking(move || fits(&measuring, limits.disk_bytes()));
        if !fits.await.unwrap_or(true) {
            return format!("wrote more than {} MiB (`disk_mib` of `step_limits`)", limits.disk_mib);
        }
        measured = Instant::now();
        pause = MEASURE_EVERY.max(began.elapsed() * MEASURE_SHARE);
    }
}

/// How many processes there are in the box, as its own `/proc` lists them.
fn processes_in(box_pid: i32) -> Option<usize> {
    let first = *process_table::children(box_pid).first()?;
    let entries = fs::read_dir(format!("/proc/{}/root/proc", first.as_raw_nonzero())).ok()?;
    let is_process = |name: &str| name.bytes().all(|byte| byte.is_ascii_digit());
    Some(entries.flatten().filter(|entry| entry.file_name().to_str().is_some_and(is_process)).count())
}

/// Whether no more than so much lies in the folders. What changes meanwhile is measured next time.
fn fits(folders: &[PathBuf], most_bytes: u64) -> bool {
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
