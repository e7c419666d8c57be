//! `tidegate check`: says every mistake in rules files, like a compiler.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use anyhow::Context;
use clap::Args;

use super::{
    output::{Output, colours, say},
    settings::Settings,
};
use crate::{
    engine::Access,
    rules::{self, Action, Rules},
};

/// Say every mistake in rules files, like a compiler. Without files: those that the settings name.
#[derive(Debug, Args)]
pub(super) struct Check {
    /// The rules files
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

/// The people and groups that rules ask and the settings do not have, where they list people at all: nobody could answer.
fn asked_but_unknown<'rules>(rules: &'rules Rules, access: &Access) -> BTreeSet<&'rules String> {
    if access.people.is_empty() {
        return BTreeSet::new();
    }
    let approvals = rules.rules.values().flat_map(|rule| &rule.steps).filter_map(|step| match &step.action {
        Action::Approve(approve) => Some(approve.stages.values()),
        _ => None,
    });
    let consents = rules.promotions.iter().filter_map(|promotion| promotion.requires.approvals.as_ref());
    let quorums = approvals.flatten().chain(consents).flat_map(|quorum| &quorum.from);
    let delegates = rules.delegates.iter().flat_map(|delegate| delegate.to.iter().chain([&delegate.of]));
    let markers = rules.hotfix.iter().flat_map(|lane| &lane.from);
    let asked = quorums.chain(delegates).chain(markers);
    asked.filter(|name| access.members(name).next().is_none()).collect()
}

impl Check {
    pub(super) fn execute(self, config: &Path, output: Output) -> anyhow::Result<()> {
        // Files can be checked anywhere; where the settings are at hand, so are the channels that rules may name.
        let settings = if self.files.is_empty() || config.exists() { Some(Settings::read(config)?) } else { None };
        let channels = settings.as_ref().map(Settings::known_channels);
        let load = |name: &str, text: &str| match &channels {
            Some(channels) => rules::load_with_channels(name, text, channels),
            None => rules::load(name, text),
        };
        let access = settings.as_ref().map(Settings::access).unwrap_or_default();
        let named = settings.map(|settings| settings.rules).unwrap_or_default();
        let files = if self.files.is_empty() { named } else { self.files };
        let (mut all, mut bad_files) = (Vec::new(), 0);
        for file in &files {
            let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
            let name = file.display().to_string();
            match load(&name, &text) {
                Ok(rules) if output == Output::Text => {
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
        if output == Output::Json {
            output.json(&all)?;
        }
        if all.is_empty() { Ok(()) } else { Err(HasMistakes { mistakes: all.len(), files: bad_files }.into()) }
    }
}
