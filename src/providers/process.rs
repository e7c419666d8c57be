//! Runs one command of a repository or a rule to its end. Such commands are not trusted to behave: they may print
//! without end, never end, or leave children behind. So they get an environment built from nothing, a deadline, a
//! bounded capture of what they print, and a process group that is ended with them. What a command leaves running
//! in a session of its own (`setsid`) is beyond the group's reach.

use std::collections::{BTreeMap, VecDeque};
use std::io::ErrorKind;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::pin::Pin;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::Child;

use crate::providers::{Fault, files};

/// Between SIGTERM and SIGKILL when the deadline has passed: enough to remove temporary files.
pub const TERMINATE_GRACE: Duration = Duration::from_secs(3);
/// For a killed process to be gone; longer only when it hangs in the kernel, on a dead network disk for one.
const KILL_GRACE: Duration = Duration::from_secs(5);
/// For the rest of the output once the group is gone: only a process that left the group still holds the pipe.
const DRAIN_GRACE: Duration = Duration::from_millis(500);
/// The search path when we have none ourselves.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A command to run.
#[derive(Debug, Clone)]
pub struct Command {
    /// The program, found by PATH unless it has a slash, and its arguments.
    pub arguments: Vec<String>,
    /// Where it runs.
    pub directory: PathBuf,
    /// Its HOME and TMPDIR: a scratch directory of the caller's, which the caller removes.
    pub home: PathBuf,
    /// Its environment beside PATH, HOME, TMPDIR and LANG=C.UTF-8, which may be overridden here.
    pub environment: BTreeMap<String, String>,
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
/// one that cannot be run is a fault: a program or directory that is missing fails, a system short of processes or
/// memory is tried again. When the future is dropped the process group gets SIGKILL at once.
pub async fn run(command: &Command) -> Result<Finished, Fault> {
    let started = Instant::now();
    let mut child = spawn(command)?;
    let mut group = Group::of(&child);
    let (mut stdout, mut stderr) = (Capture::new(command.output_limit_bytes), Capture::new(command.output_limit_bytes));
    let streams = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let mut pipes = Pipes::new(async {
        tokio::join!(
            feed(streams.0, command.stdin.as_deref()),
            drain(streams.1, &mut stdout),
            drain(streams.2, &mut stderr)
        );
    });

    let mut status = pipes.until_exit(&mut child, command.deadline).await?;
    let timed_out = status.is_none();
    for (signal, grace) in [(Signal::TERM, TERMINATE_GRACE), (Signal::KILL, KILL_GRACE)] {
        if status.is_none() {
            group.signal(signal);
            status = pipes.until_exit(&mut child, grace).await?;
        }
    }
    let Some(status) = status else {
        return Err(Fault::retry(format!("{} does not end even by SIGKILL", command.arguments.join(" "))));
    };
    // Children that it left in its group. The group's number stays taken while any of them lives.
    group.end();
    let _ = tokio::time::timeout(DRAIN_GRACE, pipes.drained()).await;
    drop(pipes);

    Ok(Finished {
        exit: exit_of(status),
        truncated: stdout.left_out_bytes() + stderr.left_out_bytes() > 0,
        stdout: stdout.into_bytes(),
        stderr: stderr.into_bytes(),
        timed_out,
        duration: started.elapsed(),
    })
}

/// Our search path, which commands get as theirs.
pub(crate) fn search_path() -> String {
    std::env::var("PATH").ok().filter(|path| !path.is_empty()).unwrap_or_else(|| DEFAULT_PATH.to_owned())
}

fn spawn(command: &Command) -> Result<Child, Fault> {
    let Some((program, arguments)) = command.arguments.split_first() else {
        return Err(Fault::fail("the command is empty", "name a program to run"));
    };
    if !command.directory.is_dir() {
        let directory = command.directory.display();
        return Err(Fault::fail(format!("run {program}: there is no directory {directory}"), "check the path"));
    }
    tokio::process::Command::new(program)
        .args(arguments)
        .current_dir(&command.directory)
        .env_clear()
        .env("PATH", search_path())
        .env("HOME", &command.home)
        .env("TMPDIR", &command.home)
        .env("LANG", "C.UTF-8")
        .envs(&command.environment)
        .stdin(if command.stdin.is_some() { Stdio::piped() } else { Stdio::null() })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .map_err(|error| match error.kind() {
            ErrorKind::NotFound => Fault::fail(
                format!("run {program}: no such program"),
                format!("install {program}, or give its full path; the search path is {}", search_path()),
            ),
            // Also what a search path says that leads through a directory which we may not enter.
            ErrorKind::PermissionDenied => Fault::fail(
                format!("run {program}: {error}"),
                format!("make {program} executable, and the directories of the search path open: {}", search_path()),
            ),
            _ => files::fault(&format!("run {program}"), &error),
        })
}

fn exit_of(status: ExitStatus) -> Exit {
    status.code().map_or_else(|| Exit::Signal(status.signal().unwrap_or_default()), Exit::Code)
}

/// The command's process group, which is killed when this is dropped before its [`Group::end`].
struct Group(Option<Pid>);

impl Group {
    fn of(child: &Child) -> Self {
        Self(child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)))
    }

    fn signal(&self, signal: Signal) {
        if let Some(pid) = self.0 {
            // An error means that nobody is left in it.
            let _ = kill_process_group(pid, signal);
        }
    }

    fn end(&mut self) {
        self.signal(Signal::KILL);
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.end();
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

async fn drain(pipe: Option<impl AsyncRead + Unpin>, capture: &mut Capture) {
    let Some(mut pipe) = pipe else { return };
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(length) = pipe.read(&mut buffer).await {
        if length == 0 {
            return;
        }
        capture.add(&buffer[..length]);
    }
}

/// The first half and the last half of `limit_bytes` of a stream.
struct Capture {
    head: Vec<u8>,
    tail: VecDeque<u8>,
    half_bytes: usize,
    seen_bytes: u64,
}

impl Capture {
    fn new(limit_bytes: usize) -> Self {
        Self { head: Vec::new(), tail: VecDeque::new(), half_bytes: limit_bytes / 2, seen_bytes: 0 }
    }

    fn add(&mut self, bytes: &[u8]) {
        self.seen_bytes += bytes.len() as u64;
        let (head, rest) = bytes.split_at(bytes.len().min(self.half_bytes - self.head.len()));
        self.head.extend(head);
        let rest = &rest[rest.len().saturating_sub(self.half_bytes)..];
        let surplus = (self.tail.len() + rest.len()).saturating_sub(self.half_bytes);
        self.tail.drain(..surplus);
        self.tail.extend(rest);
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
        let mut capture = Capture::new(8);
        for chunk in ["ab", "cdef", "ghijklmnop", "q"] {
            capture.add(chunk.as_bytes());
        }
        assert_eq!(String::from_utf8_lossy(&capture.into_bytes()), "abcd\n… 9 bytes left out …\nnopq");
    }

    #[test]
    fn a_short_output_is_whole() {
        let mut capture = Capture::new(8);
        capture.add(b"abcdefg");
        assert_eq!(capture.into_bytes(), b"abcdefg");
    }
}
