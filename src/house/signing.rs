//! What `tidegate.toml` says of signatures: with what our commits are signed, and whose signatures of others count.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::providers::{
    Fault,
    git::{self, SIGNING_DEADLINE, Signer, SigningFormat},
};

/// What is signed to see that it can be.
const TRIAL: &[u8] = b"tidegate tries its key\n";

/// With what the commits of Tidegate are signed, as git does it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Signing {
    /// `ssh`, `openpgp` or `x509`, as in git's `gpg.format`.
    pub format: SigningFormat,
    /// For `ssh` the file of the private key, or of the public one when an agent has the private one; for the others the key
    /// as `gpg` or `gpgsm` knows it, best its fingerprint.
    pub key: String,
    /// The program that signs, where it is not `ssh-keygen`, `gpg` or `gpgsm` of `PATH`.
    #[serde(default)]
    pub program: Option<PathBuf>,
}

/// Whose signatures count where rules say `require_signatures`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Signers {
    /// A file of ssh keys, in git's format of `allowed_signers`.
    pub ssh: Option<PathBuf>,
    /// A folder of `gpg` (a `GNUPGHOME`): every key in it counts.
    pub openpgp: Option<PathBuf>,
    /// Fingerprints of certificates, as `gpgsm --list-keys` shows them.
    pub x509: BTreeSet<String>,
}

impl Signing {
    /// Makes the paths absolute: relative ones are from the settings' folder.
    pub(crate) fn resolve(&mut self, folder: &Path) {
        if self.format == SigningFormat::Ssh {
            self.key = folder.join(&self.key).display().to_string();
        }
        // A plain name is looked for in `PATH`.
        let is_path = |program: &PathBuf| program.components().count() > 1;
        self.program = self.program.take().map(|it| if is_path(&it) { folder.join(it) } else { it });
    }

    /// What signs, with these variables.
    pub(crate) fn signer(&self, environment: Vec<(String, String)>) -> Signer {
        let program = self.program.clone().unwrap_or_else(|| PathBuf::from(self.format.program()));
        Signer { format: self.format, key: self.key.clone(), program, environment, deadline: SIGNING_DEADLINE }
    }
}

impl Signers {
    /// Makes the paths absolute: relative ones are from the settings' folder.
    pub(crate) fn resolve(&mut self, folder: &Path) {
        for path in [&mut self.ssh, &mut self.openpgp].into_iter().flatten() {
            *path = folder.join(&*path);
        }
    }

    pub(crate) fn known(&self) -> git::Signers {
        let Self { ssh, openpgp, x509 } = self.clone();
        git::Signers { ssh, openpgp, x509 }
    }
}

/// Whether something can be signed.
///
/// # Errors
/// Why not, and what to do.
pub(crate) async fn try_it(signer: &Signer) -> Result<(), Fault> {
    signer.sign(TRIAL).await.map(drop)
}
