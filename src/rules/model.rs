//! What a rules file may say, as types. The schema in `schemas/` is generated from them; [`super::load`] turns a
//! file into them with positions for every mistake.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    names::{RepositoryName, RuleName, StageName, StepId, SystemName, TargetName},
    span::Span,
};

/// One system's rules: what is watched, what happens on a change, and what moves between stages.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rules {
    /// The version of this format; always 1.
    #[schemars(range(min = 1, max = 1))]
    pub version: u32,
    /// The system's name, unique among the systems that one engine drives.
    pub system: SystemName,
    /// The stages in promotion order.
    pub stages: IndexMap<StageName, Stage>,
    /// The repositories of the system, upstream first.
    pub repositories: IndexMap<RepositoryName, Repository>,
    /// What is deployed to; each exists once per stage.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub targets: BTreeMap<TargetName, Target>,
    /// What happens on a change.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub rules: IndexMap<RuleName, Rule>,
    /// What moves from stage to stage, and when.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub promotions: Vec<Promotion>,
}

/// A branch and its environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Stage {
    /// What people call the environment, as in "Production".
    pub environment: String,
    /// The branch, when it is not named as the stage is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// What every commit of this stage must satisfy before anything of it is promoted here or deployed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requires: Vec<Requirement>,
}

/// A demand on a file of a repository, such as "Production has at least two availability zones".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Requirement {
    /// The repository whose file is looked at.
    pub repository: RepositoryName,
    /// The file, from the root of the repository; JSON, YAML or TOML.
    pub file: String,
    /// The JSON pointer of the value in it; a list counts by its length, a number by its value.
    pub pointer: String,
    /// The least that the value may be.
    pub at_least: u32,
    /// Why, for the person who is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub because: Option<String>,
}

/// A repository that is watched and, where rules say so, committed to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Repository {
    /// Where it is: `https://…`, `ssh://…`, `git@host:path`, `file:///…` or a path.
    pub url: String,
    /// How often its branches are looked at; 10 s unless said otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub poll: Option<Span>,
}

/// What is deployed to. One run at a time holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// What it is.
    #[serde(default)]
    pub kind: TargetKind,
    /// What becomes of a run that finds the target held.
    #[serde(default)]
    pub queue: QueuePolicy,
    /// What becomes of it when a run fails on it; `break` for a `fifo` queue and `continue` for the others unless it says
    /// otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_failure: Option<OnFailure>,
}

/// What becomes of a target when a run fails on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    /// It is BROKEN and its queue is kept until an operator unlocks it.
    Break,
    /// It is available for the next run.
    Continue,
}

/// The kinds of target.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TargetKind {
    /// A stack made from a template.
    #[default]
    Stack,
}

/// What becomes of a run that finds its target held by another.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum QueuePolicy {
    /// It waits, and replaces every older run of the same rule that waits as well.
    #[default]
    Supersede,
    /// It waits behind those who came before.
    Fifo,
    /// It is refused.
    Reject,
}

/// What happens on a change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// What starts it.
    pub on: Trigger,
    /// The stages it is for; all of them unless it says otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stages: Option<Vec<StageName>>,
    /// The target that its deploying steps hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<TargetName>,
    /// For a rule without a target: `supersede` (the default) runs one at a time and keeps only the newest that waits,
    /// `fifo` runs one at a time in order, `parallel` runs all at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<RuleQueue>,
    /// The steps, in order; `needs` makes a graph of them.
    pub steps: Vec<Step>,
}

/// How runs of a rule without a target follow one another.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RuleQueue {
    /// One at a time; of those that wait, only the newest is kept.
    #[default]
    Supersede,
    /// One at a time, in order.
    Fifo,
    /// All at once; a pin still never goes back to an older commit.
    Parallel,
}

/// What starts a rule. At least one of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Trigger {
    /// A push to a stage branch of this repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub push: Option<RepositoryName>,
    /// Only pushes that change a path below one of these; `*` matches within a folder, `**` across folders.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<String>,
    /// The success of another rule in the same stage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream: Option<RuleName>,
    /// Times of the clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<Schedule>,
    /// A person's command (`tidegate run RULE --stage STAGE`); always allowed for a rule that has a repository.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub manual: bool,
    /// The repository whose head a scheduled, upstream or manual run works on, for a rule without `push`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<RepositoryName>,
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

