//! Rules files beside the server: each is its own. One with a mistake, or that is gone, leaves its system on its last good
//! rules, and the others as they are.

use std::{
    collections::BTreeSet,
    fs::File,
    io::{ErrorKind, Read as _},
    path::Path,
};

use anyhow::Context as _;

use super::{
    Brought, Refusal,
    checked::{Checking, ReadFile, Standing, Unread, together},
    look::RulesLook,
};
use crate::{
    engine::Digest,
    house::{House, settings::FILE_NAME},
    rules::{Loaded, SystemName},
};

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

    /// Reads every rules file and brings what changed into force, file by file. Returns what was refused, and which systems
    /// begin.
    ///
    /// # Errors
    /// When the store fails. What is wrong with a file is no error: it is refused, and said.
    pub(crate) async fn load_rules_files(&self) -> anyhow::Result<Brought> {
        let (paths, checking) =
            (self.settings.rules.files().to_vec(), Checking::by(Some(&self.settings), Standing::Disk));
        // Large files take their time, which the threads that drive do not have.
        let reading = tokio::task::spawn_blocking(move || {
            let files: Vec<ReadFile> = paths.iter().map(|path| read(path)).collect();
            let alone: Vec<_> = files.iter().map(|file| checking.alone(file)).collect();
            (files, alone)
        });
        let (files, alone) = reading.await.context("reading the rules files broke off")?;
        let named: BTreeSet<SystemName> = alone.iter().flatten().map(|file| file.rules.system.clone()).collect();
        let mut in_force = BTreeSet::new();
        for file in alone.iter().flatten() {
            // One whose log cannot be read is in force for nobody.
            in_force.extend(self.is_in_force(file, None).await.unwrap_or(false).then(|| file.name.clone()));
        }
        let beside = self.rules_beside(&named).await?;
        let checked = together(alone, &beside, |file: &Loaded| in_force.contains(&file.name));

        let (mut brought, mut known, mut bad) = (Brought::default(), BTreeSet::new(), Vec::new());
        for (file, checked) in files.iter().zip(checked) {
            match checked {
                Ok(loaded) => {
                    known.insert(loaded.rules.system.clone());
                    self.put_into_force(loaded, None, None, &mut brought).await?;
                }
                Err(mistakes) => {
                    let mistakes = mistakes.render(false);
                    let text = file.text.as_ref().map_or(mistakes.as_str(), String::as_str);
                    bad.push(Refusal { digest: Digest::of(text.as_bytes()), ..Refusal::of(file, mistakes) });
                }
            }
        }
        let mut look = RulesLook::default();
        for refusal in bad {
            brought.refused.push(format!("{} was refused\n{}", refusal.source, refusal.mistakes));
            let of = self.refuse_file(&refusal, &known, &mut look).await?;
            known.extend(of);
        }
        self.refuse_unnamed(&known, &mut brought).await?;
        look.write(&self.settings)?;
        Ok(brought)
    }
}

/// A rules file of this machine.
pub(crate) fn read(path: &Path) -> ReadFile {
    let mut text = String::new();
    let done = File::open(path).and_then(|file| file.take(MOST_BYTES).read_to_string(&mut text));
    let text = done.map(|_| text).map_err(|error| {
        let hint = match error.kind() {
            ErrorKind::NotFound => format!("put it back, or take it out of `rules` in {FILE_NAME}"),
            ErrorKind::InvalidData => "save it as UTF-8".to_owned(),
            ErrorKind::IsADirectory => "name the files in it".to_owned(),
            _ => "let the server read it".to_owned(),
        };
        Unread { why: format!("this file cannot be read: {error}"), hint }
    });
    ReadFile { source: path.display().to_string(), text }
}
