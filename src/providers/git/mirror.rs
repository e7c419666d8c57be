//! Bare mirrors, one per repository, kept warm below one directory. A mirror is a cache: one that is found broken is replaced by
//! an empty one. Who changes its refs holds the mirror's lock for that moment, and for no call to a remote: a mutex between
//! the tasks of this process, and a file lock between processes, since a command line may run beside a server. So a `*.lock`
//! file below the lock was left by a process that was killed, and is removed; but for those of fetches, which have refs of
//! their own. Reading, making objects and pushing need no lock.

use super::aside::{self, Fetches};
use super::calls::{self, Call, CallKind, Calling, Calls};
use super::fault::{disk_fault, object_fault};
use super::history::History;
use super::identity::Identity;
use super::lender::Lender;
use super::process::Git;
use super::proof::Proofs;
use super::reads::Reads;
use super::remote::{Remote, short_name};
use super::signers::Signers;
use super::soundness;
use crate::providers::Fault;
use git2::{ErrorCode, Oid, Repository, RepositoryInitOptions};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;
use tokio::sync::OnceCell;
use tokio::time::{Instant, sleep, timeout, timeout_at};

/// How often a file lock that another process holds is tried again.
const LOCK_POLL: Duration = Duration::from_millis(20);
/// How long the lock is waited for after a push that arrived.
const NOTE_PATIENCE: Duration = Duration::from_secs(10);
/// How long nothing may be heard of a call to a remote, unless the settings say otherwise.
pub const SILENCE: Duration = Duration::from_secs(30);
/// How long what is read may be older than what is known, unless the settings say otherwise.
pub const LAG: Duration = Duration::from_secs(180);

/// How git is used, for all mirrors.
#[derive(Debug, Clone)]
pub struct GitOptions {
    /// Who makes our commits.
    pub identity: Identity,
    /// What proves them to be ours.
    pub proofs: Proofs,
    /// The domains of the forges that commit in the place of people, such as `github.com`.
    pub forges: BTreeSet<String>,
    /// Variables for `git` beside `PATH`, `HOME` and `SSH_AUTH_SOCK`, which it is given when they are set: say
    /// `GIT_SSH_COMMAND`, `https_proxy`, or `GIT_CONFIG_COUNT` with its keys and values.
    pub environment: Vec<(String, String)>,
    /// The `git` program; a plain name is looked for in `PATH`.
    pub program: PathBuf,
    /// How long reading or merging in a mirror may take before it counts as hanging, which ends the process.
    pub patience: Duration,
    /// How long nothing may be heard of a call to a remote before it is ended and tried again.
    pub silence: Duration,
    /// How long what is read of a remote may be older than what is known to be there before it is believed.
    pub lag: Duration,
    /// What a repository is known by, however its URL is written: what is the same here has one mirror.
    pub key: KeyOf,
    /// Whose signatures of commits count.
    pub signers: Signers,
    /// Who lends credentials for remotes that have none of their own.
    pub lender: Option<Arc<dyn Lender>>,
}

/// Gives the key of a URL without credentials.
pub type KeyOf = fn(&str) -> String;

impl GitOptions {
    /// `git` from `PATH`, nothing added to its environment, no forges, and every URL its own key.
    pub fn new(identity: Identity, proofs: Proofs) -> Self {
        let (forges, program) = (BTreeSet::new(), PathBuf::from("git"));
        let (environment, patience) = (Vec::new(), soundness::PATIENCE);
        let (silence, lag, key, signers) = (SILENCE, LAG, str::to_owned, Signers::default());
        let lender = None;
        Self { identity, proofs, forges, environment, program, patience, silence, lag, key, signers, lender }
    }
}

/// The mirrors of all repositories, below one directory.
pub struct Mirrors {
    root: PathBuf,
    identity: Arc<Identity>,
    proofs: Proofs,
    forges: Arc<BTreeSet<String>>,
    git: Arc<Git>,
    patience: Duration,
    lag: Duration,
    key: KeyOf,
    signers: Arc<Signers>,
    mirrors: Mutex<BTreeMap<String, Arc<Mirror>>>,
    /// Whether LFS objects and submodules may be fetched.
    pub(super) fetches_contents: bool,
}

