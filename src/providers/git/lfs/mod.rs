//! Git LFS: pointers, and the objects that they stand for, which are kept once in the mirror's folder under the digest of
//! their bytes. Whatever a server sends, an object is taken only when its digest and size are those of the pointer.

mod client;
mod endpoint;

use super::fault::disk_fault;
use super::mirror::Mirror;
use crate::providers::Fault;
use git2::Repository;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::time::Instant;

/// Pointers are shorter (git-lfs, `docs/spec.md`).
pub(super) const LONGEST_POINTER: u64 = 1_024;
/// The largest object that is fetched, in bytes.
const LARGEST_OBJECT: u64 = 16 << 30;
/// How many bytes the objects of one tree may have in all.
const MOST_BYTES: u64 = 64 << 30;
/// What a pointer may begin with: the specification, and its names of before.
const VERSIONS: [&str; 3] =
    ["https://git-lfs.github.com/spec/v1", "https://hawser.github.com/spec/v1", "http://git-media.io/v/2"];

/// What stands in a tree for a file that is elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pointer {
    /// The SHA-256 of its bytes, 64 hex digits.
    pub(super) oid: String,
    /// Its size in bytes.
    pub(super) size_bytes: u64,
    /// Whether a program of the user's changed the bytes (`ext-…`), which would have to change them back.
    extended: bool,
}

impl Pointer {
    /// The pointer that a file is, if it is one.
    pub(super) fn parse(content: &[u8]) -> Option<Self> {
        let mut lines = std::str::from_utf8(content).ok()?.lines();
        let version = lines.next()?.strip_prefix("version ")?;
        if content.len() as u64 >= LONGEST_POINTER || !VERSIONS.contains(&version.trim_end()) {
            return None;
        }
        let (mut oid, mut size, mut extended) = (None, None, false);
        for (key, value) in lines.filter_map(|line| line.split_once(' ')) {
            match key {
                "oid" => oid = value.trim_end().strip_prefix("sha256:").map(str::to_owned),
                "size" => size = value.trim_end().parse().ok(),
                _ => extended |= key.starts_with("ext-"),
            }
        }
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        let oid = oid.filter(|oid| oid.len() == 64 && oid.bytes().all(is_digit))?;
        Some(Self { oid, size_bytes: size?, extended })
    }

    /// Where its object is kept below a folder of LFS objects.
    fn path_in(&self, objects: &Path) -> PathBuf {
        objects.join(&self.oid[..2]).join(&self.oid[2..4]).join(&self.oid)
    }
}

/// The objects that a mirror has.
#[derive(Debug, Clone)]
pub(super) struct Store {
    folder: PathBuf,
}

impl Store {
    pub(super) fn of(mirror: &Mirror) -> Self {
        Self { folder: mirror.directory.join("lfs/objects") }
    }

    fn has(&self, pointer: &Pointer) -> bool {
        let found = pointer.path_in(&self.folder).metadata();
        found.is_ok_and(|found| found.is_file() && found.len() == pointer.size_bytes)
    }

    /// The object's bytes, whose digest is checked as they are read.
    pub(super) fn open(&self, pointer: &Pointer) -> Result<impl Read + use<>, Fault> {
        let path = pointer.path_in(&self.folder);
        let file = File::open(&path).map_err(|error| disk_fault("reading", &path, &error))?;
        Ok(Checked { file, path, digest: Sha256::new(), oid: pointer.oid.clone() })
    }

    /// Takes an object in, whole or not at all.
    fn take(&self, pointer: &Pointer, from: &mut dyn Read) -> Result<(), Fault> {
        let mut incoming = self.incoming(pointer)?;
        let mut buffer = vec![0; 64 << 10];
        loop {
            let read = from.read(&mut buffer).map_err(|error| disk_fault("reading", &incoming.partial, &error))?;
            if read == 0 {
                return incoming.keep();
            }
            incoming.write(&buffer[..read])?;
        }
    }

    /// An object that is on its way.
    fn incoming(&self, pointer: &Pointer) -> Result<Incoming, Fault> {
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        let whole = pointer.path_in(&self.folder);
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let partial = self.folder.join(format!("partial-{}-{number}", std::process::id()));
        let folder = whole.parent().unwrap_or(&self.folder);
        fs::create_dir_all(folder).map_err(|error| disk_fault("creating", folder, &error))?;
        let file = File::create(&partial).map_err(|error| disk_fault("writing", &partial, &error))?;
        Ok(Incoming { file, partial, whole, digest: Sha256::new(), left: pointer.size_bytes, oid: pointer.oid.clone() })
    }
}

/// An object that is on its way; what is left of it is removed.
struct Incoming {
    file: File,
    partial: PathBuf,
    whole: PathBuf,
    digest: Sha256,
    left: u64,
    oid: String,
}

impl Incoming {
    fn write(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let more = self.left.checked_sub(bytes.len() as u64);
        self.left = more.ok_or_else(|| self.other("it has more bytes than its pointer says"))?;
        self.digest.update(bytes);
        io::Write::write_all(&mut self.file, bytes).map_err(|error| disk_fault("writing", &self.partial, &error))
    }

