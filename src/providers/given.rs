//! What a command is given beside its folders: secrets, each as a file that it can only read, and folders that outlive it.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::redaction::Redaction;
use crate::providers::{Fault, files};

/// The largest secret: a key store, not a file of data.
const LARGEST_BYTES: u64 = 64 * 1024;
/// The shortest: what is shorter is in every text, and could not be taken out of what commands print.
const SHORTEST_BYTES: usize = 6;

/// Where a secret is, and how a command is told where it finds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretPlace {
    /// Its name: in a box it is `/run/secrets/NAME`.
    pub name: String,
    /// The environment variable that says where it is.
    pub variable: String,
    /// The file that holds it.
    pub path: PathBuf,
}

impl SecretPlace {
    /// The secret, with its place.
    ///
    /// # Errors
    /// When the file cannot be read, is too large, or holds too little.
    pub fn read(&self) -> Result<GivenSecret, Fault> {
        let value = read_secret(&self.path).map_err(|error| {
            let hint = format!("mend `[secrets.{}]` in tidegate.toml", self.name);
            Fault::fail(format!("the secret `{}`: {error}", self.name), hint)
        })?;
        Ok(GivenSecret { place: self.clone(), value })
    }

    /// Where the command finds it.
    pub(super) fn seen(&self, boxed: bool) -> PathBuf {
        if boxed { Path::new("/run/secrets").join(&self.name) } else { self.path.clone() }
    }
}

/// A secret that a command is given.
#[derive(Clone, PartialEq, Eq)]
pub struct GivenSecret {
    /// Where it is.
    pub place: SecretPlace,
    /// The secret itself.
    pub value: Vec<u8>,
}

impl std::fmt::Debug for GivenSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "GivenSecret({})", self.place.name)
    }
}

/// The secret in a file, or why it cannot be used.
///
/// # Errors
/// When the file cannot be read, is too large, or holds too little.
pub fn read_secret(file: &Path) -> Result<Vec<u8>, String> {
    let path = file.display();
    let found = fs::metadata(file).map_err(|error| format!("{path} cannot be read: {error}"))?;
    if !found.is_file() || found.len() > LARGEST_BYTES {
        return Err(format!("{path} is no file of at most {LARGEST_BYTES} bytes"));
    }
    let value = fs::read(file).map_err(|error| format!("{path} cannot be read: {error}"))?;
    if value.trim_ascii().len() < SHORTEST_BYTES {
        return Err(format!("{path} holds fewer than {SHORTEST_BYTES} bytes, which cannot be told from other text"));
    }
    Ok(value)
}

/// Whether a secret can be read from what a command made.
#[must_use]
pub fn reveals(made: &[u8], secrets: &[GivenSecret]) -> bool {
    let mut redaction = Redaction::of(secrets.iter().map(|secret| secret.value.as_slice()));
    redaction.add(made, |_| ());
    redaction.end(|_| ());
    redaction.found
}

/// The first file of a folder, or of one within it, in which a secret can be read. Blocks.
///
/// # Errors
/// When a file cannot be read.
pub(crate) fn revealed_in(folder: &Path, secrets: &[GivenSecret]) -> Result<Option<PathBuf>, Fault> {
    let mut pending = if secrets.is_empty() { Vec::new() } else { vec![folder.to_owned()] };
    let fault = |path: &Path, error: &std::io::Error| files::fault(&format!("look into {}", path.display()), error);
    while let Some(path) = pending.pop() {
        let kind = fs::symlink_metadata(&path).map_err(|error| fault(&path, &error))?.file_type();
        if kind.is_dir() {
            let entries = fs::read_dir(&path).map_err(|error| fault(&path, &error))?;
            pending.extend(entries.flatten().map(|entry| entry.path()));
        } else if kind.is_file() {
            let mut redaction = Redaction::of(secrets.iter().map(|secret| secret.value.as_slice()));
            let file = fs::File::open(&path).map_err(|error| fault(&path, &error))?;
            if redaction.search(file).map_err(|error| fault(&path, &error))? {
                return Ok(Some(path));
            }
        }
    }
    Ok(None)
}
