//! Whose keys have signed commits, and whom these commits name. What a key means is for others to say.

use super::mirror::Mirror;
use super::read;
use super::signers::{Kind, kind_of};
use crate::providers::Fault;
use git2::{Commit, Oid, Repository};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::time::Instant;

/// Of how many commits it is asked who signed them: each costs a process or two. What comes after them counts as not signed.
const MOST_COMMITS: usize = 1_000;
/// How many names are kept, as many as of authors.
const MOST_NAMES: usize = 500;
/// How long verifying may take.
const DEADLINE: Duration = Duration::from_secs(120);

/// The commits that one key has signed, or that none has that is listed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SignedNames {
    /// The fingerprint of the key; of OpenPGP that of the primary key.
    pub key: Option<String>,
    /// Whom they name, as in `Ada <ada@example.com>`.
    pub names: BTreeSet<String>,
    /// The newest of them and what is to be said of it, as in `commit 1234567 by Ada <ada@example.com>: it has no signature`.
    pub example: String,
}

/// A commit of which it is asked who signed it.
pub(super) struct Asked {
    id: Oid,
    kind: Option<Kind>,
    names: Vec<String>,
}

impl Asked {
    pub(super) fn of(repository: &Repository, commit: &Commit<'_>, names: Vec<String>) -> Result<Self, Fault> {
        Ok(Self { id: commit.id(), kind: kind_of(repository, commit.id())?, names })
    }
}

impl Mirror {
    /// Whether any key is listed at all.
    #[must_use]
    pub fn lists_signers(&self) -> bool {
        self.signers.lists_any()
    }

    /// Who signed these commits, the newest first.
    pub(super) async fn signed_names(&self, asked: Vec<Asked>) -> Result<Vec<SignedNames>, Fault> {
        let deadline = Instant::now() + DEADLINE;
        let signed: Vec<(Oid, Kind)> =
            asked.iter().filter_map(|commit| Some((commit.id, commit.kind?))).take(MOST_COMMITS).collect();
        let verified = self.verified(&signed, deadline).await?;
        let mut by_key: BTreeMap<Option<String>, SignedNames> = BTreeMap::new();
        for Asked { id, kind, names } in asked {
            let verdict = match (kind, verified.get(&id)) {
                (None, _) => Err("it has no signature".to_owned()),
                (Some(_), Some(verdict)) => verdict.clone(),
                (Some(_), None) => Err(format!("more than {MOST_COMMITS} commits are signed, too many to verify")),
            };
            let (key, said) = match verdict {
                Ok(key) => (Some(key.clone()), format!("it is signed with the key {key}, which is nobody's")),
                Err(why) => (None, why),
            };
            let author = names.first().map(|author| read::shorten(author)).unwrap_or_default();
            let one = by_key.entry(key.clone()).or_insert_with(|| SignedNames {
                key,
                names: BTreeSet::new(),
                example: format!("commit {} by {author}: {said}", &id.to_string()[..12]),
            });
            let room = MOST_NAMES.saturating_sub(one.names.len());
            one.names.extend(names.into_iter().take(room));
        }
        Ok(by_key.into_values().collect())
    }
}
