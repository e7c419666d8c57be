//! What the local providers need of the file system beside `std`: I/O errors as faults, files that appear whole
//! or not at all, locks with a bound, and paths that stay below a root. Used by providers only.

use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind, Write};
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
use tokio::io::{AsyncRead, AsyncReadExt as _};

use crate::providers::Fault;

/// How often a lock that is held is tried again.
const LOCK_INTERVAL: Duration = Duration::from_millis(20);
/// As much as is read of a file at once.
const CHUNK_BYTES: usize = 64 * 1024;
/// As many symbolic links as Linux follows in one path before it calls it a loop.
const MAX_SYMLINKS: usize = 40;

/// An I/O error as a fault. A full disk and its like pass when a person has made room, without a change to
/// what was asked, so they are tried again; what names a wrong path or right fails.
pub(crate) fn fault(tried: &str, error: &io::Error) -> Fault {
    let reasons = reasons(error);
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
            Fault::retry(format!("{tried}: no room is left ({reasons}); free disk space or raise the quota"))
        }
        ErrorKind::NotFound => Fault::fail(format!("{tried}: {reasons}"), "check that the path exists"),
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            Fault::fail(format!("{tried}: {reasons}"), "give the user that runs Tidegate the right to this path")
        }
        ErrorKind::NotADirectory | ErrorKind::IsADirectory | ErrorKind::InvalidFilename => {
            Fault::fail(format!("{tried}: {reasons}"), "check what lies at this path")
        }
        ErrorKind::InvalidData | ErrorKind::InvalidInput | ErrorKind::UnexpectedEof => {
            Fault::fail(format!("{tried}: {reasons}"), "the data is damaged; make it again")
        }
        _ => Fault::retry(format!("{tried}: {reasons}")),
    }
}

/// An error with its causes; many errors say themselves only what was tried.
pub(crate) fn reasons(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// Runs blocking file work off the async threads.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Fault> + Send + 'static,
) -> Result<T, Fault> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(Fault::retry(format!("file work did not end: {error}"))))
}

/// Replaces `path` by `bytes` so that a reader, and whoever comes after a power cut, sees the old file or the
/// new one, whole. One writer at a time: callers hold a lock or own the directory.
pub(crate) fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), Fault> {
    let partial = with_suffix(path, ".partial");
    let written = (|| {
        let mut file = File::create(&partial)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&partial, path)?;
        sync_directory(parent(path))
    })();
    written.map_err(|error| {
        let _ = fs::remove_file(&partial);
        fault(&format!("write {}", path.display()), &error)
    })
}

/// [`write_atomically`] of a value as JSON.
pub(crate) fn write_json(path: &Path, value: &impl Serialize) -> Result<(), Fault> {
    let bytes = serde_json::to_vec_pretty(value)
        .map_err(|error| Fault::fail(format!("write {}: {error}", path.display()), ""))?;
    write_atomically(path, &bytes)
}

/// The content of a file that others wrote: what is no file, or has more than `most` bytes, is not read.
pub(crate) fn read_bounded(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    use std::io::Read;
    let refused = |problem: String| Err(io::Error::new(ErrorKind::InvalidData, problem));
    // What is no file might never give an end, or wait for somebody at its opening.
    if !fs::metadata(path)?.is_file() {
        return refused("it is no file".to_owned());
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return refused(format!("it has more than {most} bytes"));
    }
    Ok(bytes)
}

/// The JSON value in `path`; `None` when there is no such file.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, Fault> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(fault(&format!("read {}", path.display()), &error)),
    };
    serde_json::from_slice(&bytes).map(Some).map_err(|error| {
        Fault::fail(
            format!("read {}: {error}", path.display()),
            "the file was changed by hand; remove it to start over",
        )
    })
}

/// Makes a directory and its parents.
pub(crate) fn create_directory(path: &Path) -> Result<(), Fault> {
    fs::create_dir_all(path).map_err(|error| fault(&format!("create the directory {}", path.display()), &error))
}

/// Removes a directory with all that is in it; it need not exist.
pub(crate) fn remove_directory(path: &Path) -> Result<(), Fault> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(fault(&format!("remove the directory {}", path.display()), &error))
        }
        _ => Ok(()),
    }
}

/// Makes the entries of a directory durable.
pub(crate) fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Takes the lock at `path`, waiting for at most `wait`. Dropping the file, or dying, frees it.
pub(crate) async fn lock(path: &Path, wait: Duration) -> Result<File, Fault> {
    let until = Instant::now() + wait;
    loop {
        if let Some(file) = try_lock(path)? {
            return Ok(file);
        }
        if Instant::now() >= until {
            return Err(Fault::retry(format!("{} is still held by another process", path.display())));
        }
        tokio::time::sleep(LOCK_INTERVAL).await;
    }
}

/// Takes the lock at `path`, or `None` while somebody else holds it.
pub(crate) fn try_lock(path: &Path) -> Result<Option<File>, Fault> {
    let tried = format!("lock {}", path.display());
    let file = File::options()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(path)
        .map_err(|error| fault(&tried, &error))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(fault(&tried, &error)),
    }
}

