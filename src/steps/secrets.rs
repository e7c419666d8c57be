//! The secrets that commands of steps are given. Rules name them, `tidegate.toml` says in which files they are, and they are
//! read when the step begins, so that an exchanged one holds from the next step on.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use crate::{
    engine::StepWork,
    providers::{Fault, process::GivenSecret},
    rules::{SecretName, SystemName},
};

/// The largest secret: a key store, not a file of data.
const LARGEST_BYTES: u64 = 64 * 1024;
/// The shortest: what is shorter is in every text, and could not be taken out of what commands print.
const SHORTEST_BYTES: usize = 6;

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
        let given = |name: &SecretName| {
            let section = format!("`[secrets.{name}]` in tidegate.toml");
            let Some(file) = self.0.get(name) else {
                return Err(Fault::fail(format!("there is no secret `{name}` here"), format!("add {section}")));
            };
            if !file.systems.contains(&work.system) {
                let hint = format!("add `{}` to `systems` of {section}", work.system);
                return Err(Fault::fail(format!("the secret `{name}` is not for {}", work.system), hint));
            }
            file.read().map_err(|error| Fault::fail(format!("the secret `{name}`: {error}"), format!("mend {section}")))
        };
        let named = names.iter().map(|name| {
            let (value, path) = (given(name)?, self.0[name].path.clone());
            Ok(GivenSecret { name: name.to_string(), variable: name.variable(), path, value })
        });
        named.collect()
    }
}

impl SecretFile {
    /// The secret itself, or why it cannot be used.
    ///
    /// # Errors
    /// When the file cannot be read, is too large, or holds too little.
    pub fn read(&self) -> Result<Vec<u8>, String> {
        let path = self.path.display();
        let file = std::fs::metadata(&self.path).map_err(|error| format!("{path} cannot be read: {error}"))?;
        if !file.is_file() || file.len() > LARGEST_BYTES {
            return Err(format!("{path} is no file of at most {LARGEST_BYTES} bytes"));
        }
        let value = std::fs::read(&self.path).map_err(|error| format!("{path} cannot be read: {error}"))?;
        if value.trim_ascii().len() < SHORTEST_BYTES {
            return Err(format!(
                "{path} holds fewer than {SHORTEST_BYTES} bytes, which cannot be told from other text"
            ));
        }
        Ok(value)
    }
}
