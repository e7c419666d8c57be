//! Listens on the socket, and has each command carried out by a process of its own: this program, with the socket as its standard
//! input, from which the kernel tells it who asks. A command that hangs or breaks takes nothing else with it.

use std::{
    collections::BTreeMap,
    fs, io,
    os::{
        fd::AsFd as _,
        unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _},
    },
    path::{Path, PathBuf},
    process::Stdio,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _},
    net::{UnixListener, UnixStream, unix::OwnedReadHalf, unix::OwnedWriteHalf},
    process::{Child, Command},
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{Asked, MOST_SAID, Said};

/// How many commands go on at once, of all users. Each is a process.
const MOST: usize = 64;
/// How many of one user.
const MOST_OF_ONE: usize = 8;
/// How many are connected at once, those included who are only told that too many are. Others wait until they are accepted.
const MOST_CONNECTED: usize = 128;
/// How long those who are only told so may take.
const TOLD_WITHIN: Duration = Duration::from_secs(1);
/// How long it may take until the whole of what is asked is there.
const ASKED_WITHIN: Duration = Duration::from_secs(10);
/// How long whoever asked may leave what is said unread.
const HEARD_WITHIN: Duration = Duration::from_secs(60);
/// How long a command may take: `logs -f` follows a run.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);
/// How long nobody is accepted after that failed: no file was free.
const PAUSE: Duration = Duration::from_millis(100);

/// What everybody may do who can enter the socket's folder: connect. Who is listened to is another question.
const EVERYBODY: u32 = 0o666;
/// What everybody may do in a folder that is made for the socket: enter it.
const ENTER: u32 = 0o755;
/// What others may not do in that folder: put another socket there.
const OTHERS_WRITE: u32 = 0o022;
const STICKY: u32 = 0o1000;

/// A socket that is listened on.
pub(in crate::cli) struct Listening {
    listener: UnixListener,
    path: PathBuf,
}

impl Listening {
    /// Listens at a path. What a server left there that was killed is replaced.
    ///
    /// # Errors
    /// When others could put their own socket there, another server listens, or something else is in the way.
    pub(in crate::cli) fn at(path: &Path) -> anyhow::Result<Self> {
        let folder = path.parent().unwrap_or(Path::new("/"));
        if !folder.exists() {
            fs::create_dir(folder)
                .and_then(|()| fs::set_permissions(folder, fs::Permissions::from_mode(ENTER)))
                .with_context(|| format!("cannot make {} for the socket", folder.display()))?;
        }
        let mode = fs::metadata(folder).with_context(|| format!("cannot look at {}", folder.display()))?.mode();
        if mode & OTHERS_WRITE != 0 && mode & STICKY == 0 {
            bail!(
                "others can write to {}, and could put a socket of theirs in the place of Tidegate's: `chmod go-w` it",
                folder.display()
            );
        }
        match fs::symlink_metadata(path) {
            Ok(there) if !there.file_type().is_socket() => bail!("{} is there, and is no socket", path.display()),
            Ok(_) if std::os::unix::net::UnixStream::connect(path).is_ok() => {
                bail!("another server listens on {}: each has a `socket` of its own", path.display())
            }
            Ok(_) => fs::remove_file(path).with_context(|| format!("cannot replace {}", path.display()))?,
            Err(_) => {}
        }
        let listener =
            UnixListener::bind(path).with_context(|| format!("cannot listen on the socket {}", path.display()))?;
        fs::set_permissions(path, fs::Permissions::from_mode(EVERYBODY))
            .with_context(|| format!("cannot open {} to others", path.display()))?;
        Ok(Self { listener, path: path.to_owned() })
    }

    /// Answers until it is told to stop. `config` is the settings file, from the root.
    pub(in crate::cli) async fn answer(self, config: PathBuf, stop: CancellationToken) {
        tracing::info!(socket = %self.path.display(), "commands are taken");
        let (config, asking) = (Arc::new(config), Arc::new(Asking::default()));
        let mut answers = JoinSet::new();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                Some(_) = answers.join_next() => {}
                accepted = self.listener.accept(), if answers.len() < MOST_CONNECTED => match accepted {
                    Ok((stream, _)) => drop(answers.spawn(answer(stream, Arc::clone(&config), Arc::clone(&asking)))),
                    Err(error) => {
                        tracing::warn!(%error, "nobody can be accepted on the socket");
                        sleep(PAUSE).await;
                    }
                },
            }
        }
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        // The next one replaces it otherwise.
        fs::remove_file(&self.path).ok();
    }
}

/// How many commands of each user go on.
#[derive(Debug, Default)]
struct Asking(Mutex<BTreeMap<u32, usize>>);

