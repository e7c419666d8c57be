//! Repositories for tests: bare "remotes" that are written with the `git` program, hermetically.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicI64, Ordering};

/// The time of the first commit, 2026-01-01T00:00:00Z; each later one is a minute younger.
const FIRST_COMMIT_SECONDS: i64 = 1_767_225_600;

/// Variables that keep git away from this machine's configuration.
pub(crate) const HERMETIC: [(&str, &str); 4] =
    [("GIT_CONFIG_GLOBAL", "/dev/null"), ("GIT_CONFIG_NOSYSTEM", "1"), ("GIT_TERMINAL_PROMPT", "0"), ("LC_ALL", "C")];

/// A bare repository in the role of the remote, to which a person named Ada pushes.
pub(crate) struct TestRepo {
    pub(crate) directory: PathBuf,
    clock: AtomicI64,
}

impl TestRepo {
    /// An empty repository at `directory`.
    pub(crate) fn empty(directory: impl Into<PathBuf>) -> Self {
        let directory = directory.into();
        std::fs::create_dir_all(&directory).unwrap();
        let repo = Self { directory, clock: AtomicI64::new(FIRST_COMMIT_SECONDS) };
        repo.git(&["init", "--quiet", "--bare", "--initial-branch=main"]);
        repo.git(&["config", "http.receivepack", "true"]);
        repo
    }

    /// A repository with one commit of these files on `branch`.
    pub(crate) fn with(directory: impl Into<PathBuf>, branch: &str, files: &[(&str, &str)]) -> Self {
        let repo = Self::empty(directory);
        repo.commit(branch, "Begin", files);
        repo
    }

    /// The repository's path, as a URL for git.
    pub(crate) fn url(&self) -> String {
        self.directory.to_str().unwrap().to_owned()
    }

    /// Commits files on top of a branch, which is created if need be; says the commit.
    pub(crate) fn commit(&self, branch: &str, message: &str, files: &[(&str, &str)]) -> String {
        let parents: Vec<_> = self.head(branch).into_iter().collect();
        let tree = self.tree_with(parents.first().map(String::as_str), files);
        self.commit_tree(branch, message, &tree, &parents)
    }

    /// Points a branch at a commit.
    pub(crate) fn set_branch(&self, branch: &str, commit: &str) {
        self.git(&["update-ref", &format!("refs/heads/{branch}"), commit]);
    }

    /// A merge of `other` into `branch` that takes `files` on top of the branch's own.
    pub(crate) fn merge(&self, branch: &str, other: &str, message: &str, files: &[(&str, &str)]) -> String {
        let parents = vec![self.head(branch).unwrap(), self.head(other).unwrap()];
        let tree = self.tree_with(Some(&parents[0]), files);
        self.commit_tree(branch, message, &tree, &parents)
    }

    /// A commit of an existing tree.
    pub(crate) fn commit_tree(&self, branch: &str, message: &str, tree: &str, parents: &[String]) -> String {
        let mut arguments = vec!["commit-tree", tree, "-m", message];
        parents.iter().for_each(|parent| arguments.extend(["-p", parent]));
        let commit = self.git(&arguments);
        self.set_branch(branch, &commit);
        commit
    }

    /// A commit object as it is written here; no branch moves.
    pub(crate) fn write_commit(&self, commit: &str) -> String {
        self.git_with(&["hash-object", "-t", "commit", "-w", "--stdin"], "", &format!("{}\n", commit.trim_end()))
    }

    /// The tree of a commit with files added or replaced.
    fn tree_with(&self, base: Option<&str>, files: &[(&str, &str)]) -> String {
        let entries: Vec<_> = files.iter().map(|(path, content)| ("100644", *path, *content)).collect();
        self.tree(base, &entries)
    }

