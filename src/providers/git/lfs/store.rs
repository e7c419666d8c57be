//! Pointers, and the objects of a mirror, which are kept once under the digest of their bytes. An object is taken in only when
//! its digest and size are those of its pointer, and checked again whenever it is read.

use super::super::fault::disk_fault;
use super::super::mirror::Mirror;
use crate::providers::Fault;
use sha2::{Digest as _, Sha256};
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Pointers are shorter (git-lfs, `docs/spec.md`).
pub(in super::super) const LONGEST_POINTER: u64 = 1_024;
/// What a pointer may begin with: the specification, and its names of before.
const VERSIONS: [&str; 3] =
    ["https://git-lfs.github.com/spec/v1", "https://hawser.github.com/spec/v1", "http://git-media.io/v/2"];

/// What stands in a tree for a file that is elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Pointer {
    /// The SHA-256 of its bytes, 64 hex digits.
    pub(in super::super) oid: String,
    /// Its size in bytes.
    pub(in super::super) size_bytes: u64,
    /// Whether a program of the user's changed the bytes (`ext-…`), which would have to change them back.
    pub(super) extended: bool,
}

impl Pointer {
    /// The pointer that a file is, if it is one.
    pub(in super::super) fn parse(content: &[u8]) -> Option<Self> {
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
    pub(super) fn path_in(&self, objects: &Path) -> PathBuf {
        objects.join(&self.oid[..2]).join(&self.oid[2..4]).join(&self.oid)
    }
}

/// The objects that a mirror has.
#[derive(Debug, Clone)]
pub(in super::super) struct Store {
    folder: PathBuf,
}

impl Store {
    pub(in super::super) fn of(mirror: &Mirror) -> Self {
        Self { folder: mirror.directory.join("lfs/objects") }
    }

    pub(super) fn has(&self, pointer: &Pointer) -> bool {
        let found = pointer.path_in(&self.folder).metadata();
        found.is_ok_and(|found| found.is_file() && found.len() == pointer.size_bytes)
    }

    /// The object's bytes, whose digest is checked as they are read.
    pub(in super::super) fn open(&self, pointer: &Pointer) -> Result<impl Read + use<>, Fault> {
        let path = pointer.path_in(&self.folder);
        let file = File::open(&path).map_err(|error| disk_fault("reading", &path, &error))?;
        let (digest, left, oid) = (Sha256::new(), pointer.size_bytes, pointer.oid.clone());
        Ok(Checked { file, path, digest, left, oid })
    }

    /// Takes an object in, whole or not at all.
    pub(super) fn take(&self, pointer: &Pointer, from: &mut dyn Read) -> Result<(), Fault> {
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
    pub(super) fn incoming(&self, pointer: &Pointer) -> Result<Incoming, Fault> {
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
pub(super) struct Incoming {
    file: File,
    partial: PathBuf,
    whole: PathBuf,
    digest: Sha256,
    left: u64,
    oid: String,
}

impl Incoming {
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let more = self.left.checked_sub(bytes.len() as u64);
        self.left = more.ok_or_else(|| self.other("it has more bytes than its pointer says"))?;
        self.digest.update(bytes);
        io::Write::write_all(&mut self.file, bytes).map_err(|error| disk_fault("writing", &self.partial, &error))
    }

    pub(super) fn keep(self) -> Result<(), Fault> {
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
    /// How many bytes it still has.
    left: u64,
    oid: String,
}

/// The last byte is handed out only when the whole is what it should be.
impl Read for Checked {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let read = self.file.read(&mut buffer[..most])?;
        self.digest.update(&buffer[..read]);
        self.left -= read as u64;
        let ended = self.left == 0 || (read == 0 && most > 0);
        if ended && hex(&self.digest.clone().finalize()) != self.oid {
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
