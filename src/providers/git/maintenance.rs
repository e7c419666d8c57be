//! Keeps mirrors as quick as on their first day: packs what has come in, clears away what killed processes left, and removes
//! mirrors that no rules name. It works beside readers and writers and takes no lock that they wait for: nothing that can be
//! asked for is ever away. Packing takes all objects along, also those that nothing leads to: none is pruned, for a head
//! that was rewritten may be asked for still, and what loses a race is small. A mirror that grew too large can be removed.

use super::fault::disk_fault;
use super::mirror::{Mirror, Mirrors};
use crate::providers::Fault;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use tokio::time::Instant;

/// So many loose objects are packed: some three hundred forward commits.
pub(super) const MOST_LOOSE: u64 = 1_000;
/// So many packs are joined: each is asked in turn for an object.
pub(super) const MOST_PACKS: u64 = 20;
/// How long packing may take. It takes seconds, and longer only where the first clone came in parts.
const PACKING_DEADLINE: Duration = Duration::from_secs(30 * 60);
/// How long a mirror that could not be packed is left alone.
const AFTER_A_FAILURE: Duration = Duration::from_secs(6 * 60 * 60);
/// How old a file must be to have been left by a process that is no more.
const LEFT_BEHIND_AFTER: Duration = Duration::from_secs(24 * 60 * 60);
/// How long a mirror stays that no rules name.
pub const UNUSED_FOR: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// What a mirror holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MirrorLoad {
    /// Objects in files of their own.
    pub loose: u64,
    /// Packs.
    pub packs: u64,
    /// Bytes on disk.
    pub bytes: u64,
}

/// A mirror as it lies on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MirrorOnDisk {
    /// Its folder.
    pub directory: PathBuf,
    /// Since when no rules name it, in milliseconds since 1970, where that has been seen.
    pub unused_since_ms: Option<i64>,
    /// When it was last packed, in milliseconds since 1970.
    pub packed_at_ms: Option<i64>,
}

/// Keeps all mirrors in order, round after round.
#[derive(Debug, Default)]
pub struct Upkeep {
    /// The mirrors that could not be packed, and until when they are left alone.
    failed: BTreeMap<PathBuf, Instant>,
}

impl Upkeep {
    /// One round: packs the mirrors of the repositories that are `named` where that is due, and removes those that have not been
    /// named for a week. What is wrong with one is logged and leaves the others alone.
    ///
    /// Without `all_are_named` (some rules could not be read) nothing counts as unused.
    pub async fn round(&mut self, mirrors: &Mirrors, named: &BTreeSet<String>, all_are_named: bool, now_ms: i64) {
        self.failed.retain(|_, until| *until > Instant::now());
        let mut used = BTreeSet::new();
        for url in named {
            let directory = match mirrors.directory(url) {
                Ok(directory) if directory.is_dir() => directory,
                // One that is not there yet is made when it is looked at.
                _ => continue,
            };
            let is_new = used.insert(directory.clone());
            if is_new && !self.failed.contains_key(&directory) {
                self.keep(mirrors, url, &directory).await;
            }
        }
        if all_are_named && let Err(error) = remove_unused(mirrors, &used, now_ms).await {
            tracing::warn!(%error, "mirrors that no rules name could not be looked through");
        }
    }

    async fn keep(&mut self, mirrors: &Mirrors, url: &str, directory: &Path) {
        unmark(directory);
        let kept = async {
            let mirror = mirrors.mirror(url)?;
            if !load_of(directory.to_owned()).await?.is_much() {
                return Ok(None);
            }
            mirror.maintain(PACKING_DEADLINE).await.map(Some)
        };
        match kept.await {
            Ok(None) => {}
            Ok(Some(Packed { before, after })) => tracing::info!(
                mirror = %directory.display(),
                loose = before.loose,
                packs_before = before.packs,
                packs = after.packs,
                kilobytes = after.bytes / 1_024,
                "a mirror was packed"
            ),
            Err(fault) => {
                tracing::warn!(mirror = %directory.display(), error = %fault, "a mirror could not be packed; it works, more slowly");
                self.failed.insert(directory.to_owned(), Instant::now() + AFTER_A_FAILURE);
            }
        }
    }
}

/// What packing has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packed {
    /// What the mirror held.
    pub before: MirrorLoad,
    /// What it holds.
    pub after: MirrorLoad,
}

