//! Who signed commits that are in the mirror. git verifies, by its own programs. A commit of ours needs no signature: its proof
//! says that we made it, and where.

use super::authorship::{named, new_ids};
use super::fault::object_fault;
use super::mirror::Mirror;
use super::proof::CommitPlace;
use super::signers::Kind;
use super::{paths, read};
use crate::providers::Fault;
use git2::{ErrorCode, Oid, Repository};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

/// How many new commits are looked at: each costs a process or two.
const MOST_COMMITS: usize = 1_000;
/// How many of them one `git` is asked about: what a command line takes.
const AT_ONCE: usize = 200;

/// A commit that nobody listed has signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsigned {
    /// 40 hex digits.
    pub commit: String,
    /// Who wrote it, as in `Ada <ada@example.com>`.
    pub author: String,
    /// The first line of its message.
    pub subject: String,
    /// What is wrong with its signature, as in `it has no signature`.
    pub why: String,
}

impl Unsigned {
    /// That it is not carried, for a person.
    #[must_use]
    pub fn refused(&self, repository: &str, branch: &str) -> Fault {
        let Self { commit, author, subject, why } = self;
        Fault::fail(
            format!(
                "commit {} on {branch} of {repository} by {author} (\"{subject}\") is not carried: {why}",
                &commit[..commit.len().min(12)]
            ),
            "sign it with a listed key and push it again, or list the key in `signers` of tidegate.toml; \
             `require_signatures` of the rules asks for it",
        )
    }
}

impl Mirror {
    /// A commit that is at or below `head` and neither at nor below one of `known`, and that neither we made nor anybody who is
    /// listed has signed; the oldest. Where nothing is known, the head alone is asked. What a merge of ours brought to the first
    /// of `places` is not new, for it was new where it came from.
    ///
    /// # Errors
    /// `Fail` when there are too many to look at, `Retry` when the programs that verify do not end in time.
    pub async fn unsigned(
        &self,
        places: &[CommitPlace],
        known: &[String],
        head: &str,
        deadline: Duration,
    ) -> Result<Option<Unsigned>, Fault> {
        let deadline = Instant::now() + deadline;
        let (places, known, head) = (places.to_vec(), known.to_vec(), head.to_owned());
        let history = self.history.clone();
        let new = self
            .with_repository(move |repository| {
                let head = paths::find_commit(repository, &head)?.id();
                let ids = match known.is_empty() {
                    true => vec![head],
                    false => new_ids(repository, &history, &places, &known, head)?,
                };
                if ids.len() > MOST_COMMITS {
                    return Err(Fault::fail(
                        format!("more than {MOST_COMMITS} new commits must be signed, too many to look at"),
                        "push them in parts",
                    ));
                }
                let mut new = Vec::new();
                for id in ids.into_iter().rev() {
                    let commit = repository.find_commit(id).map_err(|error| object_fault(&error))?;
                    let is_ours = history.is_ours(repository, &places, id)?
                        || history.made_elsewhere(repository, &places, &commit)?.is_some();
                    if !is_ours {
                        new.push((id, kind_of(repository, id)?));
                    }
                }
                Ok(new)
            })
            .await?;
        if let Some((id, _)) = new.iter().find(|(_, kind)| kind.is_none()) {
            return self.described(*id, "it has no signature".to_owned()).await.map(Some);
        }
        for some in new.chunks(AT_ONCE) {
            let verdicts = self.verdicts(some.iter().map(|(id, _)| *id), deadline).await?;
            for (id, kind) in some {
                let verdict = verdicts.get(id).map_or(("E", ""), |(grade, key)| (grade.as_str(), key.as_str()));
                if let Some(why) = kind.and_then(|kind| self.signers.refuse(kind, verdict)) {
                    return self.described(*id, why).await.map(Some);
                }
            }
        }
        Ok(None)
    }

    /// What git says of the signatures of commits: its grade and the key's fingerprint (`%G?` and `%GF` of git-log(1)).
    async fn verdicts(
        &self,
        ids: impl Iterator<Item = Oid>,
        deadline: Instant,
    ) -> Result<BTreeMap<Oid, (String, String)>, Fault> {
        let mut arguments = Vec::new();
        if let Some(file) = &self.signers.ssh {
            arguments.extend(["-c".to_owned(), format!("gpg.ssh.allowedSignersFile={}", file.display())]);
        }
        arguments
            .extend(["log", "--no-walk=unsorted", "--no-show-signature", "--format=%H %G? %GF"].map(str::to_owned));
        arguments.extend(ids.map(|id| id.to_string()));
        let ended = self.git(&arguments, deadline, "verifying signatures").await?;
        if !ended.success {
            return Err(self.explain(&ended, "verifying signatures"));
        }
        let verdict = |line: &str| {
            let mut words = line.split(' ');
            let id = Oid::from_str(words.next()?).ok()?;
            Some((id, (words.next()?.to_owned(), words.next().unwrap_or_default().to_owned())))
        };
        Ok(ended.stdout.lines().filter_map(verdict).collect())
    }

    async fn described(&self, id: Oid, why: String) -> Result<Unsigned, Fault> {
        self.with_repository(move |repository| {
            let commit = repository.find_commit(id).map_err(|error| object_fault(&error))?;
            let subject = String::from_utf8_lossy(commit.summary_bytes().unwrap_or_default()).into_owned();
            let (author, subject) = (read::shorten(&named(&commit.author())), read::shorten(&subject));
            Ok(Unsigned { commit: id.to_string(), author, subject, why })
        })
        .await
    }
}

fn kind_of(repository: &Repository, id: Oid) -> Result<Option<Kind>, Fault> {
    match repository.extract_signature(&id, None) {
        Ok((signature, _)) => Ok(Some(Kind::of(&signature))),
        Err(error) if error.code() == ErrorCode::NotFound => Ok(None),
        Err(error) => Err(object_fault(&error)),
    }
}
