//! What a look at an installation found, for people and programs alike. The schema is in `schemas/`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// All that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Diagnosis {
    /// When it was looked at: milliseconds since 1970, UTC.
    pub at_ms: i64,
    /// The worst of the findings.
    pub worst: Level,
    /// What was found, in the order in which it was looked at.
    pub findings: Vec<Finding>,
    /// What takes how much room.
    pub disk: Vec<RoomTaken>,
    /// The mirrors of repositories, by name.
    pub mirrors: Vec<MirrorHealth>,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Finding {
    /// What kind of thing.
    pub about: About,
    /// Which one, where there are several: a system, a repository, a folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
    /// How it is.
    pub level: Level,
    /// What was found.
    pub what: String,
    /// What to do; absent where all is well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

/// What is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum About {
    /// `tidegate.toml` and the files that it names.
    Settings,
    /// The rules files.
    Rules,
    /// Whether a server drives.
    Server,
    /// The database.
    Database,
    /// The clock.
    Clock,
    /// Room on disk.
    Disk,
    /// The `git` program.
    Git,
    /// The key that signs our commits.
    Signing,
    /// Who does each kind of work, and where things are kept.
    Providers,
    /// What commands of repositories run in.
    Sandbox,
    /// The mirrors.
    Mirrors,
    /// The repositories of the rules.
    Repositories,
    /// Where repositories live beside what git says of them.
    Forge,
}

impl About {
    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Settings => "settings",
            Self::Rules => "rules",
            Self::Server => "server",
            Self::Database => "database",
            Self::Clock => "clock",
            Self::Disk => "disk",
            Self::Git => "git",
            Self::Signing => "signing",
            Self::Providers => "providers",
            Self::Sandbox => "sandbox",
            Self::Mirrors => "mirrors",
            Self::Repositories => "repositories",
            Self::Forge => "forge",
        }
    }
}

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// As it should be.
    Ok,
    /// It works, and somebody should know.
    Warning,
    /// Something does not work.
    Problem,
}

/// How much room a folder or file takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RoomTaken {
    /// What it is for, such as `mirrors` or `database`.
    pub of: String,
    /// Where it is.
    pub path: String,
    /// Its size in bytes.
    pub bytes: u64,
    /// Whether all of it was counted; not where that takes too long.
    pub counted: bool,
}

/// One mirror.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MirrorHealth {
    /// The name of its folder.
    pub name: String,
    /// Whether git can open it.
    pub opens: bool,
    /// Its size in bytes.
    pub bytes: u64,
    /// Objects in files of their own.
    pub loose: u64,
    /// Packs.
    pub packs: u64,
    /// When it was last packed: milliseconds since 1970, UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub packed_at_ms: Option<i64>,
    /// The systems whose rules name its repository, and `rules` where it has the rules themselves.
    pub used_by: Vec<String>,
    /// Since when no rules name it: milliseconds since 1970, UTC. It is removed after a week.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unused_since_ms: Option<i64>,
}

/// Findings as they come in.
#[derive(Debug, Default)]
pub(super) struct Findings(pub(super) Vec<Finding>);

impl Findings {
    pub(super) fn good(&mut self, about: About, of: Option<&str>, what: impl Into<String>) {
        self.add(about, of, Level::Ok, what.into(), None);
    }

    pub(super) fn warn(&mut self, about: About, of: Option<&str>, what: impl Into<String>, remedy: impl Into<String>) {
        self.add(about, of, Level::Warning, what.into(), Some(remedy.into()));
    }

    pub(super) fn bad(&mut self, about: About, of: Option<&str>, what: impl Into<String>, remedy: impl Into<String>) {
        self.add(about, of, Level::Problem, what.into(), Some(remedy.into()));
    }

    fn add(&mut self, about: About, of: Option<&str>, level: Level, what: String, remedy: Option<String>) {
        // A remedy that says nothing is none.
        let remedy = remedy.filter(|remedy| !remedy.is_empty());
        self.0.push(Finding { about, of: of.map(str::to_owned), level, what, remedy });
    }

    pub(super) fn worst(&self) -> Level {
        self.0.iter().map(|finding| finding.level).max().unwrap_or(Level::Ok)
    }
}