/// One repository's warm bare mirror, and all that is done with that repository.
pub struct Mirror {
    pub(super) remote: Remote,
    pub(super) directory: PathBuf,
    pub(super) git: Arc<Git>,
    pub(super) identity: Arc<Identity>,
    pub(super) forges: Arc<BTreeSet<String>>,
    pub(super) history: Arc<History>,
    pub(super) signers: Arc<Signers>,
    pub(super) patience: Duration,
    lag: Duration,
    writer: tokio::sync::Mutex<()>,
    /// Held by who fetches into the empty mirror.
    pub(super) first: tokio::sync::Mutex<()>,
    /// Branch → held by who publishes there: two would only race.
    publishing: Mutex<BTreeMap<String, Arc<tokio::sync::Mutex<()>>>>,
    pub(super) fetches: Arc<Fetches>,
    pub(super) reads: Arc<Reads>,
    /// Whether it was said that the repository has moved.
    pub(super) moved: OnceLock<()>,
}

/// Proof that the mirror's lock is held.
pub(super) struct Writing<'mirror> {
    _task: tokio::sync::MutexGuard<'mirror, ()>,
    _process: File,
}

impl Mirrors {
    /// The mirrors below `root`, which is created when it is missing.
    pub fn open(root: impl Into<PathBuf>, options: GitOptions) -> Result<Self, Fault> {
        let root = root.into();
        fs::create_dir_all(&root).map_err(|error| disk_fault("creating", &root, &error))?;
        let root = root.canonicalize().map_err(|error| disk_fault("opening", &root, &error))?;
        Ok(Self::as_they_are(root, options))
    }

    /// The mirrors below `root`, which need not be there: nothing is made until one is opened.
    #[must_use]
    pub fn as_they_are(root: PathBuf, options: GitOptions) -> Self {
        let GitOptions {
            identity,
            proofs,
            forges,
            mut environment,
            program,
            patience,
            silence,
            lag,
            key,
            signers,
            lender,
        } = options;
        // git itself signs nothing here: it needs the keys to verify.
        environment.extend(signers.openpgp.iter().map(|keys| ("GNUPGHOME".to_owned(), keys.display().to_string())));
        let calls = Arc::new(Calls::default());
        let git = Arc::new(Git { program, environment, silence, calls, ssh: OnceCell::new(), lender });
        let (identity, forges, signers) = (Arc::new(identity), Arc::new(forges), Arc::new(signers));
        let (mirrors, fetches_contents) = (Mutex::default(), true);
        Self { root, identity, proofs, forges, git, patience, lag, key, signers, mirrors, fetches_contents }
    }

    /// The same, where LFS objects and submodules are never fetched: what needs them fails.
    #[must_use]
    pub fn without_fetching_contents(mut self) -> Self {
        self.fetches_contents = false;
        self
    }

    /// The mirror of the repository at `url`: a path, or a `file`, `http(s)`, `ssh` or scp-like URL. It is created
    /// empty when it is missing and replaced by an empty one when it is broken; nothing is asked of the remote yet.
    pub fn mirror(&self, url: &str) -> Result<Arc<Mirror>, Fault> {
        let mut mirrors = lock(&self.mirrors);
        if let Some(mirror) = mirrors.get(url) {
            mirror.ensure_there()?;
            return Ok(Arc::clone(mirror));
        }
        let remote = remote_at(url)?;
        let mirror = Arc::new(self.at(remote));
        mirror.ensure()?;
        mirrors.insert(url.to_owned(), Arc::clone(&mirror));
        Ok(mirror)
    }

    /// Tells in a file below the root which calls to remotes go on; where none takes long there is no file.
    pub fn tell_calls(&self) -> Result<(), Fault> {
        self.git.calls.tell(&self.root)
    }

    /// The calls to the remote of a repository that were told below `root` and go on.
    #[must_use]
    pub fn calls_told(root: &Path) -> Vec<Call> {
        calls::told(root)
    }

