//! Brings together what an archive or a checkout is made of. `git archive` writes each tree into a file, so that attributes
//! and line ends are git's own business; what the tree says but does not hold is found there, and fetched or refused. Then all
//! of it is handed over, file by file.

use super::bounds;
use super::fault::disk_fault;
use super::lfs::{self, LONGEST_POINTER, Pointer, Store};
use super::mirror::{Mirror, Mirrors};
use super::plumbing::{Bench, Bounds};
use super::submodules;
use super::survey::{Survey, as_path, shown, survey};
use super::taking::{Lfs, Submodules, Taking};
use super::tarball::{Entries, Entry, Kind};
use crate::providers::Fault;
use globset::GlobSet;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::time::Instant;

/// How deep submodules may be nested.
const DEEPEST: usize = 8;
/// How many submodules one tree may have, with those of its submodules.
const MOST_SUBMODULES: usize = 200;
/// How many paths an error names.
const MOST_SHOWN: usize = 10;
/// Attributes that keep `git archive` from leaving out or changing what a checkout has.
const WHOLE: &[u8] = b"* -export-ignore -export-subst\n";

/// What is wanted of a tree.
pub(super) struct Wanted {
    pub(super) taking: Taking,
    /// What is left out, by its path.
    pub(super) exclude: GlobSet,
    /// Whether attributes for archives count.
    pub(super) exported: bool,
    pub(super) deadline: Instant,
}

/// Where a tree's files are until they are handed over; the folder is removed with it.
pub(super) struct Gathered {
    top: Layer,
    wanted: Wanted,
    /// What git complained of.
    pub(super) warnings: String,
    _folder: Folder,
}

/// One tree, as `git archive` wrote it.
struct Layer {
    spool: PathBuf,
    survey: Survey,
    objects: Store,
    /// The trees of its submodules, by their paths in it.
    below: BTreeMap<Vec<u8>, Layer>,
}

/// Takes what is handed over.
pub(super) trait Taker {
    /// A folder; what is in it follows.
    fn folder(&mut self, path: &[u8]) -> Result<(), Fault>;
    fn link(&mut self, path: &[u8], target: &[u8]) -> Result<(), Fault>;
    fn file(&mut self, path: &[u8], executable: bool, size_bytes: u64, content: &mut dyn Read) -> Result<(), Fault>;
}

/// Is given the full path of an entry, and its content.
type Each<'each> = dyn FnMut(&[u8], &Entry, &mut dyn Read) -> Result<(), Fault> + 'each;

/// What a tree says but does not hold.
#[derive(Default)]
struct Elsewhere {
    pointers: Vec<(Vec<u8>, Pointer)>,
    submodules: Vec<Vec<u8>>,
}

impl Mirrors {
    /// Gathers the tree of a commit in a folder beside `place`.
    pub(super) async fn gather(
        &self,
        mirror: &Arc<Mirror>,
        commit: &str,
        place: &Path,
        wanted: Wanted,
    ) -> Result<Gathered, Fault> {
        let folder = Folder::beside(place)?;
        let mut gathering =
            Gathering { mirrors: self, wanted: &wanted, folder: &folder.0, made: 0, warnings: String::new() };
        let top = gathering.layer(mirror, commit, Vec::new(), 0).await;
        let top = top.map_err(|fault| fault.while_trying(mirror.url()))?;
        Ok(Gathered { top, warnings: gathering.warnings, wanted, _folder: folder })
    }

    /// The paths of what would be fetched to take a commit's tree so.
    pub(super) async fn elsewhere(
        &self,
        mirror: &Arc<Mirror>,
        commit: &str,
        place: &Path,
        wanted: Wanted,
    ) -> Result<Vec<String>, Fault> {
        let taking = wanted.taking;
        let gathered = self.gather(mirror, commit, place, Wanted { taking: Taking::PLAIN, ..wanted }).await?;
        let Elsewhere { pointers, submodules } = gathered.top.elsewhere(b"", &gathered.wanted.exclude)?;
        let mut paths = Vec::new();
        if taking.lfs == Lfs::Fetch {
            paths.extend(pointers.iter().map(|(path, _)| shown(path)));
        }
        if taking.submodules == Submodules::Fetch {
            paths.extend(submodules.iter().map(|path| shown(path)));
        }
        Ok(paths)
    }
}

struct Gathering<'all> {
    mirrors: &'all Mirrors,
    wanted: &'all Wanted,
    folder: &'all Path,
    made: usize,
    warnings: String,
}

