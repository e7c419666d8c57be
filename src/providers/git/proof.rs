//! The proof that a commit is ours. Whoever can push can write our trailers, or push a commit of ours to another branch; so
//! the last trailer of a commit of ours is an HMAC, made with this installation's secret, of all the rest of it and of
//! where it was made. What does not verify is somebody else's commit, whatever it says of itself.

use super::fault::object_fault;
use super::signing::Signer;
use super::trailers::PROOF_TRAILER;
use crate::providers::Fault;
use git2::{ObjectType, Oid, Repository};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::sync::Arc;

/// What is proved, and by which version of the rule above: no proof of ours is ever read as one of something else.
const PURPOSE: &[u8] = b"tidegate commit 1";

/// Makes proofs and verifies them, with the secret of this installation; and signs what it has proved, where it is to.
#[derive(Clone)]
pub struct Proofs {
    secret: Option<Arc<[u8; 32]>>,
    signer: Option<Arc<Signer>>,
}

/// Where a commit of ours is made. Its proof holds nowhere else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitPlace {
    /// The system.
    pub system: String,
    /// The repository, as the system's rules call it.
    pub repository: String,
    /// The branch.
    pub branch: String,
}

impl Proofs {
    /// Proofs made with this secret.
    #[must_use]
    pub fn with(secret: &[u8; 32]) -> Self {
        Self { secret: Some(Arc::new(*secret)), signer: None }
    }

    /// For who only reads: no commit is ours, and none can be made.
    #[must_use]
    pub const fn none() -> Self {
        Self { secret: None, signer: None }
    }

    /// The same, whose commits are signed as well; with nothing, they are not.
    #[must_use]
    pub fn signed_by(mut self, signer: Option<Signer>) -> Self {
        self.signer = signer.map(Arc::new);
        self
    }

    /// The last line of a commit of ours, of which `unproved` is all the rest.
    pub(super) fn line(&self, place: &CommitPlace, unproved: &[u8]) -> Result<String, Fault> {
        let Some(mac) = self.mac(place, unproved) else {
            return Err(Fault::fail("nothing is written from here", "this is a mistake in Tidegate"));
        };
        let mut line = format!("{PROOF_TRAILER}: ");
        for byte in mac.finalize().into_bytes() {
            write!(line, "{byte:02x}").expect("a text takes whatever is written to it");
        }
        Ok(line + "\n")
    }

    /// Whether a commit is one that we made there.
    pub(super) fn is_ours(&self, place: &CommitPlace, repository: &Repository, id: Oid) -> Result<bool, Fault> {
        let objects = repository.odb().map_err(|error| object_fault(&error))?;
        let commit = objects.read(id).map_err(|error| object_fault(&error))?;
        let unsigned = without_signature(commit.data());
        let proved = split(&unsigned);
        Ok(proved.is_some_and(|(unproved, proof)| {
            // In constant time.
            self.mac(place, unproved).is_some_and(|mac| mac.verify_slice(&proof).is_ok())
        }))
    }

    fn mac(&self, place: &CommitPlace, unproved: &[u8]) -> Option<Hmac<Sha256>> {
        let CommitPlace { system, repository, branch } = place;
        let mut mac = Hmac::<Sha256>::new_from_slice(self.secret.as_deref()?).expect("HMAC takes keys of any length");
        for part in [PURPOSE, system.as_bytes(), repository.as_bytes(), branch.as_bytes(), unproved] {
            // With its length before it, no part can be read as the end or beginning of another.
            mac.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            mac.update(part);
        }
        Some(mac)
    }
}

impl fmt::Debug for Proofs {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Proofs(…)")
    }
}

/// Writes a commit object as it stands, with its proof and, where that is set, its signature, which is of the proof as well.
pub(super) fn write_proved(
    repository: &Repository,
    proofs: &Proofs,
    place: &CommitPlace,
    unproved: &[u8],
) -> Result<Oid, Fault> {
    let line = proofs.line(place, unproved)?;
    let commit = [unproved, line.as_bytes()].concat();
    if let Some(signer) = &proofs.signer {
        let signature = signer.sign_blocking(&commit)?;
        let text = std::str::from_utf8(&commit);
        let text = text.map_err(|error| Fault::fail(error.to_string(), "this is a mistake in Tidegate"))?;
        return repository.commit_signed(text, &signature, None).map_err(|error| object_fault(&error));
    }
    let written = repository.odb().and_then(|objects| objects.write(ObjectType::Commit, &commit));
    written.map_err(|error| object_fault(&error))
}

/// A commit object as it was before it was signed: without the header `gpgsig`.
fn without_signature(commit: &[u8]) -> Cow<'_, [u8]> {
    const NAME: &[u8] = b"\ngpgsig ";
    let header = commit.windows(2).position(|pair| pair == b"\n\n").unwrap_or(commit.len());
    let Some(start) = commit[..header].windows(NAME.len()).position(|window| window == NAME) else {
        return Cow::Borrowed(commit);
    };
    let mut end = start + 1;
    loop {
        end += commit[end..].iter().position(|byte| *byte == b'\n').map_or(commit.len() - end, |line| line + 1);
        if commit.get(end) != Some(&b' ') {
            return Cow::Owned([&commit[..=start], &commit[end..]].concat());
        }
    }
}

/// A commit object without its last line, and the proof that the line says; `None` when it says none.
fn split(commit: &[u8]) -> Option<(&[u8], Vec<u8>)> {
    let lines = commit.strip_suffix(b"\n")?;
    let start = lines.iter().rposition(|byte| *byte == b'\n')? + 1;
    let digits = lines[start..].strip_prefix(PROOF_TRAILER.as_bytes())?.strip_prefix(b": ")?;
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    let proof = digits.chunks(2).map(byte).collect::<Option<Vec<u8>>>()?;
    Some((&commit[..start], proof))
}

#[cfg(test)]
mod tests {
    use super::without_signature;

    #[test]
    fn a_signature_is_taken_out_and_nothing_else() {
        let plain = b"tree 1\nauthor A\ncommitter A\n\nSubject\n\nTidegate-Proof: 00\n";
        let signed =
            b"tree 1\nauthor A\ncommitter A\ngpgsig -----BEGIN\n \n AAAA\n -----END\n\nSubject\n\nTidegate-Proof: 00\n";
        assert_eq!(&*without_signature(signed), plain);
        assert_eq!(&*without_signature(plain), plain);
        let quoted = b"tree 1\n\nSubject\n\ngpgsig x\n y\n";
        assert_eq!(&*without_signature(quoted), quoted, "in a message it is text");
        assert_eq!(&*without_signature(b"tree 1\ngpgsig x"), b"tree 1\n");
        assert_eq!(&*without_signature(b""), b"");
    }
}
