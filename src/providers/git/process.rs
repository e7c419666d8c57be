//! One `git` process with a deadline, in a process group of its own, which dies with it: at the deadline, and
//! when the caller no longer waits.

use super::environment;
use super::remote::{Remote, redact};
use crate::providers::Fault;
use rustix::process::{Pid, Signal, kill_process_group};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio::time::{Instant, timeout_at};

/// More than the answer to any question that is asked here; a remote that sends more is not believed.
const MOST_OUTPUT_BYTES: u64 = 64 << 20;

/// How to run `git`.
pub(super) struct Git {
    pub(super) program: PathBuf,
    pub(super) environment: Vec<(String, String)>,
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
}

impl Git {
    /// Runs `git` in `directory` until it ends or `deadline` passes.
    pub(super) async fn run(
        &self,
        directory: &Path,
        remote: &Remote,
        arguments: &[String],
        deadline: Instant,
    ) -> Result<Ended, Unfinished> {
        let mut command = Command::new(&self.program);
        command.args(arguments).current_dir(directory).env_clear();
        command.envs(environment::variables(remote, &self.environment));
        command.env("GIT_DIR", directory);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.process_group(0);
        let child = command.spawn().map_err(|error| self.not_started(directory, &error))?;
        let mut group = Group { child };
        let stdout = group.child.stdout.take().expect("piped above");
        let stderr = group.child.stderr.take().expect("piped above");
        let all = async { tokio::join!(group.child.wait(), read(stdout), read(stderr)) };
        let (status, stdout, stderr) = timeout_at(deadline, all).await.map_err(|_| Unfinished::TimedOut)?;
        let success = status.is_ok_and(|status| status.success());
        Ok(Ended { success, stdout, stderr: redact(stderr.trim()) })
    }

    fn not_started(&self, directory: &Path, error: &std::io::Error) -> Unfinished {
        let program = self.program.display();
        if !directory.is_dir() {
            let gone =
                format!("the mirror {} is gone; it is made anew when its repository is looked at", directory.display());
            return Unfinished::NotStarted(Fault::retry(gone));
        }
        Unfinished::NotStarted(match error.kind() {
            std::io::ErrorKind::NotFound | std::io::ErrorKind::PermissionDenied => Fault::fail(
                format!("the git program '{program}' cannot be run: {error}"),
                "install git, or name the program in the configuration",
            ),
            _ => Fault::retry(format!("the git program '{program}' could not be started: {error}")),
        })
    }
}

async fn read(stream: impl AsyncRead + Unpin) -> String {
    let mut bytes = Vec::new();
    // What was read before an error is all there is; the exit status tells the rest.
    let _ = stream.take(MOST_OUTPUT_BYTES).read_to_end(&mut bytes).await;
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Kills the whole group of a child that has not been waited for to its end.
struct Group {
    child: Child,
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