    /// A repository that is asked and not mirrored: nothing is made, here or there. Of what a mirror can do, only
    /// [`Mirror::heads`] works.
    pub fn asked_only(&self, url: &str) -> Result<Mirror, Fault> {
        let mirror = self.at(remote_at(url)?);
        // Where `git` is started; a remote is asked from anywhere.
        let directory = if mirror.directory.is_dir() { mirror.directory } else { PathBuf::from("/") };
        Ok(Mirror { directory, ..mirror })
    }

    fn at(&self, remote: Remote) -> Mirror {
        let name = directory_name(&remote, self.key);
        let reads = Reads::new(&remote.url, &name, self.lag, Arc::clone(&self.git.calls));
        Mirror {
            directory: self.root.join(name),
            remote,
            git: Arc::clone(&self.git),
            identity: Arc::clone(&self.identity),
            forges: Arc::clone(&self.forges),
            history: Arc::new(History::new(self.proofs.clone())),
            signers: Arc::clone(&self.signers),
            patience: self.patience,
            lag: self.lag,
            writer: tokio::sync::Mutex::default(),
            first: tokio::sync::Mutex::default(),
            publishing: Mutex::default(),
            fetches: Arc::default(),
            reads: Arc::new(reads),
            moved: OnceLock::new(),
        }
    }

    /// Where the mirror of a repository is below `root`, whether it has been made or not; nothing is touched.
    pub fn directory_in(root: &Path, url: &str, key: KeyOf) -> Result<PathBuf, Fault> {
        Ok(root.join(directory_name(&remote_at(url)?, key)))
    }

    /// Where the mirror of a repository is.
    pub(super) fn directory(&self, url: &str) -> Result<PathBuf, Fault> {
        Self::directory_in(&self.root, url, self.key)
    }

    /// The folder of all mirrors.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Takes a mirror away. Who held it makes it anew.
    pub(super) async fn remove(&self, directory: &Path) -> Result<(), Fault> {
        lock(&self.mirrors).retain(|_, mirror| mirror.directory != directory);
        let aside = directory.with_extension(format!("old-{}", std::process::id()));
        fs::rename(directory, &aside).map_err(|error| disk_fault("removing", directory, &error))?;
        let removed = tokio::task::spawn_blocking({
            let aside = aside.clone();
            move || fs::remove_dir_all(aside)
        });
        let removed = removed.await.unwrap_or_else(|error| Err(io::Error::other(error)));
        removed.map_err(|error| disk_fault("removing", &aside, &error))?;
        let _ = fs::remove_file(directory.with_extension("lock"));
        Ok(())
    }
}

/// The repository at `url`, with an absolute path when it is on this machine.
fn remote_at(url: &str) -> Result<Remote, Fault> {
    let mut remote = Remote::parse(url);
    if remote.url.is_empty() || remote.url.starts_with('-') || remote.url.contains(char::is_control) {
        return Err(Fault::fail(format!("'{}' is not a repository's URL", remote.url), "correct the URL"));
    }
    if let Some(path) = remote.directory.as_mut().filter(|path| path.is_relative()) {
        *path = std::path::absolute(&*path).map_err(|error| disk_fault("finding", path, &error))?;
        remote.url = path.to_string_lossy().into_owned();
    }
    Ok(remote)
}

/// The name of a mirror's directory: readable, and one for each repository.
fn directory_name(remote: &Remote, key: KeyOf) -> String {
    let key = key(&remote.url);
    let digest = Sha256::digest(key.as_bytes());
    let hash: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("{}-{hash}.git", short_name(&key))
}

impl Mirror {
    /// The repository's URL without credentials.
    pub fn url(&self) -> &str {
        &self.remote.url
    }

