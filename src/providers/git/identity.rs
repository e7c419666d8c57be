//! Who makes our commits.

/// The author and committer of every commit of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The name, for example `Tidegate`.
    pub name: String,
    /// The e-mail address.
    pub email: String,
}
