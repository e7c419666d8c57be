//! What a commit of ours says, and how it is written with its proof.

use super::fault::object_fault;
use super::history::Effect;
use super::identity::Identity;
use super::proof::{self, CommitPlace, Proofs};
use super::trailers::{KEY_TRAILER, RESTORES_TRAILER, TAKES_AWAY_TRAILER};
use crate::providers::Fault;
use git2::{Commit, Oid, Repository, Signature, Time};

/// What a commit of ours says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitMessage {
    /// The system for which it is made; its proof is of that.
    pub system: String,
    /// The repository, as the system's rules call it; its proof is of that.
    pub repository: String,
    /// The first line.
    pub subject: String,
    /// Paragraphs below it; may be empty.
    pub body: String,
    /// Trailers beside the key: names of letters, digits and hyphens, values of one line.
    pub trailers: Vec<(String, String)>,
    /// The identity of the effect; becomes the last trailer but the proof.
    pub key: String,
    /// Author and committer time in milliseconds since 1970, cut to seconds. Given by the caller, so that the same
    /// change on the same head is the same commit.
    pub committed_at_ms: i64,
}

impl CommitMessage {
    /// Where the commit is made.
    pub(super) fn place(&self, branch: &str) -> CommitPlace {
        let Self { system, repository, .. } = self;
        CommitPlace { system: system.clone(), repository: repository.clone(), branch: branch.to_owned() }
    }

    /// The effect that a commit with this message is.
    pub(super) fn effect(&self) -> Effect {
        Effect::new(&self.key, &self.trailers)
    }

    /// Writes a commit object of ours with this message and its proof; no branch moves.
    pub(super) fn commit(
        &self,
        repository: &Repository,
        (identity, proofs): (&Identity, &Proofs),
        branch: &str,
        tree: Oid,
        parents: &[Oid],
    ) -> Result<Oid, Fault> {
        let unproved = || {
            let time = Time::new(self.committed_at_ms.div_euclid(1000), 0);
            let signature = Signature::new(&identity.name, &identity.email, &time)?;
            let parents = parents.iter().map(|id| repository.find_commit(*id)).collect::<Result<Vec<_>, _>>()?;
            let parents: Vec<&Commit<'_>> = parents.iter().collect();
            let tree = repository.find_tree(tree)?;
            repository.commit_create_buffer(&signature, &signature, &self.text(), &tree, &parents)
        };
        let unproved = unproved().map_err(|error: git2::Error| object_fault(&error))?;
        proof::write_proved(repository, proofs, &self.place(branch), &unproved)
    }

    /// The same of a commit that goes back: what comes back, and what goes away, become trailers.
    pub(super) fn going_back(mut self, restores: &str, takes_away: &str) -> Self {
        self.trailers.push((RESTORES_TRAILER.to_owned(), restores.to_owned()));
        self.trailers.push((TAKES_AWAY_TRAILER.to_owned(), takes_away.to_owned()));
        self
    }

    /// Refuses what could not be read back from the commit.
    pub(super) fn check(&self) -> Result<(), Fault> {
        let one_line = |text: &str| !text.trim().is_empty() && !text.contains(char::is_control);
        let name =
            |text: &str| !text.is_empty() && text.chars().all(|each| each.is_ascii_alphanumeric() || each == '-');
        let sound = one_line(&self.subject)
            && one_line(&self.key)
            && self.key.trim() == self.key
            && !self.body.contains('\0')
            && self.trailers.iter().all(|(key, value)| name(key) && !value.contains(char::is_control));
        if sound {
            return Ok(());
        }
        Err(Fault::fail(
            format!("the commit message '{}' cannot be written", self.subject.escape_debug()),
            "keep subject, key and trailers each to one line; trailer names are letters, digits and hyphens",
        ))
    }

    fn text(&self) -> String {
        let mut text = format!("{}\n\n", self.subject.trim());
        if !self.body.trim().is_empty() {
            text.push_str(self.body.trim());
            text.push_str("\n\n");
        }
        for (name, value) in &self.trailers {
            text.push_str(&format!("{name}: {value}\n"));
        }
        text + &format!("{KEY_TRAILER}: {}\n", self.key)
    }
}