impl Gathering<'_> {
    /// The tree at `prefix`, with all below it.
    async fn layer(
        &mut self,
        mirror: &Arc<Mirror>,
        commit: &str,
        prefix: Vec<u8>,
        depth: usize,
    ) -> Result<Layer, Fault> {
        let id = commit.to_owned();
        let survey = mirror.long_with_repository(move |repository| survey(repository, &id)).await?;
        let number = self.made;
        self.made += 1;
        if self.made > MOST_SUBMODULES || depth > DEEPEST {
            return Err(Fault::fail(
                format!(
                    "there are more than {MOST_SUBMODULES} submodules, or they are nested more than {DEEPEST} deep"
                ),
                "leave some out with `exclude`, or write `submodules: leave`",
            ));
        }
        let attributes = match (self.wanted.exported, depth) {
            (true, 0) => own_attributes(mirror)?,
            (true, _) => Vec::new(),
            (false, _) => WHOLE.to_vec(),
        };
        let bench = self.folder.join(format!("{number}.git"));
        let bench = Bench::make(&mirror.git, bench, &mirror.directory, &attributes)?;
        let spool = self.folder.join(format!("{number}.tar"));
        // Headers and blocks are more than the files alone.
        let most_bytes = bounds::MOST_BYTES * 2;
        let bounds = Bounds { deadline: self.wanted.deadline, quiet: mirror.patience, most_bytes };
        let said = bench.write(&["archive", "--format=tar", commit], &spool, bounds).await?;
        self.warnings.push_str(&said);
        let mut layer = Layer { spool, survey, objects: Store::of(mirror), below: BTreeMap::new() };
        let (looked, found) = {
            let (prefix, exclude) = (prefix.clone(), self.wanted.exclude.clone());
            let looking = tokio::task::spawn_blocking(move || {
                let found = layer.elsewhere(&prefix, &exclude);
                (layer, found)
            });
            looking.await.map_err(|error| Fault::retry(format!("reading the archive of git broke off: {error}")))?
        };
        layer = looked;
        let Elsewhere { pointers, submodules } = found?;
        self.refuse(&pointers, &submodules)?;
        if self.wanted.taking.lfs == Lfs::Fetch && !pointers.is_empty() {
            let config = self.config(&bench, layer.survey.lfsconfig).await?;
            let wanted = pointers.into_iter().map(|(_, pointer)| pointer).collect();
            lfs::fetch(mirror, wanted, &config, (self.mirrors.fetches_contents, self.wanted.deadline)).await?;
        }
        if self.wanted.taking.submodules == Submodules::Fetch && !submodules.is_empty() {
            let config = self.config(&bench, layer.survey.gitmodules).await?;
            for full in submodules {
                let path = within(&full, &prefix).to_vec();
                let Some(commit) = layer.survey.submodules.get(&path).cloned() else { continue };
                let below = self.submodule(mirror, &config, (&path, &commit), full.clone(), depth).await;
                let below = below.map_err(|fault| fault.while_trying(&format!("submodule '{}'", shown(&full))))?;
                layer.below.insert(path, below);
            }
        }
        Ok(layer)
    }

    async fn submodule(
        &mut self,
        above: &Mirror,
        config: &[u8],
        (path, commit): (&[u8], &str),
        full: Vec<u8>,
        depth: usize,
    ) -> Result<Layer, Fault> {
        let url = submodules::url_of(above, config, path)?;
        let mirror = self.mirrors.mirror(&url)?;
        submodules::bring(&mirror, commit, (self.mirrors.fetches_contents, self.wanted.deadline)).await?;
        Box::pin(self.layer(&mirror, commit, full, depth + 1)).await
    }

    async fn config(&self, bench: &Bench<'_>, blob: Option<git2::Oid>) -> Result<Vec<u8>, Fault> {
        match blob {
            Some(blob) => config_in(bench, blob, self.wanted.deadline).await,
            None => Ok(Vec::new()),
        }
    }

    fn refuse(&self, pointers: &[(Vec<u8>, Pointer)], submodules: &[Vec<u8>]) -> Result<(), Fault> {
        if self.wanted.taking.lfs == Lfs::Refuse && !pointers.is_empty() {
            let paths: Vec<&[u8]> = pointers.iter().map(|(path, _)| path.as_slice()).collect();
            return Err(Fault::fail(
                format!("the tree has Git LFS pointers in the place of files: {}", several(&paths)),
                "write `lfs: fetch` in this step to take the files from the LFS server, or `lfs: pointers` to take the \
                 pointers as they are",
            ));
        }
        if self.wanted.taking.submodules == Submodules::Refuse && !submodules.is_empty() {
            let paths: Vec<&[u8]> = submodules.iter().map(Vec::as_slice).collect();
            return Err(Fault::fail(
                format!("the tree has submodules, whose files it does not hold: {}", several(&paths)),
                "write `submodules: fetch` in this step to take their commits from their repositories, or \
                 `submodules: leave` to take them as empty folders",
            ));
        }
        Ok(())
    }
}

impl Gathered {
    /// Hands all of it over, in git's order.
    pub(super) fn hand_over(&self, taker: &mut dyn Taker) -> Result<(), Fault> {
        self.layer(&self.top, b"", taker)
    }

    /// The tree's survey.
    pub(super) fn survey(&self) -> &Survey {
        &self.top.survey
    }

