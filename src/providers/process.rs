//! Runs one command of a repository or a rule to its end. Such commands are not trusted to behave: they may print
//! without end, never end, or leave children behind. So they get an environment built from nothing, a deadline, a
//! bounded capture of what they print, and a box that is ended with them. Without a box, what a command leaves running
//! in a session of its own (`setsid`) is beyond our reach.

use std::collections::{BTreeMap, VecDeque};
use std::io::ErrorKind;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::Child;

use crate::providers::caches::GivenCache;
use crate::providers::given::GivenSecret;
use crate::providers::process_table::{self, Stat};
use crate::providers::redaction::Redaction;
use crate::providers::sandbox::{self, Cage, Room, Sandbox};
use crate::providers::{Fault, files, search_path};

/// Between SIGTERM and SIGKILL when the deadline has passed: enough to remove temporary files.
pub const TERMINATE_GRACE: Duration = Duration::from_secs(3);
/// For a killed process to be gone; longer only when it hangs in the kernel, on a dead network disk for one.
const KILL_GRACE: Duration = Duration::from_secs(5);
/// For the outside of a box to be stopped.
const STOP_GRACE: Duration = Duration::from_millis(200);
/// For the rest of the output once the group is gone: only a process that left the group still holds the pipe.
const DRAIN_GRACE: Duration = Duration::from_millis(500);
/// What a shell adds to the signal's number in the exit code of a command that was ended by one. Signals end at 64.
const SIGNALLED: i32 = 128;

/// A command to run.
#[derive(Debug, Clone)]
pub struct Command {
    /// The program, found by PATH unless it has a slash, and its arguments.
    pub arguments: Vec<String>,
    /// The box that it runs in.
    pub sandbox: Sandbox,
    /// Whether it may use the network there.
    pub network: bool,
    /// Where it runs. It may write here and to its home, and nowhere else.
    pub directory: PathBuf,
    /// Its HOME and TMPDIR: a scratch directory of the caller's, which the caller removes.
    pub home: PathBuf,
    /// Its environment beside PATH, HOME, TMPDIR and LANG=C.UTF-8, which may be overridden here.
    pub environment: BTreeMap<String, String>,
    /// Secrets that it can read from files; what it prints has none of them.
    pub secrets: Vec<GivenSecret>,
    /// Folders that it may write to, and that outlive it.
    pub caches: Vec<GivenCache>,
    /// What it reads from standard input; without it, input is empty.
    pub stdin: Option<Vec<u8>>,
    /// After this much time the whole process group is ended.
    pub deadline: Duration,
    /// How many bytes of standard output, and as many of standard error, are kept.
    pub output_limit_bytes: usize,
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// Its exit code or the signal that ended it.
    pub exit: Exit,
    /// What it printed: all, or head and tail around a line `… N bytes left out …`.
    pub stdout: Vec<u8>,
    /// What it printed as errors, bounded in the same way.
    pub stderr: Vec<u8>,
    /// Whether some of the output was left out.
    pub truncated: bool,
    /// Whether a secret was taken out of standard output.
    pub redacted: bool,
    /// Whether the deadline passed and we ended it.
    pub timed_out: bool,
    /// How long it ran.
    pub duration: Duration,
}

impl Finished {
    /// Whether it ended by itself with exit code 0.
    pub fn succeeded(&self) -> bool {
        self.exit == Exit::Code(0) && !self.timed_out
    }
}

/// The end of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// It exited with this code.
    Code(i32),
    /// This signal ended it.
    Signal(i32),
}

impl std::fmt::Display for Exit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit code {code}"),
            Self::Signal(signal) => write!(f, "signal {signal}"),
        }
    }
}

