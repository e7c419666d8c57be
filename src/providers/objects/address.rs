//! Where a store is, as a setting names it: what several processes open the same store by.

use std::{
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
    sync::Arc,
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{DirectoryObjects, Objects};
use crate::providers::Fault;

/// Before the path of a directory.
const FILE: &str = "file:";

/// The address of a store: `file:PATH` is a directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub enum Address {
    /// A directory of this machine.
    Directory(PathBuf),
}

impl Address {
    /// The same address, with a relative path from `folder`.
    #[must_use]
    pub fn from_folder(&self, folder: &Path) -> Self {
        let Self::Directory(path) = self;
        Self::Directory(folder.join(path))
    }

    /// The folder of this machine that it is, if it is one.
    #[must_use]
    pub fn folder(&self) -> Option<&Path> {
        let Self::Directory(path) = self;
        Some(path)
    }

    /// Opens the store, which is made where it is missing and can be.
    ///
    /// # Errors
    /// When it cannot be reached.
    pub fn open(&self) -> Result<Arc<dyn Objects>, Fault> {
        let Self::Directory(path) = self;
        Ok(Arc::new(DirectoryObjects::open(path)?))
    }

    /// Opens the store to read what is in it. It is not touched, and need not be there yet.
    ///
    /// # Errors
    /// When it cannot be said where it is.
    pub fn open_to_read(&self) -> Result<Arc<dyn Objects>, Fault> {
        let Self::Directory(path) = self;
        Ok(Arc::new(DirectoryObjects::open_to_read(path)?))
    }
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let path = match text.strip_prefix(FILE) {
            Some(path) => path,
            // As builds noted it that were started by earlier versions.
            None if text.starts_with('/') => text,
            None => return Err(format!("`{text}` is no object store; write `{FILE}PATH`, a folder of this machine")),
        };
        if path.is_empty() || path.starts_with("//") {
            return Err(format!("`{text}` names no folder; write `{FILE}PATH`, like `{FILE}data/objects`"));
        }
        Ok(Self::Directory(PathBuf::from(path)))
    }
}

impl TryFrom<String> for Address {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Address> for String {
    fn from(address: Address) -> Self {
        address.to_string()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Directory(path) = self;
        write!(formatter, "{FILE}{}", path.display())
    }
}
