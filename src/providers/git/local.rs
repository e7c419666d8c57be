//! `git` asked about the objects of a mirror, on this machine alone: no remote, nobody's settings, no hooks and no merge drivers.
//! It is asked from a thread that may block, and killed with all that it started at its deadline.

use super::fault::start_fault;
use super::process::Git;
use crate::providers::Fault;
use rustix::process::{Pid, Signal, kill_process_group};
use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// How long one piece of work may ask git, all questions together: less than what work in a mirror may take
/// (`GitOptions::patience`), which ends the process.
pub(super) const LONGEST: Duration = Duration::from_secs(90);
/// More than the answer to any question that is asked here; the conflicts of a million files.
const MOST_OUTPUT_BYTES: u64 = 256 << 20;

/// What keeps everything out that is not in the mirror: settings, attributes, hooks, and work in passing.
const ALONE: [(&str, &str); 13] = [
    ("LC_ALL", "C"),
    ("GIT_CONFIG_GLOBAL", "/dev/null"),
    ("GIT_CONFIG_NOSYSTEM", "1"),
    ("GIT_ATTR_NOSYSTEM", "1"),
    ("GIT_NO_LAZY_FETCH", "1"),
    ("GIT_TERMINAL_PROMPT", "0"),
    ("GIT_CONFIG_COUNT", "3"),
    ("GIT_CONFIG_KEY_0", "core.attributesFile"),
    ("GIT_CONFIG_VALUE_0", "/dev/null"),
    ("GIT_CONFIG_KEY_1", "core.hooksPath"),
    ("GIT_CONFIG_VALUE_1", "/dev/null"),
    ("GIT_CONFIG_KEY_2", "gc.auto"),
    ("GIT_CONFIG_VALUE_2", "0"),
];

/// What git is asked.
pub(super) struct Question<'a> {
    /// The command and its options.
    pub(super) arguments: &'a [&'a str],
    /// The tree whose `.gitattributes` count, 40 hex digits.
    pub(super) attributes: &'a str,
    /// What it reads.
    pub(super) input: &'a [u8],
}

/// What it said.
pub(super) struct Answer {
    /// Its exit code; `None` when it was killed from outside.
    pub(super) code: Option<i32>,
    pub(super) output: Vec<u8>,
    /// What it complained of.
    pub(super) complaint: String,
}

impl Git {
    /// Asks git about a mirror, until `deadline`. `Fail` when git is missing.
    pub(super) fn ask(&self, mirror: &Path, question: &Question<'_>, deadline: Instant) -> Result<Answer, Fault> {
        let mut command = alone(&self.program);
        command.args(question.arguments).current_dir(mirror);
        command.env("GIT_DIR", mirror).env("GIT_ATTR_SOURCE", question.attributes);
        run(command, question.input, deadline)
    }
}

/// The program in an environment of its own.
pub(super) fn alone(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.env_clear().envs(ALONE);
    if let Ok(path) = std::env::var("PATH") {
        command.env("PATH", path);
    }
    command
}

/// Runs a program to its end, or kills it at its deadline.
pub(super) fn run(mut command: Command, input: &[u8], deadline: Instant) -> Result<Answer, Fault> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let program = command.get_program().to_string_lossy().into_owned();
    let folder = command.get_current_dir().unwrap_or(Path::new("/")).to_owned();
    let mut child = command.spawn().map_err(|error| start_fault(Path::new(&program), &folder, &error))?;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let (said, ended) = mpsc::channel();
    let (output, complaint, in_time) = thread::scope(|scope| {
        scope.spawn(move || stdin.map(|mut stdin| stdin.write_all(input)));
        let complaint = scope.spawn(move || read(stderr));
        let output = scope.spawn(move || {
            let output = read(stdout);
            // Whoever waits has gone at the deadline.
            let _ = said.send(());
            output
        });
        let in_time = ended.recv_timeout(deadline.saturating_duration_since(Instant::now())).is_ok();
        if !in_time {
            kill(&child);
        }
        (output.join().unwrap_or_default(), complaint.join().unwrap_or_default(), in_time)
    });
    let status = child.wait().map_err(|error| Fault::retry(format!("waiting for '{program}': {error}")))?;
    if !in_time {
        return Err(Fault::retry(format!("'{program}' did not answer in time about objects of the mirror")));
    }
    Ok(Answer { code: status.code(), output, complaint: String::from_utf8_lossy(&complaint).trim().to_owned() })
}

fn read(stream: Option<impl Read>) -> Vec<u8> {
    let mut bytes = Vec::new();
    // What was read before an error is all there is; the exit code tells the rest.
    let _ = stream.map(|stream| stream.take(MOST_OUTPUT_BYTES).read_to_end(&mut bytes));
    bytes
}

fn kill(child: &Child) {
    if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        // An error means that there is nobody left to kill.
        let _ = kill_process_group(group, Signal::KILL);
    }
}