/// Runs `command` to its end. A command that ends badly or at its deadline is a [`Finished`] like any other; only
/// one that cannot be run is a fault: a program, directory or box that is missing fails, and so does a command that used
/// more than it may; a system short of processes or memory is tried again. In a box, nothing of it is left when this
/// returns. When the future is dropped all of it gets SIGKILL at once.
pub async fn run(command: &Command) -> Result<Finished, Fault> {
    let started = Instant::now();
    let cage = command.sandbox.cage();
    let mut child = spawn(command, cage.as_ref())?;
    let mut group = Group::of(&child, command.sandbox.is_on());
    let capture = || {
        let secrets = command.secrets.iter().map(|secret| secret.value.as_slice());
        Capture::new(command.output_limit_bytes, Redaction::of(secrets))
    };
    let (mut stdout, mut stderr) = (capture(), capture());
    let streams = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let mut pipes = Pipes::new(async {
        tokio::join!(
            feed(streams.0, command.stdin.as_deref()),
            drain(streams.1, &mut stdout),
            drain(streams.2, &mut stderr)
        );
    });

    let (mut status, excess) = tokio::select! {
        status = pipes.until_exit(&mut child, command.deadline) => (status?, None),
        excess = too_much(command, group.pid) => (None, Some(excess)),
    };
    let timed_out = status.is_none();
    for (signal, grace) in [(Signal::TERM, TERMINATE_GRACE), (Signal::KILL, KILL_GRACE)] {
        // What uses too much is not asked.
        if status.is_none() && (excess.is_none() || signal == Signal::KILL) {
            group.signal(signal);
            status = pipes.until_exit(&mut child, grace).await?;
        }
    }
    let Some(status) = status else {
        return Err(Fault::retry(format!("{} does not end even by SIGKILL", command.arguments.join(" "))));
    };
    // Children that it left in its group, whose number stays taken while any of them lives. A box has none left.
    group.end();
    let _ = tokio::time::timeout(DRAIN_GRACE, pipes.drained()).await;
    drop(pipes);
    let held = || cage.filter(Cage::was_full).map(|_| command.sandbox.limits.too_much_memory(None));
    if let Some(excess) = excess.or_else(held) {
        let program = command.arguments.join(" ");
        return Err(Fault::fail(format!("`{program}` was ended: it {excess}"), "let it use less, or raise the limit"));
    }
    let exit = exit_of(status, command.sandbox.is_on());
    if command.sandbox.is_on() {
        stderr.failure_of_the_box(exit, command)?;
    }

    Ok(Finished {
        exit,
        truncated: stdout.left_out_bytes() + stderr.left_out_bytes() > 0,
        redacted: stdout.redaction.found,
        stdout: stdout.into_bytes(),
        stderr: stderr.into_bytes(),
        timed_out,
        duration: started.elapsed(),
    })
}

/// Ends when the command uses more than it may; without a box, never.
async fn too_much(command: &Command, pid: Option<Pid>) -> String {
    let Some(pid) = pid.filter(|_| command.sandbox.is_on()) else { return std::future::pending().await };
    let mut folders = vec![command.directory.clone()];
    folders.extend(Some(&command.home).filter(|home| !home.starts_with(&command.directory)).cloned());
    let every = std::iter::once(folders).chain(command.caches.iter().map(|cache| vec![cache.folder.clone()])).collect();
    sandbox::excess(pid.as_raw_pid(), command.sandbox.limits, every).await
}

fn spawn(command: &Command, cage: Option<&Cage>) -> Result<Child, Fault> {
    let Some(program) = command.arguments.first() else {
        return Err(Fault::fail("the command is empty", "name a program to run"));
    };
    if !search_path::has(program) {
        return Err(no_program(program));
    }
    if !command.directory.is_dir() {
        let directory = command.directory.display();
        return Err(Fault::fail(format!("run {program}: there is no directory {directory}"), "check the path"));
    }
    let writable: [&Path; 2] = [&command.directory, &command.home];
    let boxed = command.sandbox.is_on();
    let environment = environment(command, boxed);
    let readable: Vec<(&Path, PathBuf)> =
        command.secrets.iter().map(|GivenSecret { place, .. }| (place.path.as_path(), place.seen(boxed))).collect();
    let elsewhere: Vec<(&Path, PathBuf)> =
        command.caches.iter().map(|cache| (cache.folder.as_path(), cache.seen(boxed))).collect();
    let room = Room {
        directory: &command.directory,
        writable: &writable,
        elsewhere: &elsewhere,
        readable: &readable,
        network: command.network,
        environment: &environment,
    };
    // The outside of a box has nothing of the command's.
    let outside = if boxed { BTreeMap::new() } else { environment.clone() };
    let line = command.sandbox.around(&command.arguments, &room);
    let line = match cage {
        Some(cage) => cage.around(line),
        None => line,
    };
    let (first, arguments) = line.split_first().map_or((program.as_ref(), &[][..]), |(first, rest)| (&**first, rest));
    tokio::process::Command::new(first)
        .args(arguments)
        .current_dir(&command.directory)
        .env_clear()
        .env("PATH", search_path::search_path())
        .env("LANG", "C.UTF-8")
        .envs(outside)
        .stdin(if command.stdin.is_some() { Stdio::piped() } else { Stdio::null() })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .map_err(|error| match error.kind() {
            ErrorKind::NotFound if command.sandbox.is_on() => {
                Fault::fail(format!("run {program}: there is no sandbox to run it in: no bwrap"), sandbox::HINT)
            }
            ErrorKind::NotFound => no_program(program),
            // Also what a search path says that leads through a directory which we may not enter.
            ErrorKind::PermissionDenied => Fault::fail(
                format!("run {program}: {error}"),
                format!(
                    "make {program} executable, and the directories of the search path open: {}",
                    search_path::search_path()
                ),
            ),
            _ => files::fault(&format!("run {program}"), &error),
        })
}

