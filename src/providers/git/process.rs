//! One `git` process in a process group of its own, which dies with it: at its deadline, when nothing is heard of it for too
//! long, and when the caller no longer waits. It is silent when it prints nothing, does not work, and brings nothing into
//! the mirror: while bytes arrive, or are worked on, it may take as long as it likes.

use super::calls::{CallKind, Calling, Calls};
use super::environment;
use super::fault::start_fault;
use super::lender::{Lender, Lent};
use super::progress::Said;
use super::remote::{Credentials, Remote, redact};
use crate::providers::{Fault, process_table};
use rustix::process::{Pid, Signal, kill_process_group};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio::sync::OnceCell;
use tokio::time::{Instant, sleep, sleep_until, timeout};

/// More than the answer to any question that is asked here; a remote that sends more is not believed.
const MOST_OUTPUT_BYTES: u64 = 64 << 20;
/// How long the pipes of a process that has ended are read on: a child of it may hold them for ever (ssh's ControlPersist).
const PIPES_GRACE: Duration = Duration::from_secs(2);
/// How much processor time is no work: what waiting costs. In clock ticks, a hundredth of a second each.
const IDLE_TICKS: u64 = 10;

/// How to run `git`.
pub(super) struct Git {
    pub(super) program: PathBuf,
    pub(super) environment: Vec<(String, String)>,
    /// How long nothing may be heard of a process before it is ended.
    pub(super) silence: Duration,
    /// The processes that run.
    pub(super) calls: Arc<Calls>,
    /// The command for ssh, where the user has set none.
    pub(super) ssh: OnceCell<Option<String>>,
    /// Who lends credentials.
    pub(super) lender: Option<Arc<dyn Lender>>,
}

/// What is run, in the words of a person, and until when.
#[derive(Clone, Copy)]
pub(super) struct Doing<'doing> {
    pub(super) what: &'doing str,
    pub(super) deadline: Instant,
}

/// How a process ended that was started and that ended by itself.
pub(super) struct Ended {
    pub(super) success: bool,
    pub(super) stdout: String,
    /// What it complained of, without credentials.
    pub(super) stderr: String,
}

/// Why there is no end to speak of.
pub(super) enum Unfinished {
    /// It could not be started.
    NotStarted(Fault),
    /// It was killed at the deadline; what it was doing may or may not have been done.
    TimedOut,
    /// It was killed after nothing had been heard of it for so long; what it was doing may or may not have been done.
    Silent(Duration),
}

impl Git {
    /// Runs `git` in `directory` until it ends, is silent for too long, or its deadline passes.
    pub(super) async fn run(
        &self,
        directory: &Path,
        remote: &Remote,
        arguments: &[String],
        doing: Doing<'_>,
    ) -> Result<Ended, Unfinished> {
        let remote = &self.with_credentials(remote).await.map_err(Unfinished::NotStarted)?;
        let mut command = Command::new(&self.program);
        command.args(arguments).current_dir(directory).env_clear();
        command.envs(environment::variables(remote, &self.environment, self.silence));
        if let Some(ssh) = self.ssh_command(directory, remote).await {
            command.env("GIT_SSH_COMMAND", ssh);
        }
        command.env("GIT_DIR", directory);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.process_group(0);
        let child =
            command.spawn().map_err(|error| Unfinished::NotStarted(start_fault(&self.program, directory, &error)))?;
        let mut group = Group { child };
        let name = directory.file_name().unwrap_or_default().to_string_lossy();
        let call = self.calls.begin(&name, CallKind::Process, doing.what, self.silence);
        let signs = Signs { group: group.pid(), directory, heard: AtomicU64::new(0) };
        let (mut stdout, mut stderr) = (Vec::new(), Said::default());
        let status = tokio::select! {
            status = group.run(&mut stdout, &mut stderr, (&signs, &call)) => status,
            () = sleep_until(doing.deadline) => return Err(Unfinished::TimedOut),
            () = signs.silent_for(self.silence, &call) => return Err(Unfinished::Silent(self.silence)),
        };
        let success = status.is_ok_and(|status| status.success());
        let stdout = String::from_utf8_lossy(&stdout).into_owned();
        Ok(Ended { success, stdout, stderr: redact(&stderr.complaint()) })
    }

