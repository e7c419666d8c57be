//! What is asked of a remote: heads, fetch and push, through the `git` program; and what its answers mean.

use super::mirror::{Mirror, Writing};
use super::paths::check_branches;
use super::process::{Ended, Unfinished};
use super::read;
use crate::providers::Fault;
use git2::{ErrorCode, Oid, Repository};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// What became of a push that expected a certain head.
pub(super) enum Pushed {
    /// The branch is at our commit.
    Done,
    /// The branch was no longer at the expected head; nothing changed.
    Raced,
    /// It ended in a way that leaves open whether the branch moved.
    InDoubt(Fault),
}

impl Mirror {
    /// The heads of `branches` at the remote, in one request whatever their number; `None` for a branch that does
    /// not exist. Needs no lock and does not touch the mirror. A remote on this machine is read in this process.
    pub async fn heads(
        &self,
        branches: &[String],
        deadline: Duration,
    ) -> Result<BTreeMap<String, Option<String>>, Fault> {
        let deadline = Instant::now() + deadline;
        check_branches(branches)?;
        let heads = match self.local_heads(branches, deadline).await? {
            Some(heads) => heads,
            None => self.ask_heads(branches, deadline).await?,
        };
        self.saw(&heads);
        Ok(heads)
    }

    /// Brings `branches`, which must exist, into the mirror.
    pub async fn fetch(&self, branches: &[String], deadline: Duration) -> Result<(), Fault> {
        let deadline = Instant::now() + deadline;
        check_branches(branches)?;
        let writing = self.writing(deadline).await?;
        self.fetch_branches(&writing, branches, deadline).await
    }

    /// Packs what has come in since the last time, at a cost that follows what is new and not what is there.
    /// Nothing is lost when it is killed at its deadline.
    pub async fn maintain(&self, deadline: Duration) -> Result<(), Fault> {
        let deadline = Instant::now() + deadline;
        let _writing = self.writing(deadline).await?;
        let arguments = ["repack", "--quiet", "-d", "--geometric=2"].map(str::to_owned);
        let ended = self.git(&arguments, deadline, "packing the mirror").await?;
        if ended.success { Ok(()) } else { Err(self.explain(&ended, "packing the mirror")) }
    }

    /// Asks the remote for the heads of branches, in one request.
    pub(super) async fn ask_heads(
        &self,
        branches: &[String],
        deadline: Instant,
    ) -> Result<BTreeMap<String, Option<String>>, Fault> {
        let mut arguments = vec!["ls-remote".to_owned(), "--quiet".to_owned(), self.remote.url.clone()];
        arguments.extend(branches.iter().map(|branch| format!("refs/heads/{branch}")));
        let listed = self.git(&arguments, deadline, "asking for the heads").await?;
        if !listed.success {
            return Err(self.explain(&listed, "asking for the heads"));
        }
        let mut heads: BTreeMap<_, _> = branches.iter().map(|branch| (branch.clone(), None)).collect();
        for (id, name) in listed.stdout.lines().filter_map(|line| line.split_once('\t')) {
            // Patterns match the end of a name, so that refs of other folders may be listed, too.
            if let Some(head) = name.strip_prefix("refs/heads/").and_then(|branch| heads.get_mut(branch)) {
                *head = Some(id.to_owned());
            }
        }
        Ok(heads)
    }

    /// The heads of a remote on this machine, without a process; `None` when libgit2 cannot read it.
    async fn local_heads(
        &self,
        branches: &[String],
        deadline: Instant,
    ) -> Result<Option<BTreeMap<String, Option<String>>>, Fault> {
        let Some(directory) = self.remote.directory.clone() else { return Ok(None) };
        let branches = branches.to_vec();
        let read = tokio::task::spawn_blocking(move || {
            let repository = Repository::open(directory).ok()?;
            let head = |branch: String| match repository.refname_to_id(&format!("refs/heads/{branch}")) {
                Ok(id) => Some((branch, Some(id.to_string()))),
                Err(error) if error.code() == ErrorCode::NotFound => Some((branch, None)),
                Err(_) => None,
            };
            branches.into_iter().map(head).collect()
        });
        let read = timeout_at(deadline, read).await.map_err(|_| self.timed_out("reading the heads"))?;
        read.map_err(|error| Fault::retry(format!("reading the heads broke off: {error}")))
    }

    /// Brings branches into the mirror.
    pub(super) async fn fetch_branches(
        &self,
        writing: &Writing<'_>,
        branches: &[String],
        deadline: Instant,
    ) -> Result<(), Fault> {
        const OPTIONS: [&str; 8] = [
            "fetch",
            "--quiet",
            "--force",
            "--no-tags",
            "--no-write-fetch-head",
            "--no-auto-maintenance",
            "--no-recurse-submodules",
            "--",
        ];
        let mut arguments: Vec<String> = OPTIONS.map(str::to_owned).into();
        arguments.push(self.remote.url.clone());
        arguments.extend(branches.iter().map(|branch| format!("+refs/heads/{branch}:refs/heads/{branch}")));
        let mut fetched = self.git(&arguments, deadline, "fetching").await?;
        if !fetched.success && self.mend(writing, &fetched.stderr)? {
            fetched = self.git(&arguments, deadline, "fetching").await?;
        }
        if fetched.success { Ok(()) } else { Err(self.explain(&fetched, "fetching")) }
    }