/// One action of a rule, with its key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Step {
    /// Its name within the rule; its kind unless it says otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<StepId>,
    /// The steps it waits for; the one before it unless it says otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub needs: Option<Vec<StepId>>,
    /// The stages it is for; in the others it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stages: Option<Vec<StageName>>,
    /// How long it may take before it is cancelled and fails; 1 h unless it says otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Span>,
    /// How often, and how far apart, it is tried again after a passing failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// What it does.
    #[serde(flatten)]
    pub action: Action,
}

/// How a step is tried again after a passing failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Retry {
    /// How many times it is tried in all; at most 20.
    #[schemars(range(min = 1, max = 20))]
    pub attempts: u32,
    /// How long to wait before the second try; doubled for each further one, to at most ten minutes.
    pub backoff: Span,
}

/// What a step does: exactly one of these.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Makes a reproducible archive of the tree and stores it. Outputs: `tag`, `uri`, `sha256`, `reused`.
    Package(Package),
    /// Commits values into a file of another repository, same stage. Outputs: `commit`, `changed`.
    Commit(Commit),
    /// Builds a machine image. Outputs: `amis` (region → id), `ami` (of the first region), `digest`, `reused`.
    Bake(Bake),
    /// Makes the template that is to be deployed. Outputs: `template` (its URI), `template_digest`.
    Synth(Synth),
    /// Checks the template. Outputs: `verdict`, `errors`, `warnings`, `report` (the page's URI), `report_digest`.
    Lint(Lint),
    /// Waits for people to approve exactly what the steps before it made. Outputs: `by`, `digest`.
    Approve(Approve),
    /// Deploys the template and image. Outputs: `deployment`, `digest`, `address`, `image`.
    Deploy(Deploy),
    /// Checks that what was deployed works. Outputs: `status`.
    Verify(Verify),
}

impl Action {
    /// The kind's name as rules write it, which is also the step's id unless it has one.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Package(_) => "package",
            Self::Commit(_) => "commit",
            Self::Bake(_) => "bake",
            Self::Synth(_) => "synth",
            Self::Lint(_) => "lint",
            Self::Approve(_) => "approve",
            Self::Deploy(_) => "deploy",
            Self::Verify(_) => "verify",
        }
    }

    /// The names that a later step's templates may use, as `{{step.name}}`.
    #[must_use]
    pub const fn outputs(&self) -> &'static [&'static str] {
        match self {
            Self::Package(_) => &["tag", "uri", "sha256", "reused"],
            Self::Commit(_) => &["commit", "changed"],
            Self::Bake(_) => &["amis", "ami", "digest", "reused"],
            Self::Synth(_) => &["template", "template_digest"],
            Self::Lint(_) => &["verdict", "errors", "warnings", "report", "report_digest"],
            Self::Approve(_) => &["by", "digest"],
            Self::Deploy(_) => &["deployment", "digest", "address", "image"],
            Self::Verify(_) => &["status"],
        }
    }

    /// Whether it changes or checks the target itself, so that the run must hold the target from here on.
    #[must_use]
    pub const fn holds_target(&self) -> bool {
        matches!(self, Self::Deploy(_) | Self::Verify(_))
    }
}

/// A reproducible archive of the tree.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Package {
    /// The archive's format.
    #[serde(default)]
    pub format: ArchiveFormat,
    /// Paths that are left out, besides those that `.gitattributes` marks `export-ignore`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<String>,
}

/// The formats of an archive.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ArchiveFormat {
    /// tar, compressed with gzip.
    #[default]
    #[serde(rename = "tar.gz")]
    TarGz,
    /// tar, compressed with Zstandard.
    #[serde(rename = "tar.zst")]
    TarZst,
}

/// A forward commit: pins in a file of the next repository.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Commit {
    /// The repository that is committed to, at the branch of the same stage.
    pub repository: RepositoryName,
    /// The file, from the root of the repository; JSON, YAML or TOML by its ending.
    pub file: String,
    /// JSON pointer → value; texts are templates. A text that is one template alone keeps the value's type.
    pub set: IndexMap<String, Value>,
    /// The subject of the commit, a template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// A machine image, built from the trigger's repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Bake {
    /// Whether an image of identical inputs is used again.
    #[serde(default = "yes")]
    pub reuse: bool,
    /// The file that names the software, components and regions.
    #[serde(default = "config_json")]
    pub config: String,
}

/// How the template is made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Synth {
    /// A command whose output folder (`cdk.out`) or standard output holds the template.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// The template's file: in the repository, or where `command` leaves it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
    /// Values of the template's parameters that are written into it, so that what is approved is whole: name → where it
    /// is in the repository, as `config.json#/ami/eu-central-1` (a file, `#`, and a JSON pointer).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<String, String>,
    /// Environment variables for the command; values are templates.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<String, String>,
}

