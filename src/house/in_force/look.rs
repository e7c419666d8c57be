//! What `serve` found when it last looked at the rules, as far as no log can say it: a system that never had good rules has no
//! log. It is written anew after each look, beside the database, and `status` reads it.

use std::{collections::BTreeSet, path::PathBuf};

use serde::{Deserialize, Serialize};

use crate::{house::settings::Settings, providers::files, rules::SystemName};

/// The last look at the rules.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RulesLook {
    /// The rules files that give no system its rules.
    #[serde(default)]
    pub(crate) not_there: Vec<NotThere>,
    /// Why the repository of the rules cannot be looked at.
    #[serde(default)]
    pub(crate) trouble: Option<String>,
}

/// A rules file whose system never had good rules, or that does not say whose rules it has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NotThere {
    /// Where it was read.
    pub(crate) source: String,
    /// The system that it names, where that can be read.
    pub(crate) system: Option<SystemName>,
    /// What is wrong with it, as a person sees it.
    pub(crate) mistakes: String,
}

impl RulesLook {
    /// What the last look found; nothing where there was none.
    pub(crate) fn read(settings: &Settings) -> Self {
        // One that cannot be read is written anew by the next look.
        files::read_json(&file(settings)).ok().flatten().unwrap_or_default()
    }

    /// Writes it where it differs from what is there, whole or not at all.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn write(&self, settings: &Settings) -> anyhow::Result<()> {
        if Self::read(settings) == *self {
            return Ok(());
        }
        Ok(files::write_json(&file(settings), self)?)
    }

    /// What of it is of no system: the files of systems that are not in the store. One that names a system that is there names none for itself.
    pub(crate) fn not_there(self, there: &BTreeSet<SystemName>) -> Vec<NotThere> {
        let mut files = self.not_there;
        if let Some(mistakes) = self.trouble.filter(|_| there.is_empty()) {
            let source = "the repository of the rules".to_owned();
            files.push(NotThere { source, system: None, mistakes });
        }
        for file in &mut files {
            file.system.take_if(|system| there.contains(system));
        }
        files
    }
}

fn file(settings: &Settings) -> PathBuf {
    settings.data.join("rules.json")
}
