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

/// The kinds of signatures, as their first lines say (git's `gpg-interface.c`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Ssh,
    Openpgp,
    X509,
    /// One that git does not know: asked about it, it would end, and say nothing of all others.
    Other,
}

impl Kind {
    pub(super) fn of(signature: &[u8]) -> Self {
        const BEGINNINGS: [(&[u8], Kind); 4] = [
            (b"-----BEGIN SSH SIGNATURE-----", Kind::Ssh),
            (b"-----BEGIN PGP SIGNATURE-----", Kind::Openpgp),
            (b"-----BEGIN PGP MESSAGE-----", Kind::Openpgp),
            (b"-----BEGIN SIGNED MESSAGE-----", Kind::X509),
        ];
        let begins = BEGINNINGS.into_iter().find(|(beginning, _)| signature.starts_with(beginning));
        begins.map_or(Self::Other, |(_, kind)| kind)
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
            Kind::Other => false,
        }
    }

    /// Why a signature does not count, given git's grade, its trust and the key's fingerprint; nothing when it does.
    pub(super) fn refuse(&self, kind: Kind, (grade, trust, key): (&str, &str, &str)) -> Option<String> {
        if !self.lists(kind) {
            let name = match kind {
                Kind::Ssh => "ssh",
                Kind::Openpgp => "openpgp",
                Kind::X509 => "x509",
                Kind::Other => return Some("its signature is of no kind that git verifies".to_owned()),
            };
            return Some(format!("it is signed, and `signers` of tidegate.toml lists nobody for {name}"));
        }
        // So it is with a certificate that a revocation list names: git's grade does not tell it from one that nobody vouches for.
        let is_distrusted = trust == "never";
        let is_listed = match (kind, grade) {
            _ if is_distrusted => false,
            (Kind::Ssh, "G") => true,
            // Whether anybody vouches for a key is not asked: that it is in the folder is enough.
            (Kind::Openpgp, "G" | "U") => true,
            (Kind::X509, "G" | "U") => {
                let plain = |text: &str| text.replace([':', ' '], "").to_ascii_lowercase();
                self.x509.iter().any(|listed| plain(listed) == plain(key))
            }
            _ => false,
        };
        let by = if key.is_empty() { "a key".to_owned() } else { format!("the key {key}") };
        match grade {
            _ if is_listed => None,
            "B" => Some("its signature is not of this commit: one of the two was changed".to_owned()),
            "G" | "U" if is_distrusted => {
                Some(format!("it is signed with {by}, which was revoked, or whose issuer is not to be trusted"))
            }
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