/// What is checked of the template, and what fails it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Lint {
    /// The level of finding that fails the step.
    #[serde(default)]
    pub fail_on: FailOn,
    /// Files with further cfn-guard rules, in the trigger's repository.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub guard: Vec<String>,
    /// Whether cfn-lint is used: when it is installed, always (a missing one fails), or never.
    #[serde(default)]
    pub cfn_lint: Use,
    /// Further checkers: commands that print SARIF; `{{template}}` is the template's path.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub commands: Vec<Vec<String>>,
}

/// The level of finding that fails a lint step.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FailOn {
    /// Any error.
    #[default]
    Error,
    /// Any error or warning.
    Warning,
    /// Nothing; findings are only reported.
    Never,
}

/// Whether a tool is used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Use {
    /// When it is installed.
    #[default]
    IfInstalled,
    /// Always; that it is missing is an error.
    Always,
    /// Never.
    Never,
}

/// Who must approve, per stage. A stage that is not named passes without asking.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Approve {
    /// Stage → who, and how many.
    pub stages: IndexMap<StageName, Quorum>,
}

/// Who may approve and how many must.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Quorum {
    /// How many different people must approve.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 20))]
    pub count: u32,
    /// People and groups who may; anybody when it is empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub from: Vec<String>,
    /// How long the question stays open; for ever unless it says otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Span>,
    /// Whether the author of a change in it may approve it.
    #[serde(default)]
    pub author_may_approve: bool,
}

/// A deployment of the approved template.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Deploy {
    /// Parameters of the template; values are templates.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<String, String>,
}

/// A check of what was deployed: exactly one of `http` and `command`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Verify {
    /// A URL, a template, that must answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<String>,
    /// The status it must answer with.
    #[serde(default = "ok_status")]
    pub status: u16,
    /// A text, a template, that the answer must contain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contains: Option<String>,
    /// A command that must end with 0; its words are templates.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
}

/// What moves from one stage to the next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Promotion {
    /// The stage that it is taken from.
    pub from: StageName,
    /// The stage that it is merged into.
    pub to: StageName,
    /// Whether it starts by itself once its conditions hold, or on a person's command.
    #[serde(default)]
    pub start: PromotionStart,
    /// The conditions.
    #[serde(default)]
    pub requires: Conditions,
}

/// What starts a promotion.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PromotionStart {
    /// It starts by itself when the source stage has been verified; its conditions then hold it until they pass.
    #[default]
    Automatic,
    /// It starts on `tidegate promote`.
    Manual,
}

/// What must hold before a promotion moves anything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Conditions {
    /// That the set was verified together in the source stage; always demanded of an automatic promotion.
    #[serde(default = "yes")]
    pub verified: bool,
    /// How long ago it must have been verified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub soak: Option<Span>,
    /// Who must approve it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approvals: Option<Quorum>,
    /// When it may move, as in `Mon-Thu 09:00-16:00 Europe/Berlin`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<String>,
}

impl Default for Conditions {
    fn default() -> Self {
        Self { verified: yes(), soak: None, approvals: None, window: None }
    }
}

const fn yes() -> bool {
    true
}

const fn one() -> u32 {
    1
}

const fn ok_status() -> u16 {
    200
}

fn config_json() -> String {
    "config.json".to_owned()
}

impl Rules {
    /// The branch of a stage.
    #[must_use]
    pub fn branch<'rules>(&'rules self, stage: &'rules StageName) -> &'rules str {
        self.stages.get(stage).and_then(|stage| stage.branch.as_deref()).unwrap_or(stage.as_str())
    }
}

impl Target {
    /// Whether a run that fails on it leaves it broken.
    #[must_use]
    pub fn breaks(&self) -> bool {
        self.on_failure.map_or(self.queue == QueuePolicy::Fifo, |on_failure| on_failure == OnFailure::Break)
    }
}

impl Rule {
    /// The repository whose head a run of this rule works on.
    #[must_use]
    pub fn repository(&self) -> Option<&RepositoryName> {
        self.on.push.as_ref().or(self.on.repository.as_ref())
    }

    /// Whether the rule is for this stage.
    #[must_use]
    pub fn is_for(&self, stage: &StageName) -> bool {
        self.stages.as_ref().is_none_or(|stages| stages.contains(stage))
    }
}

impl Step {
    /// The step's id: its own, or its kind.
    #[must_use]
    pub fn id(&self) -> StepId {
        self.id.clone().unwrap_or_else(|| StepId::of_engine(self.action.kind(), ""))
    }
}
