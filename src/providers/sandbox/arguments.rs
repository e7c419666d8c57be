//! The command line that runs a command in the box.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};

use super::settings::{Sandbox, SandboxKind};
use super::system;

/// How much fits into `/tmp`, and into shared memory, which are memory. TMPDIR is on the disk.
const TMP_BYTES: &str = "268435456";
/// What the shell does that is the first process of the box: it runs the command, and reaps what that leaves behind. When
/// it ends, the kernel ends all others, whatever they did, before anybody hears of it.
const FIRST: &str = r#""$@"; exit $?"#;
/// Ends the first process with the outside of the box; bubblewrap sees to it only where it brings a first process of its own.
const WITH_THE_OUTSIDE: [&str; 3] = ["setpriv", "--pdeathsig", "KILL"];

/// What one command gets of the machine beside the system.
pub(crate) struct Room<'a> {
    /// Where it runs.
    pub(crate) directory: &'a Path,
    /// The folders that it may write to, at the paths that they have.
    pub(crate) writable: &'a [&'a Path],
    /// The folders that it may write to elsewhere than they are: the folder, and where it finds it.
    pub(crate) elsewhere: &'a [(&'a Path, PathBuf)],
    /// The files that it may read elsewhere than they are: the file, and where it finds it.
    pub(crate) readable: &'a [(&'a Path, PathBuf)],
    /// Whether it shares the machine's network.
    pub(crate) network: bool,
    /// Its whole environment. Set within the box, after its limits: what is made of a repository's texts (`PATH`,
    /// `LD_PRELOAD`) means nothing outside.
    pub(crate) environment: &'a BTreeMap<String, String>,
}

impl Sandbox {
    /// The command line that runs these words in the box; the words themselves where there is to be none.
    pub(crate) fn around(&self, words: &[String], room: &Room<'_>) -> Vec<OsString> {
        match self.kind {
            SandboxKind::None => words.iter().map(OsString::from).collect(),
            SandboxKind::Bubblewrap => self.bubblewrap(words, room),
        }
    }

    fn bubblewrap(&self, words: &[String], room: &Room<'_>) -> Vec<OsString> {
        let mut line = Line(vec!["bwrap".into()]);
        for option in [
            "--unshare-user",
            "--unshare-pid",
            "--unshare-ipc",
            "--unshare-uts",
            "--unshare-cgroup-try",
            "--disable-userns",
            "--die-with-parent",
            "--new-session",
            "--as-pid-1",
        ] {
            line.add(&[&option]);
        }
        line.add(&[&"--cap-drop", &"ALL"]);
        if !room.network {
            line.add(&[&"--unshare-net"]);
        }
        line.system();
        let tools: Vec<PathBuf> = system::path_folders().into_iter().chain(self.tools.iter().cloned()).collect();
        for tool in &tools {
            line.add(&[&"--ro-bind-try", tool, tool]);
        }
        let readable: Vec<&Path> =
            system::PROGRAMS.iter().map(Path::new).chain(tools.iter().map(PathBuf::as_path)).collect();
        let covered = self.hidden.iter().flat_map(|hidden| places_in(&readable, hidden));
        let (folders, files): (Vec<PathBuf>, Vec<PathBuf>) = covered.partition(|place| place.is_dir());
        for file in &files {
            line.add(&[&"--ro-bind", &"/dev/null", file]);
        }
        for folder in &folders {
            line.add(&[&"--tmpfs", folder]);
        }
        for folder in room.writable {
            line.add(&[&"--bind", folder, folder]);
        }
        for (folder, place) in room.elsewhere {
            line.add(&[&"--bind", folder, place]);
        }
        for (file, place) in room.readable {
            line.add(&[&"--ro-bind", file, place]);
        }
        for place in folders.iter().map(PathBuf::as_path).chain([Path::new("/")]) {
            line.add(&[&"--remount-ro", &place]);
        }
        line.add(&[&"--chdir", &room.directory, &"--"]);
        line.0.extend(WITH_THE_OUTSIDE.map(OsString::from));
        if let Some(program) = &self.program {
            line.add(&[program, &"boxed"]);
            let elsewhere = room.elsewhere.iter().map(|(_, place)| place.as_path());
            for folder in room.writable.iter().copied().chain(elsewhere) {
                line.add(&[&"--write", &folder]);
            }
            line.add(&[&"--"]);
        }
        line.add(&[&"sh", &"-c", &FIRST, &"sh"]);
        let environment = room.environment.iter().map(|(name, value)| format!("{name}={value}"));
        let environment = ["env", "-i"].map(str::to_owned).into_iter().chain(environment);
        let command = self.limits.prlimit().into_iter().chain(environment).chain(words.iter().cloned());
        line.0.extend(command.map(OsString::from));
        line.0
    }
}

/// Where a path of ours can be seen in the box: within each readable folder that it lies in, links followed.
fn places_in(readable: &[&Path], hidden: &Path) -> Vec<PathBuf> {
    let Ok(hidden) = hidden.canonicalize() else { return Vec::new() };
    let seen = |folder: &&Path| {
        let within = hidden.strip_prefix(folder.canonicalize().ok()?).ok()?;
        Some(folder.join(within))
    };
    readable.iter().filter_map(seen).collect()
}

struct Line(Vec<OsString>);

impl Line {
    fn add(&mut self, words: &[&dyn AsRef<OsStr>]) {
        self.0.extend(words.iter().map(|word| word.as_ref().to_owned()));
    }

    /// The system, which can be read; `/proc` and `/dev`, which show nothing of the machine's; and empty folders for what
    /// is temporary. `/proc` cannot be written to: root owns the kernel's settings in it, also root of a namespace.
    fn system(&mut self) {
        for program in system::PROGRAMS {
            match fs::read_link(program) {
                Ok(target) => self.add(&[&"--symlink", &target, program]),
                Err(_) => self.add(&[&"--ro-bind-try", program, program]),
            }
        }
        for file in system::ETC {
            self.add(&[&"--ro-bind-try", file, file]);
        }
        self.add(&[&"--proc", &"/proc", &"--remount-ro", &"/proc", &"--dev", &"/dev"]);
        self.add(&[&"--perms", &"1777", &"--size", &TMP_BYTES, &"--tmpfs", &"/dev/shm", &"--remount-ro", &"/dev"]);
        self.add(&[&"--perms", &"1777", &"--size", &TMP_BYTES, &"--tmpfs", &"/tmp"]);
        self.add(&[&"--dir", &"/run", &"--dir", &"/var", &"--symlink", &"/tmp", &"/var/tmp"]);
    }
}
