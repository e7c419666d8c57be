//! Many systems of one server, each with a repository that is packed and another in which that is pinned; what is pushed, and
//! when it was pinned.

use std::{
    collections::BTreeMap,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use crate::support::{
    repo::{HERMETIC, TestRepo},
    sandbox,
};

const CONFIG: &str = "{ \"software\": { \"tag\": \"none yet\" } }\n";

/// A system, and what becomes of what is pushed to it.
pub(super) struct Member {
    pub(super) name: String,
    pub(super) software: TestRepo,
    pub(super) image: TestRepo,
    /// What was pushed, in order.
    pub(super) pushed: Vec<String>,
    /// When the last push was made, and what the pinning repository's head was before; none where it has been pinned.
    waits: Option<(Instant, i64, Option<String>)>,
}

/// A push that was pinned.
pub(super) struct Pinned {
    /// The system.
    pub(super) system: String,
    /// When it began: milliseconds since 1970, UTC.
    pub(super) at_ms: i64,
    pub(super) took: Duration,
}

impl Member {
    fn new(root: &Path, name: &str) -> Self {
        let repository = |what: &str, files: &[(&str, &str)]| {
            TestRepo::with(root.join(format!("repositories/{name}-{what}.git")), "dev", files)
        };
        let software = repository("software", &[("VERSION", "0\n")]);
        let image = repository("image", &[("config.json", CONFIG)]);
        Self { name: name.to_owned(), software, image, pushed: Vec::new(), waits: None }
    }

    /// The rules of a system that means no harm.
    pub(super) fn rules(&self, more: &str) -> String {
        let name = &self.name;
        format!(
            "version: 1\nsystem: {name}\nstages: {{ dev: {{ environment: Development }} }}\nrepositories:\n  \
             software: {{ url: ../repositories/{name}-software.git, poll: 1s }}\n  \
             image: {{ url: ../repositories/{name}-image.git, poll: 1s }}\nrules:\n  package:\n    \
             on: {{ push: software }}\n    steps:\n      - package: {{ format: tar.gz }}\n      \
             - commit: {{ repository: image, file: config.json, set: {{ /software/tag: '{{{{package.tag}}}}' }} }}\n{more}"
        )
    }

    /// Pushes, unless the last push still waits for its pin.
    pub(super) fn push(&mut self) -> bool {
        if self.waits.is_some() {
            return false;
        }
        let before = head(&self.image);
        let version = format!("{}\n", self.pushed.len() + 1);
        let (begun, at_ms) = (Instant::now(), tidegate::driver::now_ms());
        self.pushed.push(self.software.commit("dev", "Go on", &[("VERSION", &version)]));
        self.waits = Some((begun, at_ms, before));
        true
    }

    /// How long the last push waited, once it has been pinned.
    pub(super) fn pinned(&mut self) -> Option<Pinned> {
        let (begun, at_ms, before) = self.waits.as_ref()?;
        let took = (head(&self.image) != *before).then(|| begun.elapsed())?;
        let pinned = Pinned { system: self.name.clone(), at_ms: *at_ms, took };
        self.waits = None;
        Some(pinned)
    }

    pub(super) const fn waits(&self) -> bool {
        self.waits.is_some()
    }

    /// What was pushed and never pinned, and what was pinned more than once.
    pub(super) fn lost_and_doubled(&self) -> (usize, usize) {
        let log = self.image.git(&["log", "--format=%(trailers:key=Tidegate-Source,valueonly)", "dev"]);
        let mut pins: BTreeMap<&str, usize> = BTreeMap::new();
        let sources = log.lines().filter_map(|line| line.trim().strip_prefix("software@"));
        sources.for_each(|source| *pins.entry(source).or_default() += 1);
        let lost = self.pushed.iter().filter(|commit| !pins.contains_key(commit.as_str())).count();
        (lost, pins.values().filter(|count| **count > 1).count())
    }
}

/// The head of a bare repository's branch, read from its file: asking git so often would be a load of its own.
fn head(repository: &TestRepo) -> Option<String> {
    let file = repository.directory.join("refs/heads/dev");
    let text = std::fs::read_to_string(file).ok()?;
    Some(text.trim().to_owned())
}

/// Where the rules and the mirrors are.
#[derive(Clone)]
pub(super) struct Ground {
    root: PathBuf,
}

impl Ground {
    pub(super) fn mirrors(&self) -> PathBuf {
        self.root.join("data/mirrors")
    }

    /// Replaces the rules of a system.
    pub(super) fn write_rules(&self, member: &Member, rules: &str) {
        std::fs::write(self.root.join(format!("rules/{}.yaml", member.name)), rules).unwrap();
    }
}

/// All systems, and the server that drives them.
pub(super) struct Company {
    folder: tempfile::TempDir,
    pub(super) ground: Ground,
    pub(super) members: Vec<Member>,
    pub(super) hostile: Vec<Member>,
    server: Option<Child>,
}

impl Company {
    /// So many systems that mean no harm, and so many that will.
    pub(super) fn new(good: usize, hostile: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        std::fs::create_dir_all(root.join("repositories")).unwrap();
        std::fs::create_dir_all(root.join("rules")).unwrap();
        let members: Vec<Member> = (0..good).map(|number| Member::new(root, &format!("good-{number}"))).collect();
        let hostile: Vec<Member> = (0..hostile).map(|number| Member::new(root, &format!("evil-{number}"))).collect();
        let ground = Ground { root: root.to_owned() };
        let company = Self { members, hostile, server: None, ground, folder };
        let all = company.members.iter().chain(&company.hostile);
        all.clone().for_each(|member| company.ground.write_rules(member, &member.rules("")));
        let files: Vec<String> = all.map(|member| format!("\"rules/{}.yaml\"", member.name)).collect();
        let settings = format!("rules = [{}]\n", files.join(", "));
        let limits = "[step_limits]\nprocesses = 64\nmemory_mib = 512\ndisk_mib = 128\n[git]\nsilence = '10s'\n";
        let text = format!("{}{settings}{limits}", sandbox::settings());
        std::fs::write(company.root().join("tidegate.toml"), text).unwrap();
        company
    }

    pub(super) fn root(&self) -> &Path {
        self.folder.path()
    }

    pub(super) fn tidegate(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
        command.arg("--config").arg(self.root().join("tidegate.toml")).args(arguments);
        command.env("PATH", "/usr/local/bin:/usr/bin:/bin").envs(HERMETIC).stdin(Stdio::null());
        command
    }

    pub(super) fn serve(&mut self) {
        let log = std::fs::File::create(self.root().join("serve.log")).unwrap();
        let mut serve = self.tidegate(&["serve"]);
        self.server = Some(serve.stdout(Stdio::null()).stderr(log).process_group(0).spawn().unwrap());
        // What is pushed before a branch was seen first starts nothing.
        let begun = Instant::now();
        while !self.all_seen() {
            assert!(begun.elapsed() < Duration::from_secs(120), "not all was seen\n{}", self.log_tail());
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    fn all_seen(&self) -> bool {
        let told = self.tidegate(&["-o", "json", "status"]).output().unwrap();
        let systems: serde_json::Value = serde_json::from_slice(&told.stdout).unwrap_or_default();
        let seen = |system: &serde_json::Value| {
            let repositories = system["repositories"].as_array();
            repositories.is_some_and(|all| !all.is_empty() && all.iter().all(|one| one["seen"] == true))
        };
        let all = self.members.len() + self.hostile.len();
        systems.as_array().is_some_and(|systems| systems.len() == all && systems.iter().all(seen))
    }

    /// The server's resident memory and the most that it was, in KiB.
    pub(super) fn memory_kib(&mut self) -> (u64, u64) {
        let server = self.server.as_mut().unwrap();
        assert!(server.try_wait().unwrap().is_none(), "the server ended\n{}", self.log_tail());
        let id = self.server.as_ref().unwrap().id();
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
        let of = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name))?;
            line.split_whitespace().nth(1)?.parse::<u64>().ok()
        };
        (of("VmRSS:").unwrap_or_default(), of("VmHWM:").unwrap_or_default())
    }

    pub(super) fn log_tail(&self) -> String {
        let log = std::fs::read_to_string(self.root().join("serve.log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().rev().take(30).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }

    /// What the log of every system says of itself.
    pub(super) fn verify_log(&self) -> Result<String, String> {
        let output = self.tidegate(&["verify-log"]).output().unwrap();
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        if output.status.success() { Ok(said) } else { Err(said) }
    }

    pub(super) fn stop(&mut self) {
        if let Some(mut server) = self.server.take() {
            let _ = Command::new("kill").arg(server.id().to_string()).status();
            let begun = Instant::now();
            while server.try_wait().unwrap().is_none() {
                if begun.elapsed() > Duration::from_secs(30) {
                    server.kill().unwrap();
                }
                std::thread::sleep(Duration::from_millis(50));
            }
        }
    }
}

impl Drop for Company {
    fn drop(&mut self) {
        if let Some(server) = &mut self.server {
            let _ = server.kill();
            let _ = server.wait();
        }
    }
}