    /// The tree of a commit with `(mode, path, content)` entries added or replaced.
    pub(crate) fn tree(&self, base: Option<&str>, entries: &[(&str, &str, &str)]) -> String {
        let index = self.directory.join(format!("test-index-{:?}", std::thread::current().id()));
        let index = index.to_str().unwrap();
        match base {
            Some(commit) => self.git_with(&["read-tree", commit], index, ""),
            None => self.git_with(&["read-tree", "--empty"], index, ""),
        };
        for (mode, path, content) in entries {
            let object = match *mode {
                "160000" => (*content).to_owned(),
                _ => self.git_with(&["hash-object", "-w", "--stdin"], index, content),
            };
            self.git_with(&["update-index", "--add", "--cacheinfo", &format!("{mode},{object},{path}")], index, "");
        }
        let tree = self.git_with(&["write-tree"], index, "");
        std::fs::remove_file(index).unwrap();
        tree
    }

    /// A tree of a few hundred bytes that has ten files at each of ten to the power of `levels` places.
    pub(crate) fn bomb(&self, levels: usize) -> String {
        let blob = self.git_with(&["hash-object", "-w", "--stdin"], "", "boom");
        let mut entry = format!("100644 blob {blob}");
        let mut tree = String::new();
        for _ in 0..=levels {
            let entries: String = (0..10).map(|number| format!("{entry}\t{number}\n")).collect();
            tree = self.git_with(&["mktree"], "", &entries);
            entry = format!("040000 tree {tree}");
        }
        tree
    }

    /// A tree with one file so many folders down.
    pub(crate) fn deep(&self, levels: usize) -> String {
        let blob = self.git_with(&["hash-object", "-w", "--stdin"], "", "far");
        let file = self.git_with(&["mktree"], "", &format!("100644 blob {blob}\tf\n"));
        (0..levels).fold(file, |tree, _| self.git_with(&["mktree"], "", &format!("040000 tree {tree}\td\n")))
    }

    /// A branch's head, if there is one.
    pub(crate) fn head(&self, branch: &str) -> Option<String> {
        let found =
            self.command(&["rev-parse", "--quiet", "--verify", &format!("refs/heads/{branch}")]).output().unwrap();
        found.status.success().then(|| String::from_utf8(found.stdout).unwrap().trim().to_owned())
    }

    /// A file at a branch's head.
    pub(crate) fn read(&self, branch: &str, path: &str) -> String {
        let read = self.command(&["show", &format!("refs/heads/{branch}:{path}")]).output().unwrap();
        assert!(read.status.success(), "{path} on {branch}: {}", String::from_utf8_lossy(&read.stderr));
        String::from_utf8(read.stdout).unwrap()
    }

    /// The subjects on a branch, newest first, merged ones included.
    pub(crate) fn log(&self, branch: &str) -> Vec<String> {
        let log = self.git(&["log", "--topo-order", "--format=%s", &format!("refs/heads/{branch}")]);
        log.lines().map(str::to_owned).collect()
    }

    /// Installs a server-side hook.
    pub(crate) fn hook(&self, name: &str, script: &str) {
        let path = self.directory.join("hooks").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, script).unwrap();
        let permissions = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&path, permissions).unwrap();
    }

    /// Runs git in the repository, which must succeed; says what it printed.
    pub(crate) fn git(&self, arguments: &[&str]) -> String {
        self.git_with(arguments, "", "")
    }

    pub(crate) fn git_with(&self, arguments: &[&str], index: &str, input: &str) -> String {
        let mut command = self.command(arguments);
        if !index.is_empty() {
            command.env("GIT_INDEX_FILE", index);
        }
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), input.as_bytes()).unwrap();
        let done = child.wait_with_output().unwrap();
        assert!(done.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).unwrap().trim().to_owned()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let date = format!("{} +0000", self.clock.fetch_add(60, Ordering::Relaxed));
        let mut command = hermetic_git(&self.directory);
        command.args(arguments);
        for role in ["AUTHOR", "COMMITTER"] {
            command.env(format!("GIT_{role}_NAME"), "Ada").env(format!("GIT_{role}_EMAIL"), "ada@example.org");
            command.env(format!("GIT_{role}_DATE"), &date);
        }
        command
    }
}

/// The `git` program in a directory, with nothing of this machine's configuration.
pub(crate) fn hermetic_git(directory: &Path) -> Command {
    let mut command = Command::new("git");
    command.current_dir(directory).env_clear().env("PATH", std::env::var("PATH").unwrap()).envs(HERMETIC);
    command.env("HOME", directory);
    command
}
