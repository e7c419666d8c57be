//! Who signed commits that are in the mirror. git verifies, by its own programs. A commit of ours needs no signature: its proof
//! says that we made it, and where.

use super::authorship::{named, new_ids};
use super::fault::{disk_fault, object_fault};
use super::mirror::Mirror;
use super::proof::CommitPlace;
use super::signers::{Kind, kind_of};
use super::{paths, read};
use crate::providers::Fault;
use git2::Oid;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::Duration;
use tokio::time::Instant;

/// How many new commits are looked at: each costs a process or two.
const MOST_COMMITS: usize = 1_000;
/// How many of them one `git` is asked about: what a command line takes.
const AT_ONCE: usize = 200;
/// Verifies certificates without a network: from where their issuers' lists of revoked ones would come, they say themselves.
const ALONE: &str = "#!/bin/sh\nexec gpgsm --disable-dirmngr \"$@\"\n";
/// The file of that program in a mirror.
const ALONE_FILE: &str = "gpgsm-alone";

/// What git says of a signature; nothing is said of one that it cannot check.
#[derive(Debug, Default)]
struct Verdict {
    grade: String,
    trust: String,
    key: String,
    primary: String,
}

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
        let new: Vec<(Oid, Kind)> = new.into_iter().filter_map(|(id, kind)| Some((id, kind?))).collect();
        for some in new.chunks(AT_ONCE) {
            let verified = self.verified(some, deadline).await?;
            for (id, _) in some {
                if let Some(Err(why)) = verified.get(id) {
                    return self.described(*id, why.clone()).await.map(Some);
                }
            }
        }
        Ok(None)
    }

    /// The key that signed each of these commits, of OpenPGP the primary one; or why its signature does not count.
    pub(super) async fn verified(
        &self,
        commits: &[(Oid, Kind)],
        deadline: Instant,
    ) -> Result<BTreeMap<Oid, Result<String, String>>, Fault> {
        let mut verified = BTreeMap::new();
        for some in commits.chunks(AT_ONCE) {
            let of = |wanted: fn(Kind) -> bool| -> Vec<Oid> {
                let asked = some.iter().filter(|(_, kind)| self.signers.lists(*kind) && wanted(*kind));
                asked.map(|(id, _)| *id).collect()
            };
            let (keys, certificates) = (of(|kind| kind != Kind::X509), of(|kind| kind == Kind::X509));
            let mut verdicts = self.verdicts(keys, &[], deadline).await?;
            if !certificates.is_empty() {
                verdicts.extend(self.certified(certificates, deadline).await?);
            }
            for (id, kind) in some {
                let unsure = Verdict::default();
                let verdict = verdicts.get(id).unwrap_or(&unsure);
                let Verdict { key, primary, .. } = verdict;
                let owned = if *kind == Kind::Openpgp && !primary.is_empty() { primary } else { key };
                verified.insert(*id, self.refused(*kind, verdict).map_or_else(|| Ok(owned.clone()), Err));
            }
        }
        Ok(verified)
    }

    fn refused(&self, kind: Kind, Verdict { grade, trust, key, .. }: &Verdict) -> Option<String> {
        self.signers.refuse(kind, (grade, trust, key))
    }

    /// What git says of signatures with certificates. Only of those that are listed is it asked whether they were revoked, for
    /// that asks the address that a certificate names, and whoever pushes can bring one of their own.
    async fn certified(&self, ids: Vec<Oid>, deadline: Instant) -> Result<BTreeMap<Oid, Verdict>, Fault> {
        let program = format!("gpg.x509.program={}", self.verifier_alone()?.display());
        let mut verdicts = self.verdicts(ids, &["-c", &program], deadline).await?;
        let listed = verdicts.iter().filter(|(_, verdict)| self.refused(Kind::X509, verdict).is_none());
        let listed = listed.map(|(id, _)| *id).collect();
        verdicts.extend(self.verdicts(listed, &[], deadline).await?);
        Ok(verdicts)
    }

    /// The program that verifies without a network, written where it is not there.
    fn verifier_alone(&self) -> Result<PathBuf, Fault> {
        let path = self.directory.join(ALONE_FILE);
        if fs::metadata(&path).is_ok_and(|file| usize::try_from(file.len()) == Ok(ALONE.len())) {
            return Ok(path);
        }
        let partial = self.directory.join(format!("{ALONE_FILE}.{}", std::process::id()));
        let written = fs::write(&partial, ALONE)
            .and_then(|()| fs::set_permissions(&partial, fs::Permissions::from_mode(0o700)))
            .and_then(|()| fs::rename(&partial, &path));
        written.map_err(|error| disk_fault("writing", &path, &error)).map(|()| path)
    }

    /// What git says of the signatures of commits: its grade, its trust, the key's fingerprint, and that of the primary key
    /// (`%G?`, `%GT`, `%GF` and `%GP` of git-log(1)).
    async fn verdicts(
        &self,
        ids: Vec<Oid>,
        settings: &[&str],
        deadline: Instant,
    ) -> Result<BTreeMap<Oid, Verdict>, Fault> {
        if ids.is_empty() {
            return Ok(BTreeMap::new());
        }
        let mut arguments: Vec<String> = settings.iter().map(|setting| (*setting).to_owned()).collect();
        if let Some(file) = &self.signers.ssh {
            arguments.extend(["-c".to_owned(), format!("gpg.ssh.allowedSignersFile={}", file.display())]);
        }
        arguments.extend(
            ["log", "--no-walk=unsorted", "--no-show-signature", "--format=%H %G? %GT %GF %GP"].map(str::to_owned),
        );
        arguments.extend(ids.iter().map(Oid::to_string));
        let ended = self.git(&arguments, deadline, "verifying signatures").await?;
        if !ended.success {
            return Err(self.explain(&ended, "verifying signatures"));
        }
        let verdict = |line: &str| {
            let mut words = line.split(' ');
            let id = Oid::from_str(words.next()?).ok()?;
            let mut word = || words.next().map(str::to_owned);
            let (grade, trust) = (word()?, word()?);
            Some((id, Verdict { grade, trust, key: word().unwrap_or_default(), primary: word().unwrap_or_default() }))
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
