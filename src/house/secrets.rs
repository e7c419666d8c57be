//! The secrets of `tidegate.toml` that commands of steps can be given. They do not stand in it, but in files.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use anyhow::anyhow;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    rules::{SecretName, SystemName},
    steps::{SecretFile, Secrets},
};

/// A secret of `tidegate.toml`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SecretSettings {
    /// The file that holds it. It is read whenever a step that names it begins.
    pub file: PathBuf,
    /// The systems whose rules may name it.
    pub systems: BTreeSet<SystemName>,
}

/// Makes the paths absolute: relative ones are from the settings' folder.
pub(crate) fn absolute(secrets: &mut BTreeMap<SecretName, SecretSettings>, folder: &Path) {
    for secret in secrets.values_mut() {
        secret.file = folder.join(&secret.file);
    }
}

/// Which there are, and for which systems.
pub(crate) fn known(secrets: &BTreeMap<SecretName, SecretSettings>) -> BTreeMap<SecretName, BTreeSet<SystemName>> {
    secrets.iter().map(|(name, secret)| (name.clone(), secret.systems.clone())).collect()
}

/// Where they are. None of them is read.
pub(crate) fn files(secrets: &BTreeMap<SecretName, SecretSettings>) -> Secrets {
    let file =
        |SecretSettings { file, systems }: &SecretSettings| SecretFile { path: file.clone(), systems: systems.clone() };
    Secrets(secrets.iter().map(|(name, secret)| (name.clone(), file(secret))).collect())
}

/// Where they are, for who gives them to steps: each can be read.
///
/// # Errors
/// What is wrong with which secret.
pub(crate) fn open(secrets: &BTreeMap<SecretName, SecretSettings>) -> anyhow::Result<Secrets> {
    let files = files(secrets);
    for (name, file) in &files.0 {
        file.read().map_err(|error| anyhow!("the secret `{name}` in tidegate.toml cannot be used: {error}"))?;
    }
    Ok(files)
}
