//! Objects as files below one directory, for one machine. A file appears under its name only when all of it is on
//! the disk: written beside, synced, then linked (absent) or renamed (replace) into place.
//!
//! A store may lie *over* another: it has what the other has, under the same names and URIs, and keeps what is put in a
//! folder of its own. The other is only read.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use reqwest::Url;
use sha2::{Digest, Sha256};

use super::{Objects, Source, Stored, Version};
use crate::providers::{Fault, files};

/// The folder of files that are being written. Object names cannot begin with a dot.
const PARTIAL: &str = ".partial";
/// A partial file of this age belongs to nobody: no write takes so long.
const PARTIAL_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// The file whose lock is held from the comparison to the write of a conditional put, by whatever process.
const LOCK: &str = ".lock";
/// How long a conditional put waits for the others. Each holds the lock for one small write.
const LOCK_WAIT: Duration = Duration::from_secs(30);

/// A directory as an object store. URIs are `file:///…`.
#[derive(Debug, Clone)]
pub struct DirectoryObjects {
    /// Where names and URIs lead.
    root: PathBuf,
    /// Where objects are put, for a store that lies over the one at `root`.
    over: Option<PathBuf>,
}

impl DirectoryObjects {
    /// Opens the store at `root`, which is made when it is missing.
    pub fn open(root: &Path) -> Result<Self, Fault> {
        files::create_directory(&root.join(PARTIAL))?;
        let root = fs::canonicalize(root)
            .map_err(|error| files::fault(&format!("open the object store {}", root.display()), &error))?;
        remove_old_partials(&root.join(PARTIAL));
        Ok(Self { root, over: None })
    }

    /// Opens a store that lies over the one at `root`, which is not touched and need not exist. What is put is kept in
    /// `over`, which is made when it is missing.
    pub fn open_over(root: &Path, over: &Path) -> Result<Self, Fault> {
        files::create_directory(&over.join(PARTIAL))?;
        let root = fs::canonicalize(root).or_else(|_| std::path::absolute(root));
        let root = root.map_err(|error| files::fault("find the object store", &error))?;
        Ok(Self { root, over: Some(over.to_owned()) })
    }

    /// The directory of the store.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The file that holds an object, for reading it in place.
    pub(crate) fn path_of(&self, name_or_uri: &str) -> Result<PathBuf, Fault> {
        let name = self.name_of(name_or_uri)?;
        let over = self.over.as_ref().map(|over| over.join(&name)).filter(|path| path.is_file());
        Ok(over.unwrap_or_else(|| self.root.join(&name)))
    }

    /// The name of an object that is given by its name or URI.
    fn name_of(&self, name_or_uri: &str) -> Result<String, Fault> {
        if !name_or_uri.starts_with("file:") {
            return Ok(checked(name_or_uri)?.to_owned());
        }
        let outside = || {
            let root = self.root.display();
            Fault::fail(
                format!("{name_or_uri} is not an object of the store {root}"),
                "give the URI that the store gave",
            )
        };
        let path = Url::parse(name_or_uri).ok().and_then(|url| url.to_file_path().ok()).ok_or_else(outside)?;
        let name = path.strip_prefix(&self.root).ok().and_then(Path::to_str).ok_or_else(outside)?;
        Ok(checked(name)?.to_owned())
    }

    /// Where objects are put.
    fn home(&self) -> &Path {
        self.over.as_deref().unwrap_or(&self.root)
    }

    /// Writes the source to a partial file, on the disk before this returns.
    fn write_partial(&self, source: &OwnedSource) -> io::Result<PartialFile> {
        let mut partial = PartialFile::create(&self.home().join(PARTIAL))?;
        match source {
            OwnedSource::File(path) => {
                io::copy(&mut File::open(path)?, &mut partial.file)?;
            }
            OwnedSource::Bytes(bytes) => partial.file.write_all(bytes)?,
        }
        partial.file.sync_all()?;
        Ok(partial)
    }

    /// Gives what was written its name, unless that has another and is not to be replaced.
    fn place(&self, partial: &PartialFile, path: &Path, replace: bool) -> io::Result<bool> {
        let parent = path.parent().unwrap_or(self.home());
        create_durably(parent, self.home())?;
        if replace {
            fs::rename(&partial.path, path)?;
        } else if let Err(error) = fs::hard_link(&partial.path, path) {
            return if error.kind() == ErrorKind::AlreadyExists { Ok(false) } else { Err(error) };
        }
        files::sync_directory(parent)?;
        Ok(true)
    }

