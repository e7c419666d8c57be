//! Who drives, on one machine: the process that holds a file lock beside the database. The kernel frees it when the
//! process ends, however it ends.

use std::{
    fs::{File, OpenOptions},
    io::{Read as _, Seek as _, Write as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use chrono::{SecondsFormat, Utc};
use rustix::{
    fs::{FlockOperation, flock},
    io::Errno,
};
use serde::{Deserialize, Serialize};

/// Why a process may not drive.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process drives.
    #[error("{holder} drives this database already (lock {}); stop it first, or send it commands instead", path.display())]
    Held {
        /// The lock file.
        path: PathBuf,
        /// Who, as a person reads it.
        holder: String,
    },
    /// The lock file cannot be used.
    #[error("cannot lock {}: {error}; the folder must be writable, on a local disk", path.display())]
    Unusable {
        /// The lock file.
        path: PathBuf,
        /// What came back.
        error: std::io::Error,
    },
}

/// The proof that this process drives. Dropping it lets another.
#[derive(Debug)]
pub struct DriverLock {
    _file: File,
}

impl DriverLock {
    /// Takes the lock of a database, at once or not at all: its file is named as the database with `.driver` at the end,
    /// and says who holds it.
    ///
    /// # Errors
    /// [`LockError::Held`] names the process that has it.
    pub fn take(database: &Path) -> Result<Self, LockError> {
        let path = path_of(database);
        let unusable = |error| LockError::Unusable { path: path.clone(), error };
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(unusable)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Err(LockError::Held { holder: holder(&mut file), path }),
            Err(error) => return Err(unusable(error.into())),
        }
        write_holder(&mut file).map_err(unusable)?;
        Ok(Self { _file: file })
    }
}

impl DriverLock {
    /// Who drives with a database now; nobody when there is no answer. The lock is not touched: who takes it at this moment
    /// is not in the way.
    #[must_use]
    pub fn holder(database: &Path) -> Option<String> {
        let mut file = File::open(path_of(database)).ok()?;
        let inode = file.metadata().ok()?.ino();
        let locks = std::fs::read_to_string("/proc/locks").ok()?;
        is_locked(&locks, inode).then(|| holder(&mut file))
    }
}

/// Whether the kernel's list of locks (proc(5)) has one that is held of a file, as in
/// `1: FLOCK  ADVISORY  WRITE 7142 fe:00:3801 0 EOF`.
fn is_locked(locks: &str, inode: u64) -> bool {
    locks.lines().any(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        // One that waits has an arrow before its kind.
        let place = words.iter().find(|word| word.matches(':').count() == 2);
        words.get(1) == Some(&"FLOCK")
            && place.and_then(|place| place.rsplit(':').next()).is_some_and(|number| number == inode.to_string())
    })
}

fn path_of(database: &Path) -> PathBuf {
    let mut path = database.as_os_str().to_owned();
    path.push(".driver");
    PathBuf::from(path)
}

/// What the lock file says.
#[derive(Serialize, Deserialize)]
struct Holder {
    pid: u32,
    host: String,
    since: String,
}

fn write_holder(file: &mut File) -> std::io::Result<()> {
    let since = Utc::now().to_rfc3339_opts(SecondsFormat::Secs, true);
    let holder = Holder { pid: std::process::id(), host: host(), since };
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(&serde_json::to_vec(&holder)?)?;
    file.flush()
}

fn holder(file: &mut File) -> String {
    let mut text = String::new();
    let holder = file.read_to_string(&mut text).ok().and_then(|_| serde_json::from_str::<Holder>(&text).ok());
    match holder {
        Some(Holder { pid, host, since }) => format!("process {pid} on {host} (since {since})"),
        None => "a process that has only just started".to_owned(),
    }
}

fn host() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    if name.trim().is_empty() { "this machine".to_owned() } else { name.trim().to_owned() }
}
