//! What starts a rule: one table of ways, and the field of `on` that each is written as.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    matching::Paths,
    names::{RepositoryName, RuleName, StageName},
    tag::TagPattern,
};

/// What starts a rule. At least one of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Trigger {
    /// A push to a stage branch of this repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub push: Option<RepositoryName>,
    /// Only pushes that change a path below one of these; `*` matches within a folder, `**` across folders.
    #[serde(default, skip_serializing_if = "Paths::is_empty")]
    #[schemars(with = "Vec<String>")]
    pub paths: Paths,
    /// A tag of this repository, in each stage as soon as its branch has the commit that the tag names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<RepositoryName>,
    /// Only tags whose whole name this regular expression matches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern: Option<TagPattern>,
    /// The success of another rule in the same stage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream: Option<RuleName>,
    /// The success of something outside that works on `repository`, as its source names it: `build.yaml`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workflow: Option<String>,
    /// Times of the clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<Schedule>,
    /// A bundle that somebody built elsewhere and brings: `tidegate deploy FILE`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub release: bool,
    /// A person's command (`tidegate run start RULE --stage STAGE`); always allowed for a rule that has a repository.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub manual: bool,
    /// The repository whose head a run works on, for a rule without `push` and `tag`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<RepositoryName>,
}

/// What templates may use of a bundle, as `{{bundle.uri}}`.
pub const BUNDLE: [&str; 4] = ["name", "uri", "sha256", "bytes"];

/// A way in which a rule is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Starts {
    /// A push to a stage branch.
    Push,
    /// A tag.
    Tag,
    /// The success of another rule.
    Upstream,
    /// The success of something outside.
    Workflow,
    /// The clock.
    Schedule,
    /// A bundle that somebody brings.
    Release,
    /// A person's command.
    Manual,
}

impl Starts {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Push, Self::Tag, Self::Upstream, Self::Workflow, Self::Schedule, Self::Release, Self::Manual];

    /// The field of `on` that it is written as.
    #[must_use]
    pub const fn field(self) -> &'static str {
        match self {
            Self::Push => "push",
            Self::Tag => "tag",
            Self::Upstream => "upstream",
            Self::Workflow => "workflow",
            Self::Schedule => "schedule",
            Self::Release => "release",
            Self::Manual => "manual",
        }
    }

    /// The name that templates have for what started the run.
    #[must_use]
    pub const fn names(self) -> Option<&'static str> {
        match self {
            Self::Tag => Some("tag"),
            Self::Release => Some("bundle"),
            Self::Push | Self::Upstream | Self::Workflow | Self::Schedule | Self::Manual => None,
        }
    }
}

impl Trigger {
    /// The ways in which it starts its rule.
    pub fn ways(&self) -> impl Iterator<Item = Starts> {
        Starts::ALL.into_iter().filter(|way| match way {
            Starts::Push => self.push.is_some(),
            Starts::Tag => self.tag.is_some(),
            Starts::Upstream => self.upstream.is_some(),
            Starts::Workflow => self.workflow.is_some(),
            Starts::Schedule => self.schedule.is_some(),
            Starts::Release => self.release,
            Starts::Manual => self.manual,
        })
    }

    /// The way that every run of the rule comes of, where there is but one; a command then says what it comes of.
    #[must_use]
    pub fn only(&self) -> Option<Starts> {
        let mut ways = self.ways().filter(|way| *way != Starts::Manual);
        ways.next().filter(|_| ways.next().is_none())
    }

    /// The repository that a run works on.
    #[must_use]
    pub fn repository(&self) -> Option<&RepositoryName> {
        self.push.as_ref().or(self.tag.as_ref()).or(self.repository.as_ref())
    }

    /// Whether a tag of a repository starts the rule.
    #[must_use]
    pub fn is_for_tag(&self, repository: &RepositoryName, tag: &str) -> bool {
        self.tag.as_ref() == Some(repository) && self.pattern.as_ref().is_none_or(|pattern| pattern.matches(tag))
    }
}

/// Times of the clock at which a rule runs. Each instant fires once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// Seconds, minutes, hours, day of month, month, day of week: `0 0 3 * * *` is three in the morning.
    pub cron: String,
    /// The IANA time zone, as in `Europe/Berlin`; UTC unless it says otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
    /// The stages it runs in; those of the rule unless it says otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stages: Option<Vec<StageName>>,
    /// Only when the head has moved since the rule last succeeded there.
    #[serde(default)]
    pub only_if_changed: bool,
    /// What becomes of instants that passed while the engine was down.
    #[serde(default)]
    pub missed: MissedPolicy,
}

/// What becomes of scheduled instants that passed while the engine was down.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MissedPolicy {
    /// One run makes up for all of them.
    #[default]
    CatchUp,
    /// They are left out.
    Skip,
}