    /// A conditional put, by whoever holds the lock.
    fn replace_unchanged(&self, name: &str, seen: Option<&Version>, bytes: Vec<u8>) -> Result<bool, Fault> {
        let path = self.home().join(self.name_of(name)?);
        let now = self.read_version(name)?;
        if now.as_ref().map(|(_, version)| version) != seen {
            return Ok(false);
        }
        let tried = |error: io::Error| files::fault(&format!("store {name} in {}", self.root.display()), &error);
        let partial = self.write_partial(&OwnedSource::Bytes(bytes)).map_err(tried)?;
        self.place(&partial, &path, seen.is_some()).map_err(tried)
    }

    fn read_version(&self, name: &str) -> Result<Option<(Vec<u8>, Version)>, Fault> {
        match fs::read(self.path_of(name)?) {
            Ok(bytes) => {
                let version = Version(Sha256::digest(&bytes).to_vec());
                Ok(Some((bytes, version)))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(files::fault(&format!("read the object {name}"), &error)),
        }
    }

    fn store(&self, name: &str, source: &OwnedSource, replace: bool) -> Result<Stored, Fault> {
        let (found, path) = (self.path_of(name)?, self.home().join(self.name_of(name)?));
        let tried = format!("store {name} in {}", self.root.display());
        let stored = |created| Ok(Stored { uri: self.uri(name)?, created });
        if !replace && found.is_file() {
            return if source.same_as(&found).map_err(|error| files::fault(&tried, &error))? {
                stored(false)
            } else {
                Err(other_bytes(&tried))
            };
        }
        let partial = self.write_partial(source).map_err(|error| files::fault(&tried, &error))?;
        match self.place(&partial, &path, replace).map_err(|error| files::fault(&tried, &error))? {
            true => stored(true),
            // Somebody else put it between our look and our link.
            false if source.same_as(&path).map_err(|error| files::fault(&tried, &error))? => stored(false),
            false => Err(other_bytes(&tried)),
        }
    }
}

#[async_trait]
impl Objects for DirectoryObjects {
    async fn put_if_absent(&self, name: &str, source: Source<'_>) -> Result<Stored, Fault> {
        let (store, name, source) = (self.clone(), name.to_owned(), OwnedSource::from(source));
        files::blocking(move || store.store(&name, &source, false)).await
    }

    async fn put(&self, name: &str, source: Source<'_>) -> Result<Stored, Fault> {
        let (store, name, source) = (self.clone(), name.to_owned(), OwnedSource::from(source));
        files::blocking(move || store.store(&name, &source, true)).await
    }

    async fn put_if_unchanged(&self, name: &str, seen: Option<&Version>, bytes: &[u8]) -> Result<bool, Fault> {
        let (store, name, seen, bytes) = (self.clone(), name.to_owned(), seen.cloned(), bytes.to_owned());
        let lock = files::lock(&self.home().join(LOCK), LOCK_WAIT).await?;
        files::blocking(move || {
            // Held here, so that it outlives a caller who gives up.
            let _lock = lock;
            store.replace_unchanged(&name, seen.as_ref(), bytes)
        })
        .await
    }

    async fn get_version(&self, name: &str) -> Result<Option<(Vec<u8>, Version)>, Fault> {
        let (store, name) = (self.clone(), name.to_owned());
        files::blocking(move || store.read_version(&name)).await
    }

    async fn get(&self, name_or_uri: &str) -> Result<Vec<u8>, Fault> {
        let (path, tried) = (self.path_of(name_or_uri)?, format!("read the object {name_or_uri}"));
        files::blocking(move || fs::read(path).map_err(|error| files::fault(&tried, &error))).await
    }

    async fn fetch_to(&self, name_or_uri: &str, path: &Path) -> Result<(), Fault> {
        let (from, to) = (self.path_of(name_or_uri)?, path.to_owned());
        let tried = format!("copy the object {name_or_uri} to {}", path.display());
        files::blocking(move || fs::copy(from, to).map(drop).map_err(|error| files::fault(&tried, &error))).await
    }

