//! `tidegate check`: says every mistake in rules files, like a compiler.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use clap::Args;

use super::{
    in_force::{
        Head,
        checked::{Checking, ReadFile, Standing},
        files::read,
        read_head,
    },
    output::{Output, colours, say},
    provided,
    rules_from::{RulesRepository, is_rules_file},
    settings::Settings,
};
use crate::{
    engine::Access,
    providers::git::{Mirrors, Proofs},
    rules::{self, Loaded, Rules},
};

/// Say every mistake in rules files, like a compiler. Without files: those that the settings name, or the head of the branch
/// of their repository. They are checked as a whole: rules of several systems that start one another without end are mistakes.
#[derive(Debug, Args)]
pub(super) struct Check {
    /// The rules files, or folders of them
    files: Vec<PathBuf>,
}

/// That rules files have mistakes, which were printed.
#[derive(Debug, thiserror::Error)]
#[error("{mistakes} {} in {files} {}", if *mistakes == 1 { "mistake" } else { "mistakes" }, if *files == 1 { "file" } else { "files" })]
pub(super) struct HasMistakes {
    mistakes: usize,
    files: usize,
}

/// Prints the mistakes of one file, and returns that there are some.
pub(super) fn mistakes_in(mistakes: &rules::Mistakes, output: Output) -> anyhow::Error {
    let said = match output {
        Output::Text => say(&mistakes.render(colours())),
        Output::Json => output.json(&mistakes.as_slice()),
    };
    said.err().unwrap_or_else(|| HasMistakes { mistakes: mistakes.as_slice().len(), files: 1 }.into())
}

/// The same for those that a server found: their text, and as `tidegate check -o json` prints them.
pub(super) fn mistakes_told(text: &str, listed: &serde_json::Value, output: Output) -> anyhow::Error {
    let said = match output {
        Output::Text => say(text),
        Output::Json => output.json(listed),
    };
    let mistakes = listed.as_array().map_or(0, Vec::len);
    said.err().unwrap_or_else(|| HasMistakes { mistakes, files: 1 }.into())
}

/// The people and groups that rules ask and the settings do not have, where they list people at all: nobody could answer.
pub(super) fn asked_but_unknown<'rules>(rules: &'rules Rules, access: &Access) -> BTreeSet<&'rules String> {
    if access.people.is_empty() {
        return BTreeSet::new();
    }
    let steps = rules.rules.values().flat_map(|rule| &rule.steps);
    let approvals = steps.filter_map(|step| step.action.quorums()).map(|quorums| quorums.values());
    let consents = rules.promotions.iter().filter_map(|promotion| promotion.requires.approvals.as_ref());
    let quorums = approvals.flatten().chain(consents).flat_map(|quorum| &quorum.from);
    let delegates = rules.delegates.iter().flat_map(|delegate| delegate.to.iter().chain([&delegate.of]));
    let markers = rules.hotfix.iter().flat_map(|lane| &lane.from);
    let asked = quorums.chain(delegates).chain(markers);
    asked.filter(|name| access.members(name).next().is_none()).collect()
}

impl Check {
    pub(super) async fn execute(self, config: &Path, output: Output) -> anyhow::Result<()> {
        // Files can be checked anywhere; where the settings are at hand, so are the channels and secrets that rules may name.
        let settings = if self.files.is_empty() || config.exists() { Some(Settings::read(config)?) } else { None };
        let access = settings.as_ref().map(Settings::access).unwrap_or_default();
        let from_repository = settings.as_ref().and_then(|settings| settings.rules.repository());
        let files = match (&settings, from_repository) {
            (Some(settings), Some(from)) if self.files.is_empty() => head(settings, from).await?,
            (Some(settings), _) if self.files.is_empty() => on_disk(settings.rules.files())?,
            _ => on_disk(&self.files)?,
        };
        let standing = if from_repository.is_some() { Standing::Repository } else { Standing::Disk };
        let checked = Checking::by(settings.as_ref(), standing).all(&files);
        let (mut all, mut bad_files) = (Vec::new(), 0);
        let good: Vec<Rules> = checked.iter().flatten().map(|loaded| loaded.rules.clone()).collect();
        for checked in checked {
            match checked {
                Ok(Loaded { name, rules, .. }) if output == Output::Text => {
                    let (rule_count, stages) = (rules.rules.len(), rules.stages.len());
                    say(&format!(
                        "{name}: {} has {rule_count} rules over {stages} stages, and no mistakes",
                        rules.system
                    ))?;
                    for name in asked_but_unknown(&rules, &access) {
                        say(&format!(
                            "  note: `{name}` is asked, and nobody in the settings goes by that name or is in that group"
                        ))?;
                    }
                }
                Ok(_) => {}
                Err(mistakes) => {
                    if output == Output::Text {
                        say(&mistakes.render(colours()))?;
                    }
                    bad_files += 1;
                    all.extend(mistakes.as_slice().iter().cloned());
                }
            }
        }
        match output {
            Output::Json => output.json(&all)?,
            Output::Text => {
                let of_nothing = settings.as_ref().map(|settings| provided::of_nothing(settings, &good));
                of_nothing.into_iter().flatten().try_for_each(|said| say(&format!("note: {said}")))?;
            }
        }
        if all.is_empty() { Ok(()) } else { Err(HasMistakes { mistakes: all.len(), files: bad_files }.into()) }
    }
}

/// The rules files of this machine: those that are named, and those in the folders that are named.
fn on_disk(named: &[PathBuf]) -> anyhow::Result<Vec<ReadFile>> {
    let mut files = Vec::new();
    for path in named {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let entries = std::fs::read_dir(path).with_context(|| format!("cannot read {}", path.display()))?;
        let mut inside: Vec<PathBuf> =
            entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
        inside.retain(|path| !path.is_dir() && is_rules_file(path));
        anyhow::ensure!(!inside.is_empty(), "there is no rules file in {}", path.display());
        inside.sort();
        files.extend(inside);
    }
    let read = |path: &PathBuf| {
        let file = read(path);
        match &file.text {
            Err(unread) => bail!("cannot read {}: {}", path.display(), unread.why),
            Ok(_) => Ok(file),
        }
    };
    files.iter().map(read).collect()
}

/// The rules files at the head of the branch of the rules, as the server would read them.
async fn head(settings: &Settings, from: &RulesRepository) -> anyhow::Result<Vec<ReadFile>> {
    let mirrors = Mirrors::open(settings.data.join("mirrors"), settings.git_options(Proofs::none()))?;
    let mirror = mirrors.mirror(&from.repository)?;
    let Some(Head { origin, files, .. }) = read_head(from, &mirror, None).await? else { return Ok(Vec::new()) };
    files.map_err(|wrong| anyhow::anyhow!("commit {} of {}: {wrong}", origin.commit.short(), origin.repository))
}
