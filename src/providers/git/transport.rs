//! What is asked of a remote: heads, fetch and push, through the `git` program; and what its answers mean.

use super::aside::head_at;
use super::mirror::Mirror;
use super::paths::check_branches;
use super::process::{Doing, Ended, Unfinished};
use super::refusal::{self, Refusal};
use crate::providers::Fault;
use git2::{ErrorCode, Oid, Repository};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// No limit, for what goes on while bytes arrive: silence ends what hangs. A year is longer than any clone.
pub const NO_LIMIT: Duration = Duration::from_secs(365 * 24 * 3_600);
/// How long the side that takes pushes is asked about a doubted read: a look waits meanwhile.
const PROOF_DEADLINE: Duration = Duration::from_secs(10);
/// How many hex digits a commit of SHA-1 has.
const SHA1_DIGITS: usize = 40;

/// The tags of a repository on this machine, with what each names in the end.
fn tags(repository: &Repository) -> Result<BTreeMap<String, String>, git2::Error> {
    let mut tags = BTreeMap::new();
    for reference in repository.references_glob("refs/tags/*")? {
        let reference = reference?;
        let named = reference.peel(git2::ObjectType::Any);
        if let (Ok(name), Ok(named)) = (reference.shorthand(), named) {
            let commit = named.peel_to_commit().map_or(named.id(), |commit| commit.id());
            tags.insert(name.to_owned(), commit.to_string());
        }
    }
    Ok(tags)
}

/// What became of a push that expected a certain head.
pub(super) enum Pushed {
    /// The branch is at our commit.
    Done,
    /// The branch was no longer at the expected head; nothing changed.
    Raced,
    /// It ended in a way that leaves open whether the branch moved, or it may be tried again; with what git complained of
    /// in the mirror.
    InDoubt { fault: Fault, complaint: String },
}

/// What branches and tags of a remote name.
#[derive(Debug, Default)]
pub struct Refs {
    /// Branch → its head; `None` for a branch that does not exist.
    pub heads: BTreeMap<String, Option<String>>,
    /// Tag → the commit, or whatever else, that it names in the end.
    pub tags: BTreeMap<String, String>,
}

impl Mirror {
    /// The heads of `branches` at the remote, in one request whatever their number; `None` for a branch that does
    /// not exist. Needs no lock. A remote on this machine is read in this process. Where what was read is older than what
    /// is known to be there, it is what is known.
    pub async fn heads(
        &self,
        branches: &[String],
        deadline: Duration,
    ) -> Result<BTreeMap<String, Option<String>>, Fault> {
        Ok(self.refs(branches, false, deadline).await?.heads)
    }

    /// The same with all tags, in the same request. What was read of a tag may be older than what is there.
    pub async fn heads_and_tags(&self, branches: &[String], deadline: Duration) -> Result<Refs, Fault> {
        self.refs(branches, true, deadline).await
    }

    async fn refs(&self, branches: &[String], with_tags: bool, deadline: Duration) -> Result<Refs, Fault> {
        let deadline = Instant::now() + deadline;
        check_branches(branches)?;
        let refs = match self.local_refs(branches, with_tags).await? {
            Some(refs) => refs,
            None => {
                let refs = self.ask_refs(branches, with_tags, deadline).await?;
                // Without a mirror nothing is known.
                if self.remote.directory.is_some() || !self.directory.join("HEAD").is_file() {
                    refs
                } else {
                    Refs { heads: self.newest_known_or_proved(&refs.heads, deadline).await?, ..refs }
                }
            }
        };
        for (branch, head) in &refs.heads {
            self.reads.saw(branch, head.as_deref().and_then(|id| Oid::from_str(id).ok()));
        }
        Ok(refs)
    }