    /// The remote with the credentials that are lent for it, where it has none and needs them.
    pub(super) async fn with_credentials(&self, remote: &Remote) -> Result<Remote, Fault> {
        let is_http = ["http://", "https://"].iter().any(|scheme| remote.url.starts_with(scheme));
        let lent = match &self.lender {
            Some(lender) if is_http && remote.credentials.is_none() => lender.lend(&remote.url).await?,
            _ => None,
        };
        let credentials =
            lent.map(|Lent { username, password }| Credentials { username, password: password.expose().to_owned() });
        Ok(Remote { credentials: credentials.or_else(|| remote.credentials.clone()), ..remote.clone() })
    }

    /// The command for ssh that gives up where nobody answers; none where the user has set one, or there is no need.
    async fn ssh_command(&self, directory: &Path, remote: &Remote) -> Option<&str> {
        if !environment::is_ssh(remote) {
            return None;
        }
        let command = self.ssh.get_or_init(async || {
            let mut asked = Command::new(&self.program);
            asked.args(["config", "--get", "core.sshCommand"]).current_dir(directory).env_clear();
            asked.envs(environment::variables(remote, &self.environment, self.silence)).stdin(Stdio::null());
            let said = timeout(self.silence, asked.kill_on_drop(true).output()).await;
            let is_set = said.is_ok_and(|said| said.is_ok_and(|said| said.status.success()));
            environment::ssh_command(&self.environment, self.silence).filter(|_| !is_set)
        });
        command.await.as_deref()
    }
}

/// What shows that a process is alive.
struct Signs<'signs> {
    group: i32,
    directory: &'signs Path,
    /// How many bytes it has printed.
    heard: AtomicU64,
}

impl Signs<'_> {
    /// Ends when nothing has been heard of it for so long.
    async fn silent_for(&self, silence: Duration, call: &Calling) {
        let every = (silence / 20).clamp(Duration::from_millis(20), Duration::from_secs(1));
        let (mut last, mut since) = (self.now(), Instant::now());
        while since.elapsed() < silence {
            sleep(every).await;
            let (heard, worked, grown) = self.now();
            if (heard, grown) != (last.0, last.2) || worked > last.1 + IDLE_TICKS {
                (last, since) = ((heard, worked, grown), Instant::now());
                call.heard();
            }
        }
    }

    /// Bytes printed, processor time used, bytes of packs in the mirror.
    fn now(&self) -> (u64, u64, u64) {
        let packs = std::fs::read_dir(self.directory.join("objects/pack"));
        let sizes = packs.into_iter().flatten().flatten().filter_map(|file| Some(file.metadata().ok()?.len()));
        (self.heard.load(Ordering::Relaxed), process_table::work_of(self.group), sizes.sum())
    }
}

async fn read(stream: impl AsyncRead + Unpin, signs: &Signs<'_>, mut take: impl FnMut(&[u8])) {
    let mut stream = stream.take(MOST_OUTPUT_BYTES);
    let mut buffer = vec![0; 16 * 1024];
    // What was read before an error is all there is; the exit status tells the rest.
    while let Ok(length @ 1..) = stream.read(&mut buffer).await {
        signs.heard.fetch_add(length as u64, Ordering::Relaxed);
        take(&buffer[..length]);
    }
}

/// Kills the whole group of a child that has not been waited for to its end.
struct Group {
    child: Child,
}

impl Group {
    fn pid(&self) -> i32 {
        self.child.id().and_then(|id| i32::try_from(id).ok()).unwrap_or_default()
    }

    /// Reads what it prints until it ends.
    async fn run(
        &mut self,
        stdout: &mut Vec<u8>,
        stderr: &mut Said,
        (signs, call): (&Signs<'_>, &Calling),
    ) -> std::io::Result<ExitStatus> {
        let (out, err) = (self.child.stdout.take().expect("piped"), self.child.stderr.take().expect("piped"));
        let mut reading = pin!(async {
            let said = |bytes: &[u8]| stderr.take(bytes).into_iter().for_each(|progress| call.is_at(progress));
            tokio::join!(read(out, signs, |bytes| stdout.extend_from_slice(bytes)), read(err, signs, said));
        });
        tokio::select! {
            () = &mut reading => self.child.wait().await,
            status = self.child.wait() => {
                // What it printed is whole, or held open by somebody else.
                drop(timeout(PIPES_GRACE, &mut reading).await);
                status
            }
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let running = self.child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        if let Some(group) = running {
            // An error means that there is nobody left to kill.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}