/// The whole of a command's environment.
fn environment(command: &Command, boxed: bool) -> BTreeMap<String, String> {
    let home = command.home.display().to_string();
    let own = [("PATH", search_path::search_path()), ("HOME", home.clone()), ("TMPDIR", home)];
    let own = own.into_iter().chain([("LANG", "C.UTF-8".to_owned())]);
    let mut environment: BTreeMap<String, String> = own.map(|(name, value)| (name.to_owned(), value)).collect();
    for cache in &command.caches {
        environment.extend(cache.environment(boxed));
    }
    environment.extend(command.environment.clone());
    let places = command.secrets.iter().map(|secret| (secret.place.variable.clone(), secret.place.seen(boxed)));
    environment.extend(places.map(|(variable, place)| (variable, place.display().to_string())));
    environment
}

fn no_program(program: &str) -> Fault {
    let path = search_path::search_path();
    Fault::fail(
        format!("run {program}: no such program"),
        format!("install {program}, or give its full path; the search path is {path}"),
    )
}

/// How it ended. The shell of a box says in its exit code which signal ended the command.
fn exit_of(status: ExitStatus, boxed: bool) -> Exit {
    match status.code() {
        Some(code) if boxed && (SIGNALLED + 1..=SIGNALLED + 64).contains(&code) => Exit::Signal(code - SIGNALLED),
        Some(code) => Exit::Code(code),
        None => Exit::Signal(status.signal().unwrap_or_default()),
    }
}

/// The command's process group, or its box: killed when this is dropped before its [`Group::end`].
struct Group {
    pid: Option<Pid>,
    boxed: bool,
}

