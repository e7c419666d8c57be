//! The secrets that commands of steps are given. Rules name them, `tidegate.toml` says in which files they are, and they are
//! read when the step begins, so that an exchanged one holds from the next step on.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use crate::{
    engine::StepWork,
    providers::{
        Fault,
        given::{GivenSecret, SecretPlace, read_secret},
    },
    rules::{SecretName, SystemName},
};

/// The secrets of `tidegate.toml`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Secrets(pub BTreeMap<SecretName, SecretFile>);

/// Where a secret is, and who may name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretFile {
    /// The file that holds it.
    pub path: PathBuf,
    /// The systems whose rules may name it.
    pub systems: BTreeSet<SystemName>,
}

impl Secrets {
    /// The secrets that a step names, each with its file.
    pub(super) fn given(&self, work: &StepWork, names: &[SecretName]) -> Result<Vec<GivenSecret>, Fault> {
        self.places(work, names)?.iter().map(SecretPlace::read).collect()
    }

    /// Where the secrets are that a step names. None of them is read.
    pub(super) fn places(&self, work: &StepWork, names: &[SecretName]) -> Result<Vec<SecretPlace>, Fault> {
        let place = |name: &SecretName| {
            let section = format!("`[secrets.{name}]` in tidegate.toml");
            let Some(file) = self.0.get(name) else {
                return Err(Fault::fail(format!("there is no secret `{name}` here"), format!("add {section}")));
            };
            if !file.systems.contains(&work.system) {
                let hint = format!("add `{}` to `systems` of {section}", work.system);
                return Err(Fault::fail(format!("the secret `{name}` is not for {}", work.system), hint));
            }
            Ok(SecretPlace { name: name.to_string(), variable: name.variable(), path: file.path.clone() })
        };
        names.iter().map(place).collect()
    }
}

impl SecretFile {
    /// The secret itself, or why it cannot be used.
    ///
    /// # Errors
    /// When the file cannot be read, is too large, or holds too little.
    pub fn read(&self) -> Result<Vec<u8>, String> {
        read_secret(&self.path)
    }
}
