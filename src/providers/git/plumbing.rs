//! The `git` program on objects that are here: it talks to nobody, and neither this machine's configuration nor that of the
//! user nor the mirror's own changes what it says. It ends at its deadline, when it is quiet for too long, and when what it
//! writes grows beyond its bound.

use super::fault::{disk_fault, start_fault};
use super::process::Git;
use super::read::shorten;
use crate::providers::Fault;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::AsyncReadExt as _;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

/// How often what a process has written is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// As much as is read of what a process prints for us.
const MOST_OUTPUT_BYTES: u64 = 16 << 20;
/// As much as is read of what it complains of.
const MOST_COMPLAINT_BYTES: u64 = 64 << 10;

/// Settings that would make the same objects give other bytes elsewhere, or start other programs.
const FIXED: [(&str, &str); 9] = [
    ("core.attributesFile", "/dev/null"),
    ("core.autocrlf", "false"),
    ("core.eol", "lf"),
    ("core.abbrev", "7"),
    ("core.hooksPath", "/dev/null"),
    ("tar.umask", "0022"),
    ("gpg.program", "false"),
    ("gpg.ssh.program", "false"),
    ("gpg.x509.program", "false"),
];

/// How long a process may take, and how much it may write.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub(super) deadline: Instant,
    /// How long it may write nothing.
    pub(super) quiet: Duration,
    pub(super) most_bytes: u64,
}

/// A git directory that has nothing of its own but attributes: no refs, no settings. It is removed with the folder it is in.
pub(super) struct Bench<'git> {
    git: &'git Git,
    directory: PathBuf,
    objects: PathBuf,
}

impl<'git> Bench<'git> {
    /// Makes it at `directory`, over the objects of a repository. `attributes` win over those of trees.
    pub(super) fn make(
        git: &'git Git,
        directory: PathBuf,
        repository: &Path,
        attributes: &[u8],
    ) -> Result<Self, Fault> {
        let made = || {
            for folder in ["objects", "refs", "info"] {
                fs::create_dir_all(directory.join(folder))?;
            }
            fs::write(directory.join("HEAD"), "ref: refs/heads/none\n")?;
            fs::write(directory.join("config"), "[core]\n\trepositoryformatversion = 0\n\tbare = true\n")?;
            fs::write(directory.join("info/attributes"), attributes)
        };
        made().map_err(|error| disk_fault("creating", &directory, &error))?;
        Ok(Self { git, directory, objects: repository.join("objects") })
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.git.program);
        for (key, value) in FIXED {
            command.args(["-c", &format!("{key}={value}")]);
        }
        command.args(arguments).current_dir(&self.directory).env_clear();
        command.envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
        command.env("GIT_DIR", &self.directory).env("GIT_OBJECT_DIRECTORY", &self.objects);
        for (name, value) in [
            ("GIT_CONFIG_GLOBAL", "/dev/null"),
            ("GIT_CONFIG_NOSYSTEM", "1"),
            ("GIT_ATTR_NOSYSTEM", "1"),
            ("GIT_NO_REPLACE_OBJECTS", "1"),
            ("GIT_NO_LAZY_FETCH", "1"),
            ("GIT_TERMINAL_PROMPT", "0"),
            ("LC_ALL", "C"),
            ("TZ", "UTC"),
        ] {
            command.env(name, value);
        }
        command.stdin(Stdio::null()).kill_on_drop(true);
        command
    }

    /// Runs `git` with a file for its output; says what it complained of, which is not much.
    pub(super) async fn write(&self, arguments: &[&str], path: &Path, bounds: Bounds) -> Result<String, Fault> {
        let disk = |error| disk_fault("writing", path, &error);
        let file = File::create(path).map_err(disk)?;
        let mut command = self.command(arguments);
        command.stdout(Stdio::from(file.try_clone().map_err(disk)?)).stderr(Stdio::piped());
        let mut child = self.started(&mut command)?;
        let stderr = child.stderr.take().expect("piped above");
        let ended = async { tokio::join!(child.wait(), complaint(stderr)) };
        let (status, said) = tokio::select! {
            ended = ended => ended,
            fault = watched(&file, arguments, bounds) => return Err(fault),
        };
        if status.is_ok_and(|status| status.success()) {
            return Ok(said);
        }
        Err(Fault::retry(format!("`git {}`: git said: {}", arguments.join(" "), shorten(&said))))
    }

    /// Runs `git` for what it prints; `None` when it fails.
    pub(super) async fn print(&self, arguments: &[&str], deadline: Instant) -> Result<Option<Vec<u8>>, Fault> {
        let mut command = self.command(arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = self.started(&mut command)?;
        let mut printed = Vec::new();
        let mut stdout = child.stdout.take().expect("piped above").take(MOST_OUTPUT_BYTES);
        let all = async { tokio::join!(stdout.read_to_end(&mut printed), child.wait()) };
        let ended = tokio::time::timeout_at(deadline, all).await;
        let (read, status) = ended.map_err(|_| late(arguments))?;
        let succeeded = read.is_ok() && status.is_ok_and(|status| status.success());
        Ok(succeeded.then_some(printed))
    }

    fn started(&self, command: &mut Command) -> Result<Child, Fault> {
        command.spawn().map_err(|error| start_fault(&self.git.program, &self.directory, &error))
    }
}

async fn complaint(mut stderr: impl tokio::io::AsyncRead + Unpin) -> String {
    let mut bytes = Vec::new();
    // What was read before an error is all there is; the exit status tells the rest.
    let _ = (&mut stderr).take(MOST_COMPLAINT_BYTES).read_to_end(&mut bytes).await;
    let _ = tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await;
    String::from_utf8_lossy(&bytes).trim().to_owned()
}

/// Ends with what is wrong, when something is.
async fn watched(file: &File, arguments: &[&str], bounds: Bounds) -> Fault {
    let Bounds { deadline, quiet, most_bytes } = bounds;
    let (mut written, mut since) = (0, Instant::now());
    loop {
        sleep(LOOK_EVERY).await;
        let now = Instant::now();
        let bytes = file.metadata().map_or(written, |metadata| metadata.len());
        if bytes > most_bytes {
            let error = format!("the files are more than {most_bytes} bytes in all");
            return Fault::fail(error, "keep large files out of git: with Git LFS, or in an object store");
        }
        if bytes != written {
            (written, since) = (bytes, now);
        }
        if now >= deadline {
            return late(arguments);
        }
        if now - since >= quiet {
            return Fault::fail(
                format!("`git {}` wrote nothing for {} s, and was ended", arguments.join(" "), quiet.as_secs()),
                "patterns with many stars in `.gitattributes` take git very long: write shorter ones; or look whether the \
                 disk is well, and try again",
            );
        }
    }
}

fn late(arguments: &[&str]) -> Fault {
    Fault::retry(format!("`git {}` did not end before the deadline", arguments.join(" ")))
}
