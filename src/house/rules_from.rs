//! Where the rules are from: files beside the server, or a folder of a repository.

use std::{
    collections::BTreeSet,
    fmt,
    path::{Path, PathBuf},
};

use anyhow::bail;
use schemars::JsonSchema;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{MapAccess, SeqAccess, Visitor, value},
};

use crate::rules::{KnownBy, Quorum, Span, git_branch, git_url};

/// How often the branch of the rules is looked at, unless the settings say otherwise: as often as any repository.
const POLL_INTERVAL: Span = Span::from_secs(10);
/// The shortest interval, as for any repository.
const SHORTEST_POLL_MS: i64 = 1_000;

/// How the names of rules files in a folder end.
pub(crate) const ENDINGS: [&str; 3] = [".yaml", ".yml", ".json"];

/// Where the rules are from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum RulesFrom {
    /// The rules files, one per system.
    Files(Vec<PathBuf>),
    /// The folder of a repository that has them.
    Repository(RulesRepository),
}

/// The folder of a repository that has the rules files, one per system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RulesRepository {
    /// Where it is: `https://…`, `ssh://…`, `git@host:path`, `file:///…` or a path.
    pub repository: String,
    /// The branch whose head is in force.
    #[serde(default = "branch")]
    pub branch: String,
    /// The folder, from the repository's top. Its files that end in `.yaml`, `.yml` or `.json` are rules files; folders in it
    /// are not looked into.
    #[serde(default = "path")]
    pub path: String,
    /// How often the branch is looked at.
    #[serde(default = "poll")]
    pub poll: Span,
    /// Who has to say yes before a change of rules comes into force; without it nobody is asked. The first rules of a system
    /// come into force at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approvals: Option<Quorum>,
    /// By what it is known who wrote the rules, as of any repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<KnownBy>,
}

fn branch() -> String {
    "main".to_owned()
}

fn path() -> String {
    "promotion-rules/".to_owned()
}

const fn poll() -> Span {
    POLL_INTERVAL
}

impl RulesFrom {
    /// The files beside the server.
    #[must_use]
    pub fn files(&self) -> &[PathBuf] {
        match self {
            Self::Files(files) => files,
            Self::Repository(_) => &[],
        }
    }

    /// The repository that has them.
    #[must_use]
    pub const fn repository(&self) -> Option<&RulesRepository> {
        match self {
            Self::Files(_) => None,
            Self::Repository(repository) => Some(repository),
        }
    }

    /// Whether what they say can be meant, and its paths as seen from the settings' folder.
    ///
    /// # Errors
    /// When a URL, branch, folder or interval is not as it must be.
    pub(crate) fn resolve(&mut self, folder: &Path, forges: &BTreeSet<String>) -> anyhow::Result<()> {
        match self {
            Self::Files(files) => files.iter_mut().for_each(|file| *file = folder.join(&*file)),
            Self::Repository(RulesRepository { repository, branch, path, poll, approvals, identity }) => {
                if let Err(why) = git_url(repository).and_then(|()| git_branch(branch)) {
                    bail!("`rules`: {why}");
                }
                if path.split('/').any(|part| part == "..") {
                    bail!("`rules`: the folder `{path}` leads out of the repository");
                }
                if approvals.as_ref().is_some_and(|quorum| quorum.count == 0) {
                    bail!("`rules`: `approvals` asks 0 people: take it out, or ask one");
                }
                if let Some(Err((why, help))) = identity.map(|identity: KnownBy| identity.check(repository, forges)) {
                    bail!("`rules`: `identity`: {why}; {help}");
                }
                if poll.as_ms() < SHORTEST_POLL_MS {
                    bail!("`rules`: a repository is polled every second (`1s`) at most");
                }
                *repository = absolute_url(folder, repository);
                *path = path.split('/').filter(|part| !matches!(*part, "" | ".")).collect::<Vec<_>>().join("/");
            }
        }
        Ok(())
    }
}

/// Whether a file of a folder is a rules file, by its name.
pub(crate) fn is_rules_file(path: &Path) -> bool {
    path.file_name().is_some_and(|name| ENDINGS.iter().any(|ending| name.to_string_lossy().ends_with(ending)))
}

/// A repository's path is from a folder; any other URL is as it is.
pub(crate) fn absolute_url(folder: &Path, url: &str) -> String {
    let is_path = !url.contains("://") && !url.contains(':');
    if is_path { folder.join(url).display().to_string() } else { url.to_owned() }
}

impl<'de> Deserialize<'de> for RulesFrom {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = RulesFrom;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a list of rules files, or a table with `repository`, `branch` and `path`")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, files: A) -> Result<RulesFrom, A::Error> {
                Vec::deserialize(value::SeqAccessDeserializer::new(files)).map(RulesFrom::Files)
            }

            fn visit_map<A: MapAccess<'de>>(self, table: A) -> Result<RulesFrom, A::Error> {
                RulesRepository::deserialize(value::MapAccessDeserializer::new(table)).map(RulesFrom::Repository)
            }
        }

        deserializer.deserialize_any(Either)
    }
}