    /// Moves the remote's branch from `expected` to `commit`, or leaves it alone.
    pub(super) async fn push(
        &self,
        _: &Writing<'_>,
        branch: &str,
        commit: Oid,
        expected: Oid,
        deadline: Instant,
    ) -> Result<Pushed, Fault> {
        let arguments = [
            "push".to_owned(),
            "--porcelain".to_owned(),
            "--no-verify".to_owned(),
            "--no-recurse-submodules".to_owned(),
            format!("--force-with-lease=refs/heads/{branch}:{expected}"),
            "--".to_owned(),
            self.remote.url.clone(),
            format!("{commit}:refs/heads/{branch}"),
        ];
        let pushed = match self.git.run(&self.directory, &self.remote, &arguments, deadline).await {
            Ok(ended) => ended,
            Err(Unfinished::NotStarted(fault)) => return Err(fault),
            Err(Unfinished::TimedOut) => return Ok(Pushed::InDoubt(self.timed_out("pushing"))),
        };
        if pushed.success {
            return Ok(Pushed::Done);
        }
        match pushed.stdout.lines().find(|line| line.starts_with("!\t")) {
            Some(line) if is_race(line, &pushed.stderr) => Ok(Pushed::Raced),
            Some(line) if line.contains("[remote failure]") => Ok(Pushed::InDoubt(self.explain(&pushed, "pushing"))),
            Some(line) => Err(Fault::fail(
                format!("{} refused a push to {branch}: {}", self.remote.url, refusal(line, &pushed.stderr)),
                "let the engine's identity push to this branch (branch protection, hooks, permissions)",
            )),
            None => match self.explain(&pushed, "pushing") {
                fail @ Fault::Fail { .. } => Err(fail),
                doubt @ Fault::Retry { .. } => Ok(Pushed::InDoubt(doubt)),
            },
        }
    }

    /// Runs `git` with a deadline, for what can simply be tried again.
    pub(super) async fn git(&self, arguments: &[String], deadline: Instant, doing: &str) -> Result<Ended, Fault> {
        match self.git.run(&self.directory, &self.remote, arguments, deadline).await {
            Ok(ended) => Ok(ended),
            Err(Unfinished::NotStarted(fault)) => Err(fault),
            Err(Unfinished::TimedOut) => Err(self.timed_out(doing)),
        }
    }

    pub(super) fn timed_out(&self, doing: &str) -> Fault {
        Fault::retry(format!("{doing} ({}): no end before the deadline, so it was killed", self.remote.url))
    }

    /// What git's complaint means to a person.
    pub(super) fn explain(&self, ended: &Ended, doing: &str) -> Fault {
        let url = &self.remote.url;
        let said = &ended.stderr;
        let any = |phrases: &[&str]| phrases.iter().any(|phrase| said.contains(phrase));
        let error = format!("{doing} ({url}): git said: {}", read::shorten(said));
        if let Some(branch) = said.split("couldn't find remote ref refs/heads/").nth(1) {
            let branch = branch.lines().next().unwrap_or_default();
            return Fault::fail(
                format!("{url} has no branch '{branch}' (or is empty)"),
                format!("push a first commit to '{branch}', or correct the branch of this stage in the rules"),
            );
        }
        if any(&[
            "Authentication failed",
            "could not read Username",
            "could not read Password",
            "Permission denied",
            "error: 403",
        ]) {
            return Fault::fail(error, "give the engine credentials that may read and push this repository");
        }
        if any(&["Host key verification failed"]) {
            return Fault::fail(error, "add the host's key to the known hosts of the engine's user");
        }
        if any(&["dubious ownership"]) {
            return Fault::fail(
                error,
                "run as the repository's owner, or add it to safe.directory of the engine's user",
            );
        }
        if any(&["does not appear to be a git repository", "not found", "does not exist", "not a git repository"]) {
            return Fault::fail(error, "correct the repository's URL in the rules, or create the repository");
        }
        Fault::retry(error)
    }
}

/// Whether a refused push means that somebody else was faster, seen by us (`stale info`) or by the remote.
fn is_race(line: &str, said: &str) -> bool {
    const BY_US: [&str; 3] = ["stale info", "fetch first", "non-fast-forward"];
    const BY_THE_REMOTE: [&str; 5] =
        ["failed to update ref", "cannot lock ref", "incorrect old value", "reference already exists", "but expected"];
    let declined = line.contains("declined") || line.contains("denied");
    BY_US.iter().any(|phrase| line.contains(phrase))
        || (!declined && BY_THE_REMOTE.iter().any(|phrase| line.contains(phrase) || said.contains(phrase)))
}

/// The reason in git's own words, with what the remote added.
fn refusal(line: &str, said: &str) -> String {
    let reason = line.rsplit('\t').next().unwrap_or(line);
    let remote: Vec<_> = said.lines().filter_map(|line| line.strip_prefix("remote: ")).map(str::trim).collect();
    if remote.is_empty() { reason.to_owned() } else { format!("{reason}; {}", read::shorten(&remote.join(" "))) }
}