impl Mirror {
    /// Packs what has come in since the last time, at a cost that follows what is new and not what is there. Others read and
    /// write meanwhile. Nothing is lost when it is killed at its deadline.
    pub async fn maintain(&self, deadline: Duration) -> Result<Packed, Fault> {
        let deadline = Instant::now() + deadline;
        let directory = self.directory.clone();
        let before = load_of(directory.clone()).await?;
        let swept = directory.clone();
        let _ = tokio::task::spawn_blocking(move || sweep(&swept.join("objects"), SystemTime::now())).await;
        // One thread, for it runs beside what somebody waits for.
        let arguments = ["-c", "pack.threads=1", "repack", "--quiet", "-d", "-n", "--geometric=2"].map(str::to_owned);
        let ended = self.git(&arguments, deadline, "packing the mirror").await?;
        if !ended.success {
            return Err(self.explain(&ended, "packing the mirror"));
        }
        let mark = packed_mark(&directory);
        fs::write(&mark, "packed\n").map_err(|error| disk_fault("writing", &mark, &error))?;
        Ok(Packed { before, after: load_of(directory).await? })
    }
}

impl MirrorLoad {
    /// Whether packing is worth it.
    const fn is_much(&self) -> bool {
        self.loose >= MOST_LOOSE || self.packs >= MOST_PACKS
    }

    /// What the mirror in a folder holds; only its names and sizes are read.
    ///
    /// # Errors
    /// When its folders cannot be read.
    pub fn of(directory: &Path) -> io::Result<Self> {
        let mut load = Self::default();
        let mut folders = vec![directory.to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in gone_is_empty(fs::read_dir(&folder))? {
                let entry = entry?;
                // What was packed meanwhile is counted there, or not at all.
                let Ok(metadata) = entry.metadata() else { continue };
                if metadata.is_dir() {
                    folders.push(entry.path());
                    continue;
                }
                load.bytes += metadata.len();
                let path = entry.path();
                load.packs += u64::from(path.extension() == Some(OsStr::new("pack")));
                load.loose += u64::from(is_loose(&path));
            }
        }
        Ok(load)
    }
}

async fn load_of(directory: PathBuf) -> Result<MirrorLoad, Fault> {
    let counted = tokio::task::spawn_blocking(move || {
        MirrorLoad::of(&directory).map_err(|error| disk_fault("reading", &directory, &error))
    });
    counted.await.map_err(|error| Fault::retry(format!("counting objects broke off: {error}")))?
}

/// The entries of a folder; one that went away has none.
fn gone_is_empty(read: io::Result<fs::ReadDir>) -> io::Result<impl Iterator<Item = io::Result<fs::DirEntry>>> {
    match read {
        Ok(entries) => Ok(Some(entries).into_iter().flatten()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None.into_iter().flatten()),
        Err(error) => Err(error),
    }
}

/// Whether this is a loose object: `objects/ab/` and the 38 digits that follow (62 of SHA-256).
fn is_loose(path: &Path) -> bool {
    let name = |path: Option<&OsStr>| path.map(|name| name.as_encoded_bytes().to_vec()).unwrap_or_default();
    let (file, fan) = (name(path.file_name()), name(path.parent().and_then(Path::file_name)));
    let is_hex = |name: &[u8]| name.iter().all(u8::is_ascii_hexdigit);
    matches!(file.len(), 38 | 62) && fan.len() == 2 && is_hex(&file) && is_hex(&fan)
}

/// Removes what processes that are no more left among the objects: half-written files, and marks that keep a pack for a fetch
/// that has not ended.
fn sweep(objects: &Path, now: SystemTime) -> io::Result<()> {
    let mut folders = vec![objects.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in gone_is_empty(fs::read_dir(&folder))?.flatten() {
            let (path, name) = (entry.path(), entry.file_name());
            let name = name.as_encoded_bytes();
            let is_left = name.starts_with(b"tmp_") || name.starts_with(b".tmp-") || name.ends_with(b".keep");
            let Ok(metadata) = entry.metadata() else { continue };
            match is_left && is_old(&metadata, now) {
                true if metadata.is_dir() => drop(fs::remove_dir_all(&path)),
                true => drop(fs::remove_file(&path)),
                false if metadata.is_dir() && !is_left => folders.push(path),
                false => {}
            }
        }
    }
    Ok(())
}

fn is_old(metadata: &Metadata, now: SystemTime) -> bool {
    let age = metadata.modified().ok().and_then(|modified| now.duration_since(modified).ok());
    age.is_some_and(|age| age > LEFT_BEHIND_AFTER)
}

/// Beside a mirror: since when no rules name it.
fn unused_mark(directory: &Path) -> PathBuf {
    directory.with_extension("unused")
}

/// Beside a mirror: its time is that of the last packing.
fn packed_mark(directory: &Path) -> PathBuf {
    directory.with_extension("packed")
}

/// A mirror that is named again is no longer on its way out.
fn unmark(directory: &Path) {
    // An error other than that there is none shows when the mirror is used.
    let _ = fs::remove_file(unused_mark(directory));
}

