//! Folders that outlive a command: what it has fetched, so that the next need not fetch it again. Whose they are is their
//! caller's to say; what is in them was written by commands that nobody trusts, and is only ever given to such commands.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustix::fs::{FlockOperation, flock};

use super::sandbox::fits;
use crate::providers::{Fault, files};

/// A cache that nobody has used for so long is removed.
const UNUSED: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// What is locked while it is used, and says when that was. It stays when the cache goes: who waits for it must not wait for
/// what has no name any more.
const LOCK: &str = "lock";
const FILES: &str = "files";
/// How deep below the folder of all caches each one is: what makes up its name.
const DEPTH: usize = 4;

/// The folder of all caches on this machine.
#[derive(Debug, Clone)]
pub struct Caches {
    /// The folder.
    pub folder: PathBuf,
    /// The most that one may hold when a command begins, in MiB; one that holds more is emptied first.
    pub most_mib: u32,
}

/// A cache that a command is given. Nobody empties it as long as this is there.
#[derive(Debug, Clone)]
pub struct GivenCache {
    /// Its name: in a box it is `/cache/NAME`.
    pub name: String,
    /// The folder.
    pub folder: PathBuf,
    /// Variables that say where it is, or where a part of it is.
    pub variables: BTreeMap<String, PathBuf>,
    _held: Arc<File>,
}

impl GivenCache {
    /// Where the command finds it.
    pub(super) fn seen(&self, boxed: bool) -> PathBuf {
        if boxed { Path::new("/cache").join(&self.name) } else { self.folder.clone() }
    }

    /// The variables that tell it.
    pub(super) fn environment(&self, boxed: bool) -> impl Iterator<Item = (String, String)> {
        let seen = self.seen(boxed);
        let place = move |part: &PathBuf| seen.components().chain(part.components()).collect::<PathBuf>();
        self.variables.iter().map(move |(variable, part)| (variable.clone(), place(part).display().to_string()))
    }
}

impl Caches {
    /// The cache of these names, outermost first, of which there are as many as make up a name. It is made where it is missing,
    /// and emptied where it holds too much and nobody else uses it. Several commands may use one at a time.
    ///
    /// # Errors
    /// When its folder cannot be made or locked.
    pub async fn open(&self, names: [&str; DEPTH], variables: BTreeMap<String, PathBuf>) -> Result<GivenCache, Fault> {
        let place: PathBuf = std::iter::once(self.folder.as_path()).chain(names.iter().map(Path::new)).collect();
        let (folder, name) = (place.join(FILES), names[DEPTH - 1].to_owned());
        let most_bytes = u64::from(self.most_mib) << 20;
        let held = files::blocking(move || {
            files::create_directory(&place)?;
            let lock = open_lock(&place)?;
            if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok() && !fits(&[place.join(FILES)], most_bytes)
            {
                files::remove_directory(&place.join(FILES))?;
            }
            // Whoever empties it is done soon.
            flock(&lock, FlockOperation::LockShared).map_err(|error| cannot_lock(&place, &error.into()))?;
            files::create_directory(&place.join(FILES))?;
            lock.set_modified(SystemTime::now()).map_err(|error| cannot_lock(&place, &error))?;
            Ok(lock)
        });
        Ok(GivenCache { name, folder, variables, _held: Arc::new(held.await?) })
    }

    /// Removes those that nobody has used for a month: what no rule names any more, and stages and repositories that are gone.
    pub async fn tidy(&self, now: SystemTime) {
        let folder = self.folder.clone();
        let tidied = files::blocking(move || {
            places(&folder).iter().filter(|place| is_unused(place, now)).try_for_each(|place| remove_unused(place))
        });
        if let Err(fault) = tidied.await {
            tracing::warn!("a cache that nobody uses was left: {fault}");
        }
    }
}

/// The folders of all caches.
fn places(folder: &Path) -> Vec<PathBuf> {
    let below = |folder: PathBuf| fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    (0..DEPTH).fold(vec![folder.to_owned()], |places, _| places.into_iter().flat_map(below).collect())
}

fn is_unused(place: &Path, now: SystemTime) -> bool {
    let used = place.join(LOCK).metadata().and_then(|lock| lock.modified());
    let since = used.ok().and_then(|used| now.duration_since(used).ok());
    place.join(FILES).is_dir() && since.is_some_and(|since| since > UNUSED)
}

fn remove_unused(place: &Path) -> Result<(), Fault> {
    let lock = open_lock(place)?;
    if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
        return Ok(());
    }
    tracing::info!(cache = %place.display(), "removed a cache that nobody has used for a month");
    files::remove_directory(&place.join(FILES))
}

fn open_lock(place: &Path) -> Result<File, Fault> {
    let opened = File::options().create(true).truncate(false).write(true).open(place.join(LOCK));
    opened.map_err(|error| cannot_lock(place, &error))
}

fn cannot_lock(place: &Path, error: &std::io::Error) -> Fault {
    files::fault(&format!("use the cache {}", place.display()), error)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[tokio::test]
    async fn a_cache_lasts_until_it_is_full_or_unused_and_never_goes_while_it_is_used() {
        let directory = tempfile::tempdir().unwrap();
        let caches = Caches { folder: directory.path().to_owned(), most_mib: 1 };
        let open = async || caches.open(["shop", "dev", "software", "npm"], BTreeMap::new()).await.unwrap();
        let fill = |cache: &GivenCache, bytes: usize| fs::write(cache.folder.join("package"), vec![7; bytes]).unwrap();
        let has = |cache: &GivenCache| cache.folder.join("package").exists();
        let first = open().await;
        fill(&first, 1000);
        let second = open().await;
        assert!(has(&second), "both use it");
        fill(&second, 3 << 20);
        let third = open().await;
        assert!(has(&third), "the others use it still");
        drop((first, second, third));
        let emptied = open().await;
        assert!(!has(&emptied), "it was too full");
        fill(&emptied, 1000);
        let later = SystemTime::now() + UNUSED + Duration::from_secs(60);
        caches.tidy(later).await;
        assert!(has(&emptied), "it is in use");
        let folder = emptied.folder.clone();
        drop(emptied);
        caches.tidy(SystemTime::now()).await;
        assert!(folder.is_dir(), "it was used a moment ago");
        caches.tidy(later).await;
        assert!(!folder.exists());
        assert!(!has(&open().await), "it begins anew");
    }
}