    /// The name of its folder.
    pub(super) fn name(&self) -> String {
        self.directory.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// Shows to who looks that something of this repository waits, until what is returned is dropped.
    pub fn waits(&self, for_what: &str) -> Calling {
        self.git.calls.begin(&self.name(), CallKind::Wait, for_what, Duration::ZERO)
    }

    /// Whether what is read of the remote may be older than what is known, when that has been so for a time.
    pub fn may_lag(&self, since: Duration) -> bool {
        self.remote.directory.is_none() && since < self.lag
    }

    /// What is held while something is published to a branch: others of this process wait, since they would race.
    pub(super) fn publishing(&self, branch: &str) -> Arc<tokio::sync::Mutex<()>> {
        Arc::clone(lock(&self.publishing).entry(branch.to_owned()).or_default())
    }

    /// Waits for the mirror's lock.
    pub(super) async fn writing(&self, deadline: Instant) -> Result<Writing<'_>, Fault> {
        let busy = || Fault::retry(format!("the mirror of {} is busy, and the deadline has passed", self.remote.url));
        let task = timeout_at(deadline, self.writer.lock()).await.map_err(|_| busy())?;
        let path = self.directory.with_extension("lock");
        let file = File::create(&path).map_err(|error| disk_fault("opening", &path, &error))?;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Writing { _task: task, _process: file }),
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => sleep(LOCK_POLL).await,
                Err(TryLockError::WouldBlock) => return Err(busy()),
                Err(TryLockError::Error(error)) => return Err(disk_fault("locking", &path, &error)),
            }
        }
    }

    /// Runs `work` on the mirror's objects, on a thread that may block.
    pub(super) async fn with_repository<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Repository) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        self.with_repository_for(self.patience, work).await
    }

    /// The same for work that takes long, because it writes out a whole tree.
    pub(super) async fn long_with_repository<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Repository) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        self.with_repository_for(self.patience * soundness::LONG, work).await
    }

    async fn with_repository_for<T: Send + 'static>(
        &self,
        patience: Duration,
        work: impl FnOnce(&Repository) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        let directory = self.directory.clone();
        let url = self.remote.url.clone();
        let done = tokio::task::spawn_blocking(move || {
            let repository = Repository::open_bare(&directory).map_err(|error| object_fault(&error))?;
            work(&repository)
        });
        let Ok(done) = timeout(patience, done).await else {
            soundness::give_up(&self.directory, &self.remote.url, patience)
        };
        let result = done.map_err(|error| Fault::retry(format!("work on the mirror broke off: {error}")))?;
        result.map_err(|fault| fault.while_trying(&url))
    }

    /// Changes refs of the mirror, alone. A lock file that a killed process left is removed, and `work` done again.
    pub(super) async fn change_refs(
        &self,
        _: &Writing<'_>,
        work: impl Fn(&Repository) -> Result<(), git2::Error> + Send + 'static,
    ) -> Result<(), Fault> {
        let directory = self.directory.clone();
        self.with_repository(move |repository| {
            let done = match work(repository) {
                Err(error) if error.code() == ErrorCode::Locked => {
                    remove_lock_files(&directory).map_err(|error| disk_fault("mending", &directory, &error))?;
                    work(repository)
                }
                done => done,
            };
            done.map_err(|error| object_fault(&error))
        })
        .await
    }

    /// The head of a branch in the mirror, when the remote was last seen there, too.
    pub(super) async fn believed_head(&self, branch: &str) -> Result<Option<Oid>, Fault> {
        let Some(seen) = self.reads.seen(branch) else { return Ok(None) };
        let name = format!("refs/heads/{branch}");
        let head = self.with_repository(move |repository| aside::head_at(repository, &name)).await?;
        Ok(head.filter(|head| *head == seen))
    }

    /// Notes that the remote's branch is at our commit.
    pub(super) async fn arrived(&self, branch: &str, commit: Oid) {
        let name = format!("refs/heads/{branch}");
        let moved = async {
            let writing = self.writing(Instant::now() + NOTE_PATIENCE).await?;
            self.change_refs(&writing, move |repository| repository.reference(&name, commit, true, "pushed").map(drop))
                .await
        };
        // The next fetch says it again, so that a failure here costs time, or a read that is older is not doubted.
        if let Err(fault) = moved.await {
            tracing::warn!(url = self.remote.url, branch, error = %fault, "where a push of ours arrived could not be noted");
        }
        self.reads.saw(branch, Some(commit));
    }

    /// Mends what git complained of in the mirror itself; says whether trying again is worth it. It is made anew where it cannot
    /// be opened, or where the complaint of broken objects `is_sure`: a pack may have been broken on its way.
    pub(super) fn mend(&self, _: &Writing<'_>, complaint: &str, is_sure: bool) -> Result<bool, Fault> {
        const BROKEN: [&str; 6] =
            ["corrupt", "bad object", "unable to read", "missing blob", "missing tree", "missing commit"];
        // A server's words are about its own objects, also where it is a folder of this machine; askpass asks for a password.
        let of_others = ["askpass", "upload-pack", "on the remote side"];
        let is_ours = |line: &&str| !line.starts_with("remote:") && !of_others.iter().any(|of| line.contains(of));
        let local: Vec<_> = complaint.lines().filter(is_ours).collect();
        let said = |phrase: &str| local.iter().any(|line| line.contains(phrase));
        if said(".lock': File exists") {
            remove_lock_files(&self.directory).map_err(|error| disk_fault("mending", &self.directory, &error))?;
            return Ok(true);
        }
        let is_broken = BROKEN.iter().any(|phrase| said(phrase));
        if (is_broken && is_sure) || !self.is_whole() {
            tracing::warn!(url = self.remote.url, complaint, "the mirror is broken and is made anew");
            self.replace()?;
            return Ok(true);
        }
        Ok(is_broken)
    }

    /// Creates the mirror when it is not there, and again when it cannot be opened or trusted.
    fn ensure(&self) -> Result<(), Fault> {
        if soundness::is_doubtful(&self.directory)? {
            tracing::warn!(url = self.remote.url, "an object of the mirror was cut short, and it is made anew");
        } else if self.is_whole() {
            return Ok(());
        }
        self.replace()
    }

    /// Makes the mirror anew when somebody took it away while it was in use.
    fn ensure_there(&self) -> Result<(), Fault> {
        if self.directory.join("HEAD").is_file() && self.directory.join("objects").is_dir() {
            return Ok(());
        }
        tracing::warn!(url = self.remote.url, "the mirror is gone or emptied, and is made anew");
        self.reads.clear();
        self.replace()
    }

    fn is_whole(&self) -> bool {
        soundness::mirror_opens(&self.directory)
    }

    /// Puts an empty mirror in the place of what may be there. It is made aside and renamed, so that one that was
    /// killed half-way is never seen.
    fn replace(&self) -> Result<(), Fault> {
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        let fault = |error: io::Error| disk_fault("creating a mirror in", &self.directory, &error);
        let unique = format!("{}-{}", std::process::id(), COUNTER.fetch_add(1, Ordering::Relaxed));
        let fresh = self.directory.with_extension(format!("new-{unique}"));
        let broken = self.directory.with_extension(format!("old-{unique}"));
        let mut options = RepositoryInitOptions::new();
        options.bare(true).no_reinit(true).external_template(false);
        Repository::init_opts(&fresh, &options).map_err(|error| object_fault(&error))?;
        if self.directory.exists() {
            fs::rename(&self.directory, &broken).map_err(fault)?;
        }
        match fs::rename(&fresh, &self.directory) {
            Ok(()) => {}
            // Another process made it at the same moment, as good as ours.
            Err(_) if self.is_whole() => fs::remove_dir_all(&fresh).map_err(fault)?,
            Err(error) => return Err(fault(error)),
        }
        if broken.exists() {
            fs::remove_dir_all(&broken).map_err(fault)?;
        }
        Ok(())
    }
}

/// Removes the lock files that killed processes left. Only under the mirror's lock, and not those of fetches, which need none.
fn remove_lock_files(directory: &Path) -> io::Result<()> {
    let (mut pending, fetches) = (vec![directory.to_owned()], directory.join(aside::ASIDE));
    while let Some(directory) = pending.pop() {
        for entry in fs::read_dir(&directory)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                if entry.file_name() != "objects" && entry.path() != fetches {
                    pending.push(entry.path());
                }
            } else if entry.path().extension().is_some_and(|extension| extension == "lock") {
                fs::remove_file(entry.path())?;
            }
        }
    }
    Ok(())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What these mutexes guard is whole after every statement.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