/// The mirrors below a folder, sorted by name.
///
/// # Errors
/// When the folder cannot be read; one that is not there has none.
pub fn mirrors_on_disk(root: &Path) -> io::Result<Vec<MirrorOnDisk>> {
    let mut mirrors = Vec::new();
    for entry in gone_is_empty(fs::read_dir(root))? {
        let directory = entry?.path();
        if directory.extension() != Some(OsStr::new("git")) || !directory.is_dir() {
            continue;
        }
        let unused = fs::read_to_string(unused_mark(&directory)).ok();
        let unused_since_ms = unused.and_then(|text| text.split_whitespace().next()?.parse().ok());
        let packed = fs::metadata(packed_mark(&directory)).and_then(|metadata| metadata.modified()).ok();
        let packed = packed.and_then(|at| at.duration_since(SystemTime::UNIX_EPOCH).ok());
        let packed_at_ms = packed.and_then(|since| i64::try_from(since.as_millis()).ok());
        mirrors.push(MirrorOnDisk { directory, unused_since_ms, packed_at_ms });
    }
    mirrors.sort_by(|one, other| one.directory.cmp(&other.directory));
    Ok(mirrors)
}

/// Marks the mirrors that are not used, and removes those that have been marked for long enough; and what was put aside when a
/// mirror was made anew by a process that is no more.
async fn remove_unused(mirrors: &Mirrors, used: &BTreeSet<PathBuf>, now_ms: i64) -> io::Result<()> {
    for MirrorOnDisk { directory, unused_since_ms, .. } in mirrors_on_disk(mirrors.root())? {
        if used.contains(&directory) {
            continue;
        }
        let days = UNUSED_FOR.as_secs() / (24 * 60 * 60);
        match unused_since_ms {
            None => {
                fs::write(unused_mark(&directory), format!("{now_ms} no rules name this mirror since then\n"))?;
                tracing::info!(mirror = %directory.display(), "no rules name this mirror; it is removed in {days} days");
            }
            // A clock that was ahead makes it wait, and never go too early.
            Some(since_ms) if now_ms - since_ms < i64::try_from(UNUSED_FOR.as_millis()).unwrap_or(i64::MAX) => {}
            Some(_) => match mirrors.remove(&directory).await {
                Ok(()) => {
                    for mark in [unused_mark(&directory), packed_mark(&directory)] {
                        let _ = fs::remove_file(mark);
                    }
                    tracing::info!(mirror = %directory.display(), "a mirror that no rules named for {days} days was removed");
                }
                Err(fault) => {
                    tracing::warn!(mirror = %directory.display(), error = %fault, "a mirror that no rules name stays");
                }
            },
        }
    }
    let root = mirrors.root().to_owned();
    let _ = tokio::task::spawn_blocking(move || remove_aside(&root, SystemTime::now())).await;
    Ok(())
}

/// Removes the folders `NAME.new-…` and `NAME.old-…` that were left behind.
fn remove_aside(root: &Path, now: SystemTime) -> io::Result<()> {
    for entry in gone_is_empty(fs::read_dir(root))?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_aside = name.rsplit_once('.').is_some_and(|(_, end)| end.starts_with("new-") || end.starts_with("old-"));
        if is_aside && entry.metadata().is_ok_and(|metadata| metadata.is_dir() && is_old(&metadata, now)) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_killed_processes_left_is_swept_away_when_it_is_old() {
        let root = std::env::temp_dir().join(format!("tidegate-sweep-{}", std::process::id()));
        let pack = root.join("objects/pack");
        fs::create_dir_all(&pack).expect("a folder");
        fs::create_dir_all(root.join("objects/ab")).expect("a folder");
        fs::create_dir_all(root.join("objects/tmp_objdir-incoming-1/pack")).expect("a folder");
        let left =
            ["pack/tmp_pack_x", "pack/.tmp-7-pack-1.pack", "pack/pack-1.keep", "ab/tmp_obj_1", "tmp_objdir-incoming-1"];
        let loose = format!("ab/{}", "0".repeat(38));
        let stay = ["pack/pack-1.pack", "pack/pack-1.idx", loose.as_str()];
        for file in left.iter().chain(&stay).filter(|file| !file.starts_with("tmp_objdir")) {
            fs::write(root.join("objects").join(file), "x").expect("a file");
        }
        let there = |file: &str| root.join("objects").join(file).exists();
        sweep(&root.join("objects"), SystemTime::now()).expect("it is read");
        assert!(left.iter().chain(&stay).all(|file| there(file)), "what is new may be somebody's");
        sweep(&root.join("objects"), SystemTime::now() + LEFT_BEHIND_AFTER * 2).expect("it is read");
        assert!(left.iter().all(|file| !there(file)), "what is old is nobody's");
        assert!(stay.iter().all(|file| there(file)), "objects stay");
        let load = MirrorLoad::of(&root).expect("it is counted");
        assert_eq!((load.loose, load.packs, load.bytes), (1, 1, 3));
        fs::remove_dir_all(&root).expect("it is there");
    }
}