    async fn exists(&self, name_or_uri: &str) -> Result<bool, Fault> {
        let path = self.path_of(name_or_uri)?;
        files::blocking(move || Ok(path.is_file())).await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<String>, Fault> {
        let roots: Vec<PathBuf> = self.over.iter().chain([&self.root]).filter(|root| root.is_dir()).cloned().collect();
        let prefix = prefix.to_owned();
        files::blocking(move || {
            let mut names = Vec::new();
            for root in &roots {
                collect_names(root, root, &prefix, &mut names)
                    .map_err(|error| files::fault(&format!("list the objects of {}", root.display()), &error))?;
            }
            names.sort();
            names.dedup();
            Ok(names)
        })
        .await
    }

    fn uri(&self, name: &str) -> Result<String, Fault> {
        uri_of(&self.root.join(self.name_of(name)?))
    }
}

/// [`Source`] for a thread that outlives its caller.
enum OwnedSource {
    File(PathBuf),
    Bytes(Vec<u8>),
}

impl From<Source<'_>> for OwnedSource {
    fn from(source: Source<'_>) -> Self {
        match source {
            Source::File(path) => Self::File(path.to_owned()),
            Source::Bytes(bytes) => Self::Bytes(bytes.to_owned()),
        }
    }
}

impl OwnedSource {
    fn same_as(&self, path: &Path) -> io::Result<bool> {
        match self {
            Self::File(source) => same_bytes(File::open(source)?, File::open(path)?),
            Self::Bytes(bytes) => same_bytes(bytes.as_slice(), File::open(path)?),
        }
    }
}

/// A file that is being written, removed when it is dropped. (Once linked, the object keeps its bytes; once
/// renamed, there is nothing to remove.)
struct PartialFile {
    path: PathBuf,
    file: File,
}

impl PartialFile {
    fn create(directory: &Path) -> io::Result<Self> {
        use std::sync::atomic::{AtomicU64, Ordering};
        static NEXT: AtomicU64 = AtomicU64::new(0);
        loop {
            let path = directory.join(format!("{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed)));
            match File::create_new(&path) {
                Ok(file) => return Ok(Self { path, file }),
                // Left by a process that had our number.
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl Drop for PartialFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

fn checked(name: &str) -> Result<&str, Fault> {
    let visible = |part: &str| !part.is_empty() && !part.starts_with('.') && part.bytes().all(|b| b.is_ascii_graphic());
    let normal = Path::new(name).components().all(|part| matches!(part, Component::Normal(_)));
    if normal && !name.contains('\\') && name.split('/').all(visible) {
        return Ok(name);
    }
    Err(Fault::fail(
        format!("{name:?} is not an object's name"),
        "use a relative path whose parts have no spaces or control characters and begin with no dot",
    ))
}

fn uri_of(path: &Path) -> Result<String, Fault> {
    Url::from_file_path(path)
        .map(Into::into)
        .map_err(|()| Fault::fail(format!("{} has no file URI", path.display()), "use an absolute path"))
}

fn other_bytes(tried: &str) -> Fault {
    Fault::fail(
        format!("{tried}: there is an object of this name with other bytes"),
        "names are given by content, so one of the two was made wrongly; compare them, and remove the wrong one",
    )
}

fn same_bytes(mut left: impl Read, mut right: impl Read) -> io::Result<bool> {
    let (mut left_buffer, mut right_buffer) = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
    loop {
        let left_length = fill(&mut left, &mut left_buffer)?;
        let right_length = fill(&mut right, &mut right_buffer)?;
        if left_buffer[..left_length] != right_buffer[..right_length] {
            return Ok(false);
        }
        if left_length == 0 {
            return Ok(true);
        }
    }
}

fn fill(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    while length < buffer.len() {
        match reader.read(&mut buffer[length..]) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}

/// Makes a directory below `root` so that a power cut does not take it, and what lies in it, away.
fn create_durably(directory: &Path, root: &Path) -> io::Result<()> {
    if directory == root || directory.is_dir() {
        return Ok(());
    }
    let parent = directory.parent().unwrap_or(root);
    create_durably(parent, root)?;
    match fs::create_dir(directory) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        _ => files::sync_directory(parent),
    }
}

fn collect_names(root: &Path, directory: &Path, prefix: &str, names: &mut Vec<String>) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let Some(name) = path.strip_prefix(root).ok().and_then(Path::to_str) else { continue };
        if checked(name).is_err() {
            continue;
        }
        if path.is_dir() {
            let folder = format!("{name}/");
            if folder.starts_with(prefix) || prefix.starts_with(&folder) {
                collect_names(root, &path, prefix, names)?;
            }
        } else if name.starts_with(prefix) {
            names.push(name.to_owned());
        }
    }
    Ok(())
}

/// What writers that died left behind. Failing to tidy up is no reason to refuse work.
fn remove_old_partials(directory: &Path) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    for entry in entries.flatten() {
        let modified = entry.metadata().and_then(|metadata| metadata.modified());
        let age = modified.ok().and_then(|modified| SystemTime::now().duration_since(modified).ok());
        if age.is_some_and(|age| age > PARTIAL_LIFETIME) {
            let _ = fs::remove_file(entry.path());
        }
    }
}