impl Asking {
    fn take(&self, user: u32) -> Option<Place<'_>> {
        let mut counts = self.lock();
        let (all, own) = (counts.values().sum::<usize>(), counts.get(&user).copied().unwrap_or_default());
        if all >= MOST || own >= MOST_OF_ONE {
            return None;
        }
        counts.insert(user, own + 1);
        Some(Place { of: self, user })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u32, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Place<'asking> {
    of: &'asking Asking,
    user: u32,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut counts = self.of.lock();
        if let Some(count) = counts.get_mut(&self.user) {
            *count -= 1;
        }
        counts.retain(|_, count| *count > 0);
    }
}

async fn answer(mut stream: UnixStream, config: Arc<PathBuf>, asking: Arc<Asking>) {
    let Ok(user) = stream.peer_cred().map(|peer| peer.uid()) else { return };
    let Some(_place) = asking.take(user) else {
        // Whoever went away is told nothing.
        timeout(TOLD_WITHIN, refuse(&mut stream)).await.ok();
        return;
    };
    if let Err(error) = carry_out(stream, &config).await {
        tracing::debug!(user, error = format!("{error:#}"), "a command over the socket was not answered");
    }
}

/// Says that too many commands go on, when what is asked has come: what is left unread would take the answer with it.
async fn refuse(stream: &mut UnixStream) -> io::Result<()> {
    Asked::read(stream).await?;
    let why = format!("tidegate: too many commands go on ({MOST_OF_ONE} of one user, {MOST} of all): try again\n");
    Said::Error(why.into_bytes()).write(stream).await?;
    Said::Ended(1).write(stream).await
}

async fn carry_out(mut stream: UnixStream, config: &Path) -> anyhow::Result<()> {
    let asked = timeout(ASKED_WITHIN, Asked::read(&mut stream)).await.context("nothing whole was asked")??;
    let mut answering = Answering::begin(&stream, config, &asked)?;
    let (mut from, mut to) = stream.into_split();
    tokio::select! {
        relayed = timeout(LONGEST, answering.relay(&mut to)) => relayed.context("it took too long")?,
        () = gone(&mut from) => bail!("whoever asked went away"),
    }
}

/// Comes back when whoever asked has gone.
async fn gone(from: &mut OwnedReadHalf) {
    let mut more = [0; 64];
    while from.read(&mut more).await.is_ok_and(|read| read > 0) {}
}

/// A process that carries out a command; it ends with this, and what it has begun with it.
struct Answering(Child);

impl Answering {
    fn begin(stream: &UnixStream, config: &Path, asked: &Asked) -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("cannot find this program's own file")?;
        let mut command = Command::new(program);
        command.arg("--config").arg(config).arg("answer");
        command.args(asked.colours.then_some("--colours"));
        command.args(asked.columns.map(|columns| format!("--columns={columns}")));
        command.args(asked.in_name_of.as_ref().map(|name| format!("--in-name-of={name}")));
        command.arg("--").args(&asked.arguments);
        command.env_clear();
        let kept = ["PATH", "HOME", "SSH_AUTH_SOCK"];
        command.envs(kept.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
        command.stdin(stream.as_fd().try_clone_to_owned()?).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.process_group(0).kill_on_drop(true);
        Ok(Self(command.spawn().context("cannot start what answers")?))
    }

    /// Says what it prints while it prints it, and then how it ended.
    async fn relay(&mut self, to: &mut OwnedWriteHalf) -> anyhow::Result<()> {
        let (mut output, mut error) = (self.0.stdout.take(), self.0.stderr.take());
        while output.is_some() || error.is_some() {
            let said = tokio::select! {
                read = read(&mut output), if output.is_some() => read?.map(Said::Output),
                read = read(&mut error), if error.is_some() => read?.map(Said::Error),
            };
            if let Some(said) = said {
                timeout(HEARD_WITHIN, said.write(to)).await.context("nobody hears it")??;
            }
        }
        let code = self.0.wait().await?.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1);
        timeout(HEARD_WITHIN, Said::Ended(code).write(to)).await.context("nobody hears it")??;
        Ok(())
    }
}

/// What came of a pipe; nothing at its end, and then the pipe is gone.
async fn read(pipe: &mut Option<impl AsyncRead + Unpin>) -> io::Result<Option<Vec<u8>>> {
    let Some(from) = pipe else { return Ok(None) };
    let mut bytes = vec![0; MOST_SAID];
    let read = from.read(&mut bytes).await?;
    bytes.truncate(read);
    if read == 0 {
        *pipe = None;
        return Ok(None);
    }
    Ok(Some(bytes))
}

impl Drop for Answering {
    fn drop(&mut self) {
        // One that has been waited for has no number any more.
        if let Some(pid) = self.0.id().and_then(|pid| Pid::from_raw(pid.cast_signed())) {
            kill_process_group(pid, Signal::KILL).ok();
        }
    }
}
