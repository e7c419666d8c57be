//! Whose signatures of commits count: what somebody listed, and what of it git's grade of a signature means.

use super::fault::object_fault;
use crate::providers::Fault;
use git2::{ErrorCode, Oid, Repository};
use std::collections::BTreeSet;
use std::path::PathBuf;

/// Whose signatures count.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Signers {
    /// The file of ssh keys, in git's format of allowed signers.
    pub ssh: Option<PathBuf>,
    /// The folder with the keys of `gpg` (`GNUPGHOME`): all keys in it count.
    pub openpgp: Option<PathBuf>,
    /// The fingerprints of certificates, hex digits.
    pub x509: BTreeSet<String>,
}

/// The kinds of signatures, as their first lines say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Ssh,
    Openpgp,
    X509,
}

impl Kind {
    pub(super) fn of(signature: &[u8]) -> Self {
        match signature {
            text if text.starts_with(b"-----BEGIN SSH SIGNATURE") => Self::Ssh,
            text if text.starts_with(b"-----BEGIN PGP ") => Self::Openpgp,
            _ => Self::X509,
        }
    }
}

impl Signers {
    /// Whether any key is listed at all.
    pub(super) fn lists_any(&self) -> bool {
        [Kind::Ssh, Kind::Openpgp, Kind::X509].into_iter().any(|kind| self.lists(kind))
    }

    /// Whether any key of this kind is listed.
    pub(super) fn lists(&self, kind: Kind) -> bool {
        match kind {
            Kind::Ssh => self.ssh.is_some(),
            Kind::Openpgp => self.openpgp.is_some(),
            Kind::X509 => !self.x509.is_empty(),
        }
    }

    /// Why a signature does not count, given git's grade and the key's fingerprint; nothing when it does.
    pub(super) fn refuse(&self, kind: Kind, (grade, key): (&str, &str)) -> Option<String> {
        if !self.lists(kind) {
            let name = match kind {
                Kind::Ssh => "ssh",
                Kind::Openpgp => "openpgp",
                Kind::X509 => "x509",
            };
            return Some(format!("it is signed, and `signers` of tidegate.toml lists nobody for {name}"));
        }
        let is_listed = match (kind, grade) {
            (Kind::Ssh, "G") => true,
            // Whether anybody vouches for a key is not asked: that it is in the folder is enough.
            (Kind::Openpgp, "G" | "U") => true,
            (Kind::X509, "G" | "U") => {
                let plain = |text: &str| text.replace(':', "").to_ascii_lowercase();
                self.x509.iter().any(|listed| plain(listed) == plain(key))
            }
            _ => false,
        };
        let by = if key.is_empty() { "a key".to_owned() } else { format!("the key {key}") };
        match grade {
            _ if is_listed => None,
            "B" => Some("its signature is not of this commit: one of the two was changed".to_owned()),
            "G" | "U" => Some(format!("it is signed with {by}, which is not listed")),
            "X" | "Y" => Some(format!("it is signed with {by}, and signature or key have expired")),
            "R" => Some(format!("it is signed with {by}, which was revoked")),
            _ => Some("its signature cannot be verified: the key is not listed".to_owned()),
        }
    }
}

/// Of which kind the signature of a commit is, where it has one.
pub(super) fn kind_of(repository: &Repository, id: Oid) -> Result<Option<Kind>, Fault> {
    match repository.extract_signature(&id, None) {
        Ok((signature, _)) => Ok(Some(Kind::of(&signature))),
        Err(error) if error.code() == ErrorCode::NotFound => Ok(None),
        Err(error) => Err(object_fault(&error)),
    }
}