    /// These heads, or where the mirror has newer ones, those: unless the side of the remote that takes pushes says the same.
    async fn newest_known_or_proved(
        &self,
        heads: &BTreeMap<String, Option<String>>,
        deadline: Instant,
    ) -> Result<BTreeMap<String, Option<String>>, Fault> {
        let mut newest = self.newest_known(heads).await?;
        for branch in heads.keys() {
            let Some(read) = self.reads.to_ask(branch) else { continue };
            let arguments = ["push", "--dry-run", "--porcelain", "--no-verify", "--no-recurse-submodules", "--"];
            let mut arguments: Vec<String> = arguments.map(str::to_owned).into();
            arguments.extend([self.remote.url.clone(), format!("{read}:refs/heads/{branch}")]);
            let deadline = deadline.min(Instant::now() + PROOF_DEADLINE);
            // Without an answer, or the right to push, there is no proof.
            let asked = self.git(&arguments, deadline, &format!("asking whether {branch} was taken back")).await;
            if asked.is_ok_and(|asked| asked.stdout.lines().any(|line| line.starts_with("=\t"))) {
                self.reads.is_proved(branch, read);
                newest.insert(branch.clone(), Some(read.to_string()));
            }
        }
        Ok(newest)
    }

    /// These heads, or where the mirror has newer ones, those.
    async fn newest_known(
        &self,
        heads: &BTreeMap<String, Option<String>>,
    ) -> Result<BTreeMap<String, Option<String>>, Fault> {
        let (reads, heads) = (Arc::clone(&self.reads), heads.clone());
        self.with_repository(move |repository| {
            let newest = |(branch, read): (String, Option<String>)| {
                let known = head_at(repository, &format!("refs/heads/{branch}"))?;
                let doubted = match (known, read.as_deref().map(Oid::from_str)) {
                    (Some(known), Some(Ok(read))) => reads.is_old(repository, &branch, read, known)?.then_some(known),
                    (Some(_), None) => reads.is_gone_in_doubt(&branch),
                    _ => None,
                };
                Ok((branch, doubted.map(|known| known.to_string()).or(read)))
            };
            heads.into_iter().map(newest).collect()
        })
        .await
    }

    /// Asks the remote for branches, and for its tags, in one request.
    async fn ask_refs(&self, branches: &[String], with_tags: bool, deadline: Instant) -> Result<Refs, Fault> {
        let mut arguments = vec!["ls-remote".to_owned(), "--quiet".to_owned(), self.remote.url.clone()];
        arguments.extend(branches.iter().map(|branch| format!("refs/heads/{branch}")));
        arguments.extend(with_tags.then(|| "refs/tags/*".to_owned()));
        let listed = self.git(&arguments, deadline, "asking for the heads").await?;
        if !listed.success {
            return Err(self.explain(&listed, "asking for the heads"));
        }
        self.warn_if_moved(&listed.stderr);
        let mut refs = Refs::default();
        refs.heads.extend(branches.iter().map(|branch| (branch.clone(), None)));
        for (id, name) in listed.stdout.lines().filter_map(|line| line.split_once('\t')) {
            if id.len() != SHA1_DIGITS {
                return Err(refusal::sha256(&self.remote.url));
            }
            // Patterns match the end of a name, so that refs of other folders may be listed, too.
            if let Some(head) = name.strip_prefix("refs/heads/").and_then(|branch| refs.heads.get_mut(branch)) {
                *head = Some(id.to_owned());
            } else if let Some(tag) = name.strip_prefix("refs/tags/").filter(|_| with_tags) {
                // What an annotated tag names comes after the tag itself.
                refs.tags.insert(tag.trim_end_matches("^{}").to_owned(), id.to_owned());
            }
        }
        Ok(refs)
    }

    /// Branches and tags of a remote on this machine, without a process; `None` when libgit2 cannot read it.
    async fn local_refs(&self, branches: &[String], with_tags: bool) -> Result<Option<Refs>, Fault> {
        let Some(directory) = self.remote.directory.clone() else { return Ok(None) };
        let branches = branches.to_vec();
        let read = tokio::task::spawn_blocking(move || {
            let repository = Repository::open(directory).ok()?;
            let head = |branch: String| match repository.refname_to_id(&format!("refs/heads/{branch}")) {
                Ok(id) => Some((branch, Some(id.to_string()))),
                Err(error) if error.code() == ErrorCode::NotFound => Some((branch, None)),
                Err(_) => None,
            };
            let heads = branches.into_iter().map(head).collect::<Option<_>>()?;
            let tags = if with_tags { tags(&repository).ok()? } else { BTreeMap::new() };
            Some(Refs { heads, tags })
        });
        let silence = self.git.silence;
        let read = timeout(silence, read).await.map_err(|_| self.unfinished("reading the heads", Some(silence)))?;
        read.map_err(|error| Fault::retry(format!("reading the heads broke off: {error}")))
    }

