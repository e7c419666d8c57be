//! Who makes our commits, and whose name nobody else may use.

use std::collections::BTreeSet;

use git2::Signature;

/// The local parts of a forge's own addresses: it commits what somebody merges on its pages.
const FORGES_OWN: [&str; 2] = ["noreply", "no-reply"];

/// The author and committer of every commit of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The name, for example `Tidegate`.
    pub name: String,
    /// The e-mail address.
    pub email: String,
}

impl Identity {
    /// Whether this is the identity that commits for us, proved or not.
    pub(super) fn is(&self, signature: &Signature<'_>) -> bool {
        email(signature) == self.email.to_lowercase()
    }
}

/// Whether a committer is one of these forges, which commits in the place of whoever merges on its pages.
pub(super) fn is_forge(committer: &Signature<'_>, forges: &BTreeSet<String>) -> bool {
    let email = email(committer);
    let Some((local, host)) = email.rsplit_once('@') else { return false };
    FORGES_OWN.contains(&local) && forges.iter().any(|forge| forge.to_lowercase() == host)
}

fn email(signature: &Signature<'_>) -> String {
    String::from_utf8_lossy(signature.email_bytes()).trim().to_lowercase()
}
