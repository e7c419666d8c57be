//! Objects as files below one directory, for one machine. A file appears under its name only when all of it is on
//! the disk: written beside, synced, then linked (absent) or renamed (replace) into place.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use reqwest::Url;
use sha2::{Digest, Sha256};

use super::name;
use super::{Objects, Reader, Source, Stored, Version, compare};
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
    root: PathBuf,
}

impl DirectoryObjects {
    /// Opens the store at `root`, which is made when it is missing.
    ///
    /// # Errors
    /// When the directory can be neither made nor found.
    pub fn open(root: &Path) -> Result<Self, Fault> {
        files::create_directory(&root.join(PARTIAL))?;
        let root = fs::canonicalize(root)
            .map_err(|error| files::fault(&format!("open the object store {}", root.display()), &error))?;
        remove_old_partials(&root.join(PARTIAL));
        Ok(Self { root })
    }

    /// Opens the store at `root` to read what is in it. The directory is not touched, and need not exist.
    ///
    /// # Errors
    /// When it cannot be said where the directory is.
    pub fn open_to_read(root: &Path) -> Result<Self, Fault> {
        let root = fs::canonicalize(root).or_else(|_| std::path::absolute(root));
        Ok(Self { root: root.map_err(|error| files::fault("find the object store", &error))? })
    }

    /// The directory of the store.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    fn path_of(&self, name_or_uri: &str) -> Result<PathBuf, Fault> {
        Ok(self.root.join(self.name(name_or_uri)?))
    }

    /// Writes the source to a partial file, on the disk before this returns.
    fn write_partial(&self, source: &OwnedSource) -> io::Result<PartialFile> {
        let mut partial = PartialFile::create(&self.root.join(PARTIAL))?;
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
        let parent = path.parent().unwrap_or(&self.root);
        create_durably(parent, &self.root)?;
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
        let path = self.path_of(name)?;
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

    /// Writes the source and gives it the name, unless that is taken and not to be replaced.
    async fn store(&self, name: &str, source: Source<'_>, replace: bool) -> Result<bool, Fault> {
        let (store, path, source) = (self.clone(), self.path_of(name)?, OwnedSource::from(source));
        let tried = self.storing(name);
        files::blocking(move || {
            let placed = store.write_partial(&source).and_then(|partial| store.place(&partial, &path, replace));
            placed.map_err(|error| files::fault(&tried, &error))
        })
        .await
    }

    fn storing(&self, name: &str) -> String {
        format!("store {name} in {}", self.root.display())
    }
}

#[async_trait]
impl Objects for DirectoryObjects {
    async fn put_if_absent(&self, name: &str, source: Source<'_>) -> Result<Stored, Fault> {
        let uri = self.uri(name)?;
        if !self.exists(name).await? && self.store(name, source, false).await? {
            return Ok(Stored { uri, created: true });
        }
        // It was there already, or somebody else put it between our look and our link.
        compare::same_or_refused(source, self.open(name).await?, &self.storing(name)).await?;
        Ok(Stored { uri, created: false })
    }

    async fn put(&self, name: &str, source: Source<'_>) -> Result<Stored, Fault> {
        self.store(name, source, true).await?;
        Ok(Stored { uri: self.uri(name)?, created: true })
    }

    async fn put_if_unchanged(&self, name: &str, seen: Option<&Version>, bytes: &[u8]) -> Result<bool, Fault> {
        let (store, name, seen, bytes) = (self.clone(), name.to_owned(), seen.cloned(), bytes.to_owned());
        let lock = files::lock(&self.root.join(LOCK), LOCK_WAIT).await?;
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

    async fn open(&self, name_or_uri: &str) -> Result<Reader, Fault> {
        let (path, tried) = (self.path_of(name_or_uri)?, format!("read the object {name_or_uri}"));
        let opened = files::blocking(move || {
            let opened = File::open(path).and_then(|file| Ok((file.metadata()?, file)));
            opened.map_err(|error| files::fault(&tried, &error))
        });
        let (metadata, file) = opened.await?;
        Ok(Reader { length_bytes: metadata.len(), bytes: Box::new(tokio::fs::File::from_std(file)) })
    }

    async fn exists(&self, name_or_uri: &str) -> Result<bool, Fault> {
        let path = self.path_of(name_or_uri)?;
        files::blocking(move || Ok(path.is_file())).await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<String>, Fault> {
        let (root, prefix) = (self.root.clone(), prefix.to_owned());
        files::blocking(move || {
            let mut names = Vec::new();
            match collect_names(&root, &root, &prefix, &mut names) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(files::fault(&format!("list the objects of {}", root.display()), &error));
                }
                _ => names.sort(),
            }
            Ok(names)
        })
        .await
    }

    fn name(&self, name_or_uri: &str) -> Result<String, Fault> {
        if !name::is_uri(name_or_uri) {
            return Ok(name::checked(name_or_uri)?.to_owned());
        }
        let path = Url::parse(name_or_uri).ok().and_then(|url| url.to_file_path().ok());
        let below = path.as_ref().and_then(|path| path.strip_prefix(&self.root).ok()?.to_str());
        let name = below.ok_or_else(|| name::of_another(name_or_uri, &self.root.display().to_string()))?;
        Ok(name::checked(name)?.to_owned())
    }

    fn uri(&self, name: &str) -> Result<String, Fault> {
        let path = self.path_of(name)?;
        Url::from_file_path(&path)
            .map(Into::into)
            .map_err(|()| Fault::fail(format!("{} has no file URI", path.display()), "use an absolute path"))
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
        if name::checked(name).is_err() {
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