    /// Moves the remote's branch from `expected` to `commit`, or leaves it alone. Needs no lock: the commit is in the mirror.
    pub(super) async fn push(
        &self,
        branch: &str,
        commit: Oid,
        expected: Oid,
        deadline: Instant,
    ) -> Result<Pushed, Fault> {
        let arguments = [
            "push".to_owned(),
            "--porcelain".to_owned(),
            "--progress".to_owned(),
            "--no-verify".to_owned(),
            "--no-recurse-submodules".to_owned(),
            format!("--force-with-lease=refs/heads/{branch}:{expected}"),
            "--".to_owned(),
            self.remote.url.clone(),
            format!("{commit}:refs/heads/{branch}"),
        ];
        let what = format!("pushing to {branch}");
        let doing = Doing { what: &what, deadline };
        let in_doubt = |fault| Ok(Pushed::InDoubt { fault, complaint: String::new() });
        let pushed = match self.git.run(&self.directory, &self.remote, &arguments, doing).await {
            Ok(ended) => ended,
            Err(Unfinished::NotStarted(fault)) => return Err(fault),
            Err(Unfinished::TimedOut) => return in_doubt(self.unfinished(&what, None)),
            Err(Unfinished::Silent(silence)) => return in_doubt(self.unfinished(&what, Some(silence))),
        };
        if pushed.success {
            self.warn_if_moved(&pushed.stderr);
            return Ok(Pushed::Done);
        }
        match pushed.stdout.lines().find(|line| line.starts_with("!\t")) {
            Some(line) => match refusal::of_push(&self.remote.url, branch, line, &pushed.stderr) {
                Refusal::Race => Ok(Pushed::Raced),
                Refusal::Passing(fault) => in_doubt(fault),
                Refusal::Lasting(fault) => Err(fault),
            },
            None => match self.explain(&pushed, &what) {
                fail @ Fault::Fail { .. } => Err(fail),
                fault @ Fault::Retry { .. } => Ok(Pushed::InDoubt { fault, complaint: pushed.stderr }),
            },
        }
    }

    /// Runs `git` with a deadline, for what can simply be tried again.
    pub(super) async fn git(&self, arguments: &[String], deadline: Instant, doing: &str) -> Result<Ended, Fault> {
        match self.git.run(&self.directory, &self.remote, arguments, Doing { what: doing, deadline }).await {
            Ok(ended) => Ok(ended),
            Err(Unfinished::NotStarted(fault)) => Err(fault),
            Err(Unfinished::TimedOut) => Err(self.unfinished(doing, None)),
            Err(Unfinished::Silent(silence)) => Err(self.unfinished(doing, Some(silence))),
        }
    }

    /// What it means that something had to be killed: after so long a silence, or at its deadline.
    fn unfinished(&self, doing: &str, silence: Option<Duration>) -> Fault {
        let why = match silence {
            Some(silence) => format!("nothing was heard for {silence:?}"),
            None => "no end before the deadline".to_owned(),
        };
        Fault::retry(format!("{doing} ({}): {why}, so it was ended", self.remote.url))
    }

    /// What git's complaint means to a person.
    pub(super) fn explain(&self, ended: &Ended, doing: &str) -> Fault {
        refusal::of_remote(&self.remote.url, doing, &ended.stderr)
    }

    /// Says once that the repository has moved, and that it works as long as it is redirected.
    pub(super) fn warn_if_moved(&self, said: &str) {
        if let Some(to) = refusal::moved_to(said)
            && self.moved.set(()).is_ok()
        {
            let url = &self.remote.url;
            tracing::warn!(url, to, "a repository has moved, and is found by a redirect: correct its URL in the rules");
        }
    }
}