impl Group {
    fn of(child: &Child, boxed: bool) -> Self {
        Self { pid: child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)), boxed }
    }

    /// Signals the group. What is outside of a box only waits for what is inside, whose first process takes no signal but
    /// SIGKILL, and with it all others.
    fn signal(&self, signal: Signal) {
        let Some(pid) = self.pid else { return };
        // An error means that nobody is left.
        if !self.boxed {
            let _ = kill_process_group(pid, signal);
        } else if signal == Signal::KILL {
            // Stopped, it starts nothing while we look.
            let _ = kill_process(pid, Signal::STOP);
            stopped(pid.as_raw_pid());
            let inside = process_table::children(pid.as_raw_pid());
            for first in &inside {
                let _ = kill_process(*first, Signal::KILL);
            }
            let _ = kill_process(pid, if inside.is_empty() { Signal::KILL } else { Signal::CONT });
        } else {
            for first in process_table::children(pid.as_raw_pid()) {
                let _ = kill_process_group(first, signal);
            }
        }
    }

    /// After its exit: ends what is left in the group. A box has nothing left.
    fn end(&mut self) {
        if !self.boxed {
            self.signal(Signal::KILL);
        }
        self.pid = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
        if let Some(pid) = self.pid.filter(|_| self.boxed) {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

/// Waits until a process is stopped, or gone, which takes less than it takes to look.
fn stopped(pid: i32) {
    let until = Instant::now() + STOP_GRACE;
    while Instant::now() < until && Stat::of(pid).is_some_and(|stat| !stat.is_stopped() && !stat.is_dead()) {
        std::thread::yield_now();
    }
}

/// The work on a command's pipes, which goes on while we wait for other things.
struct Pipes<'work> {
    work: Pin<Box<dyn Future<Output = ()> + Send + 'work>>,
    done: bool,
}

impl<'work> Pipes<'work> {
    fn new(work: impl Future<Output = ()> + Send + 'work) -> Self {
        Self { work: Box::pin(work), done: false }
    }

    async fn drained(&mut self) {
        if !self.done {
            self.work.as_mut().await;
            self.done = true;
        }
    }

    /// Serves the pipes until the child ends, or `None` after `limit`.
    async fn until_exit(&mut self, child: &mut Child, limit: Duration) -> Result<Option<ExitStatus>, Fault> {
        let timer = tokio::time::sleep(limit);
        tokio::pin!(timer);
        loop {
            tokio::select! {
                status = child.wait() => {
                    return status.map(Some).map_err(|error| files::fault("wait for the command", &error));
                }
                () = &mut timer => return Ok(None),
                () = self.drained(), if !self.done => {}
            }
        }
    }
}

async fn feed(stdin: Option<tokio::process::ChildStdin>, bytes: Option<&[u8]>) {
    if let (Some(mut stdin), Some(bytes)) = (stdin, bytes) {
        // A command that does not read all of its input is no error.
        let _ = stdin.write_all(bytes).await;
    }
}

/// How much a command prints as fast as it can. What prints without end would else have the threads that do everything.
const UNPACED_BYTES: u64 = 8 << 20;
/// How long it is waited after each piece of what it prints beyond that: some 6 MB a second are taken.
const PACE: Duration = Duration::from_millis(10);

async fn drain(pipe: Option<impl AsyncRead + Unpin>, capture: &mut Capture) {
    let Some(mut pipe) = pipe else { return };
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(length) = pipe.read(&mut buffer).await {
        if length == 0 {
            break;
        }
        capture.add(&buffer[..length]);
        if capture.seen_bytes > UNPACED_BYTES {
            tokio::time::sleep(PACE).await;
        }
    }
    capture.end();
}

/// The first half and the last half of `limit_bytes` of a stream.
struct Capture {
    head: Vec<u8>,
    tail: VecDeque<u8>,
    half_bytes: usize,
    seen_bytes: u64,
    redaction: Redaction,
}

impl Capture {
    fn new(limit_bytes: usize, redaction: Redaction) -> Self {
        Self { head: Vec::new(), tail: VecDeque::new(), half_bytes: limit_bytes / 2, seen_bytes: 0, redaction }
    }

    fn add(&mut self, bytes: &[u8]) {
        let mut redaction = std::mem::take(&mut self.redaction);
        redaction.add(bytes, |bytes| self.keep(bytes));
        self.redaction = redaction;
    }

    fn end(&mut self) {
        let mut redaction = std::mem::take(&mut self.redaction);
        redaction.end(|bytes| self.keep(bytes));
        self.redaction = redaction;
    }

    fn keep(&mut self, bytes: &[u8]) {
        self.seen_bytes += bytes.len() as u64;
        let (head, rest) = bytes.split_at(bytes.len().min(self.half_bytes - self.head.len()));
        self.head.extend(head);
        let rest = &rest[rest.len().saturating_sub(self.half_bytes)..];
        let surplus = (self.tail.len() + rest.len()).saturating_sub(self.half_bytes);
        self.tail.drain(..surplus);
        self.tail.extend(rest);
    }

    /// The fault where it was the box that failed, not the command. A command that says the same fails as the box would.
    fn failure_of_the_box(&self, exit: Exit, command: &Command) -> Result<(), Fault> {
        let program = command.arguments.first().map_or("", String::as_str);
        let line = self.head.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let line = String::from_utf8_lossy(line);
        match exit {
            Exit::Code(1) if line.starts_with("bwrap: ") || line.starts_with("tidegate: the box ") => {
                Err(Fault::fail(format!("run {program}: there is no sandbox to run it in: {line}"), sandbox::HINT))
            }
            Exit::Code(126 | 127) if line.starts_with("setpriv: ") => {
                Err(Fault::fail(format!("run {program}: there is no sandbox to run it in: {line}"), sandbox::HINT))
            }
            Exit::Code(126 | 127) if line.starts_with("env: ") => Err(Fault::fail(
                format!("run {program}: it is not there or cannot run in the sandbox ({line})"),
                "install it below /usr, or name the folders that it needs as `tools` in tidegate.toml",
            )),
            _ => Ok(()),
        }
    }

    fn left_out_bytes(&self) -> u64 {
        self.seen_bytes - (self.head.len() + self.tail.len()) as u64
    }

    fn into_bytes(mut self) -> Vec<u8> {
        let left_out_bytes = self.left_out_bytes();
        if left_out_bytes > 0 {
            self.head.extend(format!("\n… {left_out_bytes} bytes left out …\n").bytes());
        }
        self.head.extend(self.tail);
        self.head
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_capture_keeps_head_and_tail() {
        let mut capture = Capture::new(8, Redaction::of([]));
        for chunk in ["ab", "cdef", "ghijklmnop", "q"] {
            capture.add(chunk.as_bytes());
        }
        assert_eq!(String::from_utf8_lossy(&capture.into_bytes()), "abcd\n… 9 bytes left out …\nnopq");
    }

    #[test]
    fn a_short_output_is_whole() {
        let mut capture = Capture::new(8, Redaction::of([]));
        capture.add(b"abcdefg");
        assert_eq!(capture.into_bytes(), b"abcdefg");
    }
}
