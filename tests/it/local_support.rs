//! What the tests of the local providers share: waiting with a deadline, and looking at processes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

/// No wait of a test takes longer than this, or it has failed.
const PATIENCE: Duration = Duration::from_secs(30);

/// The program under test.
pub(crate) const TIDEGATE: &str = env!("CARGO_BIN_EXE_tidegate");

/// Waits until `look` sees something.
pub(crate) async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(seen) = look().await {
            return seen;
        }
        assert!(Instant::now() < until, "never seen: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Waits until `look` sees something, outside of any runtime.
pub(crate) fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(Instant::now() < until, "never seen: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The living processes that have `marker` in their command line (its parts joined by spaces).
pub(crate) fn processes_with(marker: &str) -> Vec<i32> {
    fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|pid| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&line).replace('\0', " ").contains(marker)
        })
        .collect()
}

/// Waits until no process has `marker` in its command line.
pub(crate) async fn gone(marker: &str) {
    eventually(&format!("the end of all processes with {marker}"), async || {
        processes_with(marker).is_empty().then_some(())
    })
    .await;
}

/// SIGKILL, as a crash or an operator does it.
pub(crate) fn kill(pid: i32) {
    assert!(Command::new("kill").args(["-KILL", &pid.to_string()]).status().unwrap().success());
}

/// [`kill`] of a process that may have ended meanwhile.
pub(crate) fn kill_if_there(pid: i32) {
    let _ = Command::new("kill").args(["-KILL", &pid.to_string()]).output();
}

/// Ends what still runs for a folder of a test.
pub(crate) fn end_all_of(folder: &Path) {
    processes_with(&folder.display().to_string()).into_iter().for_each(kill_if_there);
}

/// Packs files (path, mode, content) as a tar.gz and returns its SHA-256.
pub(crate) fn tarball(path: &Path, files: &[(&str, u32, &str)]) -> String {
    let encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    let mut builder = tar::Builder::new(encoder);
    for (name, mode, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(*mode);
        builder.append_data(&mut header, name, content.as_bytes()).unwrap();
    }
    let bytes = builder.into_inner().unwrap().finish().unwrap();
    fs::write(path, &bytes).unwrap();
    sha256(&bytes)
}

/// SHA-256 of bytes, in hex.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The living processes that run in `directory` or below it.
pub(crate) fn processes_in(directory: &Path) -> Vec<i32> {
    let is_in = |pid: &i32| fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd.starts_with(directory));
    fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(is_in)
        .collect()
}

/// A directory whose processes are killed when the test ends, however it ends.
pub(crate) struct Arena(tempfile::TempDir);

impl Arena {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        for pid in processes_in(self.path()) {
            kill_if_there(pid);
        }
    }
}

/// The files below a folder that have a text in them.
pub(crate) fn files_with(folder: &Path, text: &str) -> Vec<PathBuf> {
    let (mut found, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            let kind = entry.file_type().unwrap();
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() {
                // One that goes away meanwhile has nothing.
                let bytes = fs::read(entry.path()).unwrap_or_default();
                found.extend(bytes.windows(text.len()).any(|part| part == text.as_bytes()).then(|| entry.path()));
            }
        }
    }
    found
}
