//! The copies that a simulation works on: below one folder, which is removed with it. What they are copies of is only read.

use std::{
    collections::BTreeMap,
    fs::File,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use rustix::fs::{FlockOperation, flock};

use super::builder::ForeseenBuilder;
use crate::{
    engine::{Compiled, System},
    providers::{
        Fault,
        caches::Caches,
        commit_status::NoCommitStatuses,
        git::{Borrowed, GitOptions, Mirrors, borrow},
        objects::{DirectoryObjects, Objects, Overlay},
        quarantine::Quarantine,
        sandbox::Sandbox,
    },
    rules::{RepositoryName, Rules},
    steps::{NoReleases, Providers, Secrets, Tools, foresight::Placeholders},
};

/// A folder of copies.
pub(super) struct Scratch {
    folder: Folder,
    pub(super) tools: Tools,
    /// Where a copy is → what it is a copy of, so that nobody is told of copies.
    originals: BTreeMap<String, String>,
}

/// What a simulation copies from.
pub struct Originals {
    /// The folder of the mirrors.
    pub mirrors: PathBuf,
    /// How git is used.
    pub git: GitOptions,
    /// Where artifacts, templates and reports are.
    pub objects: Arc<dyn Objects>,
    /// Who does what, by stage.
    pub providers: Providers,
    /// The box that commands run in.
    pub sandbox: Sandbox,
    /// What commands can be given.
    pub secrets: Secrets,
    /// A commit that is pushed only here: its repository, and the folder of objects that holds it.
    pub brought: Option<(RepositoryName, PathBuf)>,
}

impl Scratch {
    /// Copies the present heads of every repository, and lets the rules of the state lead to the copies.
    pub(super) fn make(state: &mut System, originals: &Originals, placeholders: Placeholders) -> Result<Self, Fault> {
        let folder = Folder::make()?;
        let root = &folder.0;
        let Some(mut rules) = state.rules().map(|rules| Rules::clone(rules)) else {
            return Err(Fault::fail("no rules are in force yet", "`tidegate serve` reads them and begins"));
        };
        let branches: BTreeMap<RepositoryName, BTreeMap<String, String>> =
            rules.repositories.keys().map(|name| (name.clone(), heads(state, &rules, name))).collect();
        let mut known = BTreeMap::new();
        for (name, repository) in &mut rules.repositories {
            let key = originals.git.key;
            let mirror = Mirrors::directory_in(&originals.mirrors, &repository.url, key)?.join("objects");
            let brought = originals.brought.iter().filter(|(of, _)| of == name).map(|(_, objects)| objects.clone());
            let lenders: Vec<PathBuf> =
                Some(mirror).filter(|mirror| mirror.is_dir()).into_iter().chain(brought).collect();
            let directory = root.join("repositories").join(format!("{name}.git"));
            let url = directory.display().to_string();
            let own_mirror = Mirrors::directory_in(&root.join("mirrors"), &url, key)?;
            for directory in [directory, own_mirror] {
                let branches = branches.get(name).cloned().unwrap_or_default();
                borrow(&Borrowed { directory, lenders: lenders.clone(), branches })?;
            }
            known.insert(url.clone(), std::mem::replace(&mut repository.url, url));
        }
        if let Some(in_force) = &mut state.rules {
            in_force.rules = Arc::new(Compiled::new(rules));
        }
        let above = Arc::new(DirectoryObjects::open(&root.join("objects"))?);
        let objects: Arc<dyn Objects> = Arc::new(Overlay::new(Arc::clone(&originals.objects), above));
        let images = Arc::new(ForeseenBuilder::new(placeholders));
        let tools = Tools {
            secrets: originals.secrets.clone(),
            // What a simulation fetches is not for others, nor theirs for it.
            caches: Caches { folder: root.join("caches"), most_mib: originals.sandbox.limits.cache_mib },
            mirrors: Mirrors::open(root.join("mirrors"), originals.git.clone())?.without_fetching_contents(),
            providers: originals.providers.clone().foreseen(root, Arc::clone(&objects), images),
            objects,
            // Nobody is told of what is only supposed.
            channels: BTreeMap::new(),
            statuses: Arc::new(NoCommitStatuses),
            forge: None,
            releases: Arc::new(NoReleases),
            places: root.join("places.json"),
            quarantine: Quarantine::open(root.join("begun")).map_err(|error| cannot(root, &error))?,
            sandbox: originals.sandbox.clone(),
            scratch: root.join("steps"),
            logs: root.join("logs"),
        };
        Ok(Self { folder, tools, originals: known })
    }

    /// A text with the names of the copies replaced by those of the originals.
    pub(super) fn told(&self, text: &str) -> String {
        let told = self.originals.iter().fold(text.to_owned(), |text, (copy, original)| text.replace(copy, original));
        told.replace(&self.folder.0.display().to_string(), "(a copy)")
    }
}

/// The heads that are known of a repository, by branch.
fn heads(state: &System, rules: &Rules, name: &RepositoryName) -> BTreeMap<String, String> {
    let known = state.repositories.get(name).into_iter().flat_map(|watched| &watched.heads);
    known.map(|(stage, head)| (rules.branch(stage).to_owned(), head.commit.to_string())).collect()
}

/// How the folders of copies are named.
const PREFIX: &str = "tidegate-simulate-";
/// The file that a living process holds locked in its folder.
const LOCK: &str = "lock";

/// A folder that is removed when it is no longer used: by its process, or, when that was killed, by the next that makes one.
struct Folder(PathBuf, File);

impl Folder {
    fn make() -> Result<Self, Fault> {
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        remove_left_behind(&std::env::temp_dir());
        let unique = format!("{}-{}", std::process::id(), COUNTER.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(format!("{PREFIX}{unique}"));
        let made = || -> std::io::Result<Self> {
            if path.exists() {
                // Of a process that had our number, and was killed.
                std::fs::remove_dir_all(&path)?;
            }
            // What is copied is not for everybody on this machine.
            std::fs::DirBuilder::new().mode(0o700).create(&path)?;
            // Locked before it has its name, so that nobody finds it free.
            let unnamed = path.join("lock.new");
            let lock = File::create(&unnamed)?;
            flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
            std::fs::rename(unnamed, path.join(LOCK))?;
            Ok(Self(path.canonicalize()?, lock))
        };
        made().map_err(|error| cannot(&path, &error))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let Self(folder, _held) = self;
        if let Err(error) = std::fs::remove_dir_all(folder) {
            tracing::warn!(folder = %self.0.display(), %error, "the copies were left behind");
        }
    }
}

/// Removes the folders of processes that were killed: nobody holds their locks. Others' folders are not ours to open.
fn remove_left_behind(parent: &Path) {
    let entries = std::fs::read_dir(parent).into_iter().flatten().flatten();
    for entry in entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(PREFIX)) {
        let Ok(lock) = File::open(entry.path().join(LOCK)) else { continue };
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok() {
            match std::fs::remove_dir_all(entry.path()) {
                Ok(()) => tracing::debug!(folder = %entry.path().display(), "removed copies that were left behind"),
                Err(error) => tracing::warn!(folder = %entry.path().display(), %error, "copies were left behind"),
            }
        }
    }
}

fn cannot(path: &Path, error: &std::io::Error) -> Fault {
    Fault::fail(format!("making {}: {error}", path.display()), "let TMPDIR name a folder that can be written to")
}