    fn keep(self) -> Result<(), Fault> {
        if self.left > 0 {
            return Err(Fault::retry(format!("the LFS object {} was cut short", self.oid)));
        }
        if hex(&self.digest.clone().finalize()) != self.oid {
            return Err(self.other("its SHA-256 is another"));
        }
        let kept = self.file.sync_all().and_then(|()| fs::rename(&self.partial, &self.whole));
        kept.map_err(|error| disk_fault("writing", &self.whole, &error))
    }

    fn other(&self, what: &str) -> Fault {
        Fault::fail(
            format!("the LFS object {} is not what its pointer says: {what}", self.oid),
            "its LFS server is broken, or somebody changed it there: push the object again with `git lfs push --all`",
        )
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        // It is gone when it was kept.
        let _ = fs::remove_file(&self.partial);
    }
}

struct Checked {
    file: File,
    path: PathBuf,
    digest: Sha256,
    oid: String,
}

impl Read for Checked {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        self.digest.update(&buffer[..read]);
        if read == 0 && !buffer.is_empty() && hex(&self.digest.clone().finalize()) != self.oid {
            // It is fetched again.
            let _ = fs::remove_file(&self.path);
            return Err(io::Error::other("the LFS object was damaged on this disk, and is fetched again"));
        }
        Ok(read)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Fetches the objects that the mirror does not have yet. `config` is the tree's `.lfsconfig`, as `git config --list -z`
/// prints it. Where it is not `allowed` to fetch, that objects are missing is a failure.
pub(super) async fn fetch(
    mirror: &Mirror,
    pointers: Vec<Pointer>,
    config: &[u8],
    (allowed, deadline): (bool, Instant),
) -> Result<(), Fault> {
    let store = Store::of(mirror);
    let mut missing: BTreeMap<String, Pointer> = BTreeMap::new();
    for pointer in pointers.into_iter().filter(|pointer| !store.has(pointer)) {
        if pointer.extended {
            return Err(Fault::fail(
                format!("the LFS object {} was changed by an extension, which is not run", pointer.oid),
                "store the file without LFS extensions, or write `lfs: pointers`",
            ));
        }
        missing.insert(pointer.oid.clone(), pointer);
    }
    let missing: Vec<Pointer> = missing.into_values().collect();
    let all = missing.iter().fold(0_u64, |all, pointer| all.saturating_add(pointer.size_bytes));
    if all > MOST_BYTES || missing.iter().any(|pointer| pointer.size_bytes > LARGEST_OBJECT) {
        return Err(Fault::fail(
            format!("the LFS objects have {all} bytes; one may have {LARGEST_OBJECT}, and all {MOST_BYTES}"),
            "leave some out with `exclude`, or write `lfs: pointers`",
        ));
    }
    if missing.is_empty() {
        return Ok(());
    }
    if !allowed {
        let error = format!("{} LFS objects would be fetched, and nothing is fetched here", missing.len());
        return Err(Fault::fail(error, "they are fetched when the step is really done"));
    }
    match mirror.remote.directory.clone() {
        Some(directory) => {
            let copied = tokio::task::spawn_blocking(move || copy(&directory, &missing, &store));
            copied.await.map_err(|error| Fault::retry(format!("copying LFS objects broke off: {error}")))?
        }
        None => client::fetch(endpoint::Endpoint::of(mirror, config, deadline).await?, missing, store, deadline).await,
    }
}

/// A repository on this machine has its objects in its git folder, where `git lfs push` puts them.
fn copy(directory: &Path, missing: &[Pointer], store: &Store) -> Result<(), Fault> {
    let git = Repository::open(directory).map_or_else(|_| directory.to_owned(), |found| found.commondir().to_owned());
    let objects = git.join("lfs/objects");
    for pointer in missing {
        let path = pointer.path_in(&objects);
        let mut file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(Fault::fail(
                    format!("the LFS object {} is not in {}", pointer.oid, objects.display()),
                    "push it from a clone that has it: `git lfs push --all origin`",
                ));
            }
            Err(error) => return Err(disk_fault("reading", &path, &error)),
        };
        store.take(pointer, &mut file)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_are_told_from_files() {
        let oid = "4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393";
        let pointer = format!("version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize 12345\n");
        let expected = Pointer { oid: oid.to_owned(), size_bytes: 12_345, extended: false };
        assert_eq!(Pointer::parse(pointer.as_bytes()), Some(expected.clone()));
        assert_eq!(Pointer::parse(pointer.replace('\n', "\r\n").as_bytes()), Some(expected));
        let extended = pointer.replace("oid ", "ext-0-foo sha256:00\noid ");
        assert!(Pointer::parse(extended.as_bytes()).is_some_and(|pointer| pointer.extended));
        for other in [
            pointer.replace("v1", "v9"),
            pointer.replace("4d7a", "4D7A"),
            pointer.replace("4d7a", "/../"),
            pointer.replace("size 12345", "size -1"),
            pointer.replace("size 12345\n", ""),
            format!("# A pointer\n{pointer}"),
            format!("{pointer}{}", "x y\n".repeat(300)),
            String::new(),
        ] {
            assert_eq!(Pointer::parse(other.as_bytes()), None, "{other}");
        }
    }
}
