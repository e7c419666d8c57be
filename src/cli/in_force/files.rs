//! Rules files beside the server: each is its own. One with a mistake, or that is gone, leaves its system on its last good
//! rules, and the others as they are.

use std::{
    fs::File,
    io::{ErrorKind, Read as _},
    path::Path,
};

use super::{Brought, ReadFile};
use crate::cli::{House, settings::FILE_NAME};

/// As much of a file as is read; rules that are larger are refused.
const MOST_BYTES: u64 = (1 << 20) + 1;

impl House {
    /// Reads every rules file and brings what changed into force, file by file. Returns what was refused, for people.
    ///
    /// # Errors
    /// When the store fails. What is wrong with a file is no error: it is refused, and said.
    pub async fn load_rules(&self) -> anyhow::Result<Vec<String>> {
        Ok(self.load_rules_files().await?.refused)
    }

    /// Reads every rules file and brings what changed into force. Returns what was refused, and which systems begin.
    ///
    /// # Errors
    /// When the store fails. What is wrong with a file is no error: it is refused, and said.
    pub(in crate::cli) async fn load_rules_files(&self) -> anyhow::Result<Brought> {
        let read = |path: &std::path::PathBuf| ReadFile { source: path.display().to_string(), text: read(path) };
        let files: Vec<ReadFile> = self.settings.rules.iter().map(read).collect();
        self.bring_into_force(&files).await
    }
}

/// The text of a rules file, or why there is none and what to do.
fn read(path: &Path) -> Result<String, String> {
    let mut text = String::new();
    let done = File::open(path).and_then(|file| file.take(MOST_BYTES).read_to_string(&mut text));
    let Err(error) = done else { return Ok(text) };
    let hint = match error.kind() {
        ErrorKind::NotFound => format!("put it back, or take it out of `rules` in {FILE_NAME}"),
        ErrorKind::InvalidData => "save it as UTF-8".to_owned(),
        ErrorKind::IsADirectory => "name the files in it".to_owned(),
        _ => "let the server read it".to_owned(),
    };
    Err(format!("cannot read the rules file {}: {error}; {hint}", path.display()))
}
