//! Rules files as they are read and checked: each in itself, and all of them together. Nothing comes into force here.

use std::path::Path;

use crate::{
    house::{rules_from::absolute_url, settings::Settings},
    rules::{self, Here, Loaded, Mistakes, Rules, check_together},
};

/// A rules file as it was read.
pub(crate) struct ReadFile {
    /// Where: a path on this machine, or in the repository of the rules.
    pub(crate) source: String,
    /// Its text.
    pub(crate) text: Result<String, Unread>,
}

/// Why there is no text, and what to do.
pub(crate) struct Unread {
    pub(crate) why: String,
    pub(crate) hint: String,
}

/// Where rules files stand, which says what a path in them is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// On this machine: from the file's folder.
    Disk,
    /// In a repository: nowhere.
    Repository,
}

/// How rules files are checked.
pub(crate) struct Checking {
    standing: Standing,
    here: Option<Here>,
}

impl Checking {
    /// By the settings, where they are at hand: they say which channels and secrets there are.
    pub(crate) fn by(settings: Option<&Settings>, standing: Standing) -> Self {
        Self { standing, here: settings.map(Settings::here) }
    }

    /// A file in itself.
    pub(crate) fn alone(&self, file: &ReadFile) -> Result<Loaded, Mistakes> {
        let text = file.text.as_ref();
        let text = text.map_err(|unread| Mistakes::of_file(&file.source, &unread.why, &unread.hint))?;
        self.alone_at(Path::new(&file.source), &file.source, text)
    }

    /// The same for a text that is checked as if it stood at a path.
    pub(crate) fn alone_at(&self, stands_at: &Path, name: &str, text: &str) -> Result<Loaded, Mistakes> {
        let mut loaded = rules::load_with_places(name, text, self.here.as_ref())?;
        match self.standing {
            Standing::Repository => match loaded.relative_urls() {
                Some(mistakes) => return Err(mistakes),
                None => return Ok(loaded),
            },
            Standing::Disk => {
                let folder = stands_at.parent().unwrap_or(Path::new("/"));
                for repository in loaded.rules.repositories.values_mut() {
                    repository.url = absolute_url(folder, &repository.url);
                }
            }
        }
        Ok(loaded)
    }

    /// All files, in themselves and together.
    pub(crate) fn all(&self, files: &[ReadFile]) -> Vec<Result<Loaded, Mistakes>> {
        together(files.iter().map(|file| self.alone(file)).collect(), &[], |_| false)
    }
}

/// Of files that were checked in themselves, those that cannot be in force together are mistakes too, but for those that stay.
pub(crate) fn together(
    mut files: Vec<Result<Loaded, Mistakes>>,
    beside: &[Rules],
    stays: impl Fn(&Loaded) -> bool,
) -> Vec<Result<Loaded, Mistakes>> {
    let mut places: Vec<usize> = (0..files.len()).filter(|place| files[*place].is_ok()).collect();
    // What stays comes first: it is the other file that is one too many.
    places.sort_by_key(|place| !files[*place].as_ref().is_ok_and(&stays));
    let good: Vec<Loaded> = places.iter().filter_map(|place| files[*place].as_ref().ok().cloned()).collect();
    for (index, mistakes) in check_together(&good, beside) {
        if !stays(&good[index]) {
            files[places[index]] = Err(mistakes);
        }
    }
    files
}
