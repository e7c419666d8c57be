//! The secret of an installation: all that share a store share it, and nobody else has it.

use std::fmt;

use crate::engine::Digest;

/// 32 random bytes. `Debug` hides them, and nothing else shows them but [`InstallationSecret::expose`].
#[derive(Clone, PartialEq, Eq)]
pub struct InstallationSecret([u8; 32]);

impl InstallationSecret {
    pub(super) const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// What tells it from others and does not show it.
    #[must_use]
    pub fn fingerprint(&self) -> Digest {
        Digest::of(&[b"tidegate secret fingerprint 1".as_slice(), &self.0].concat())
    }

    /// The bytes themselves, for the one call that needs them.
    #[must_use]
    pub const fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for InstallationSecret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("InstallationSecret(…)")
    }
}