/// The last `limit_bytes` of a file as text; empty when there is none.
pub(crate) fn tail(path: &Path, limit_bytes: u64) -> String {
    use std::io::{Read, Seek, SeekFrom};
    let read = || -> io::Result<Vec<u8>> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(limit_bytes)))?;
        let mut bytes = Vec::new();
        file.take(limit_bytes).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    String::from_utf8_lossy(&read().unwrap_or_default()).trim_end().to_owned()
}

/// A name for a directory made of any text: the text itself when it is short and harmless, else its digest, so
/// that the same text always has the same directory.
pub(crate) fn directory_name(text: &str) -> String {
    let harmless = |character: char| character.is_ascii_alphanumeric() || "._-".contains(character);
    if !text.is_empty() && text.len() <= 100 && !text.starts_with('.') && text.chars().all(harmless) {
        text.to_owned()
    } else {
        format!("sha256-{}", sha256_hex(text.as_bytes()))
    }
}

/// SHA-256 of bytes, in lower-case hex.
pub(crate) fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// The SHA-256 of a file, in lower-case hex, and its length in bytes. It is read in pieces.
///
/// # Errors
/// When it cannot be read.
pub(crate) async fn sha256_of_file(path: &Path) -> Result<(String, u64), Fault> {
    let file = tokio::fs::File::open(path).await;
    let file = file.map_err(|error| fault(&format!("read {}", path.display()), &error))?;
    sha256_of_bytes(file).await.map_err(|error| fault(&format!("read {}", path.display()), &error))
}

/// The SHA-256 of all that is to be read, in lower-case hex, and how many bytes that were.
pub(crate) async fn sha256_of_bytes(mut from: impl AsyncRead + Unpin) -> io::Result<(String, u64)> {
    let (mut hash, mut length_bytes, mut buffer) = (Sha256::new(), 0, vec![0; CHUNK_BYTES]);
    loop {
        match from.read(&mut buffer).await? {
            0 => return Ok((hex(&hash.finalize()), length_bytes)),
            read => {
                hash.update(&buffer[..read]);
                length_bytes += read as u64;
            }
        }
    }
}

/// Bytes in lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The place of `path` below `root` as a process that has `root` for its root directory would see it: absolute
/// paths and absolute symbolic links begin at `root`, and `..` does not climb above it. The last name is not
/// followed when it is a link, so the caller can replace or remove it. What does not exist is taken literally.
pub(crate) fn below(root: &Path, path: impl AsRef<Path>) -> Result<PathBuf, Fault> {
    resolve(root, path.as_ref(), false)
}

/// [`below`], with a link at the end of the path followed as well.
pub(crate) fn below_followed(root: &Path, path: impl AsRef<Path>) -> Result<PathBuf, Fault> {
    resolve(root, path.as_ref(), true)
}

/// The path with something put after its last name.
pub(crate) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn resolve(root: &Path, path: &Path, follow_last: bool) -> Result<PathBuf, Fault> {
    let mut pending: Vec<PathBuf> = path.components().rev().map(|part| part.as_os_str().into()).collect();
    let mut place = PathBuf::new();
    let mut links = 0;
    while let Some(part) = pending.pop() {
        match part.components().next() {
            Some(Component::RootDir) => place = PathBuf::new(),
            Some(Component::ParentDir) => {
                place.pop();
            }
            Some(Component::Normal(name)) => {
                let next = place.join(name);
                match fs::read_link(root.join(&next)) {
                    Ok(target) if follow_last || !pending.is_empty() => {
                        links += 1;
                        if links > MAX_SYMLINKS {
                            let path = path.display();
                            return Err(Fault::fail(format!("{path}: too many symbolic links"), "remove the loop"));
                        }
                        pending.extend(target.components().rev().map(|part| part.as_os_str().into()));
                    }
                    _ => place = next,
                }
            }
            _ => {}
        }
    }
    Ok(root.join(place))
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn a_path_cannot_leave_its_root() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        fs::create_dir_all(root.join("opt/app")).unwrap();
        std::os::unix::fs::symlink("/etc", root.join("absolute")).unwrap();
        std::os::unix::fs::symlink("../../..", root.join("opt/app/up")).unwrap();
        std::os::unix::fs::symlink("loop", root.join("loop")).unwrap();
        for (path, place) in [
            ("/opt/app/x", "opt/app/x"),
            ("opt/./app", "opt/app"),
            ("../../etc/passwd", "etc/passwd"),
            ("/absolute/passwd", "etc/passwd"),
            ("/opt/app/up/x", "x"),
            ("/absolute", "absolute"),
        ] {
            assert_eq!(below(root, path).unwrap(), root.join(place), "{path}");
        }
        assert!(below(root, "/loop/x").is_err());
        assert_eq!(below_followed(root, "/absolute").unwrap(), root.join("etc"));
    }

    #[test]
    fn a_directory_name_is_the_text_when_that_is_harmless() {
        assert_eq!(directory_name("bake-1.2"), "bake-1.2");
        assert!(directory_name("../up").starts_with("sha256-"));
        assert!(directory_name("").starts_with("sha256-"));
    }
}