    fn layer(&self, layer: &Layer, prefix: &[u8], taker: &mut dyn Taker) -> Result<(), Fault> {
        layer.each(prefix, &self.wanted.exclude, &mut |path, entry, content| match (
            entry.kind,
            layer.below.get(&entry.path),
        ) {
            (Kind::Folder, Some(below)) => {
                taker.folder(path)?;
                self.layer(below, path, taker)
            }
            (Kind::Folder, None) => taker.folder(path),
            (Kind::Link, _) => taker.link(path, &entry.link),
            (Kind::File { executable }, _) => {
                let (size, short) = (entry.size_bytes, short_content(entry, content, &layer.spool)?);
                let pointer = short.as_deref().and_then(Pointer::parse);
                match (pointer.filter(|_| self.wanted.taking.lfs == Lfs::Fetch), short) {
                    (Some(pointer), _) => {
                        let mut object = layer.objects.open(&pointer)?;
                        taker.file(path, executable, pointer.size_bytes, &mut object)
                    }
                    (None, Some(short)) => taker.file(path, executable, size, &mut short.as_slice()),
                    (None, None) => taker.file(path, executable, size, content),
                }
            }
        })
    }
}

impl Layer {
    /// What is in it and elsewhere, by full paths.
    fn elsewhere(&self, prefix: &[u8], exclude: &GlobSet) -> Result<Elsewhere, Fault> {
        let mut found = Elsewhere::default();
        self.each(prefix, exclude, &mut |path, entry, content| {
            match entry.kind {
                Kind::Folder if self.survey.submodules.contains_key(&entry.path) => {
                    found.submodules.push(path.to_vec())
                }
                Kind::File { .. } => {
                    let pointer = short_content(entry, content, &self.spool)?.as_deref().and_then(Pointer::parse);
                    found.pointers.extend(pointer.map(|pointer| (path.to_vec(), pointer)));
                }
                _ => {}
            }
            Ok(())
        })?;
        Ok(found)
    }

    /// Goes through what is not left out, by full paths.
    fn each(&self, prefix: &[u8], exclude: &GlobSet, each: &mut Each<'_>) -> Result<(), Fault> {
        let disk = |error: io::Error| disk_fault("reading", &self.spool, &error);
        let mut entries = Entries::new(BufReader::with_capacity(256 << 10, File::open(&self.spool).map_err(disk)?));
        let mut left_out: Option<Vec<u8>> = None;
        while let Some(entry) = entries.next().map_err(disk)? {
            if left_out.as_ref().is_some_and(|folder| entry.path.starts_with(folder)) {
                continue;
            }
            let path = if prefix.is_empty() { entry.path.clone() } else { [prefix, &entry.path].join(&b'/') };
            if exclude.is_match(as_path(&path)) {
                left_out = (entry.kind == Kind::Folder).then(|| [entry.path.as_slice(), b"/"].concat());
                continue;
            }
            each(&path, &entry, &mut entries)?;
        }
        Ok(())
    }
}

/// The content of a file that is short enough for a pointer.
fn short_content(entry: &Entry, content: &mut dyn Read, spool: &Path) -> Result<Option<Vec<u8>>, Fault> {
    if entry.size_bytes >= LONGEST_POINTER {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    content.read_to_end(&mut bytes).map_err(|error| disk_fault("reading", spool, &error))?;
    Ok(Some(bytes))
}

/// What a file of settings in a tree says, as git reads it: `key`, line feed, value and zero each. A file that git cannot
/// read says nothing.
pub(super) async fn config_in(bench: &Bench<'_>, blob: git2::Oid, deadline: Instant) -> Result<Vec<u8>, Fault> {
    let arguments = ["config", &format!("--blob={blob}"), "--no-includes", "--list", "-z"];
    Ok(bench.print(&arguments, deadline).await?.unwrap_or_default())
}

/// What somebody wrote into the mirror's own attributes.
pub(super) fn own_attributes(mirror: &Mirror) -> Result<Vec<u8>, Fault> {
    let path = mirror.directory.join("info/attributes");
    match fs::read(&path) {
        Ok(text) => Ok(text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(disk_fault("reading", &path, &error)),
    }
}

/// A path below a folder.
fn within<'path>(path: &'path [u8], folder: &[u8]) -> &'path [u8] {
    if folder.is_empty() { path } else { path.get(folder.len() + 1..).unwrap_or_default() }
}

fn several(paths: &[&[u8]]) -> String {
    let shown: Vec<String> = paths.iter().take(MOST_SHOWN).map(|path| shown(path)).collect();
    let more = if paths.len() > MOST_SHOWN { format!(", … ({} in all)", paths.len()) } else { String::new() };
    format!("{}{more}", shown.join(", "))
}

/// A folder of our own that is removed when it is no longer used.
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    pub(super) fn beside(place: &Path) -> Result<Self, Fault> {
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        let mut name = place.as_os_str().to_owned();
        name.push(format!(".gathered-{}-{}", std::process::id(), COUNTER.fetch_add(1, Ordering::Relaxed)));
        let path = std::path::absolute(PathBuf::from(name));
        let path = path.map_err(|error| disk_fault("creating a folder beside", place, &error))?;
        fs::create_dir_all(&path).map_err(|error| disk_fault("creating", &path, &error))?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // It is named after its process, and in nobody's way.
        let _ = fs::remove_dir_all(&self.0);
    }
}
