//! The step kinds: what a step of a rule may do, as types.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    gates::Check,
    names::{CacheName, RepositoryName, SecretName, StageName},
    span::Span,
};

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
    /// Deploys to the rule's target. Outputs: `deployment`; of a stack `digest`, `address`, `image`; of a job `outputs`.
    Deploy(Deploy),
    /// Checks that what was deployed works. Outputs: `status`.
    Verify(Verify),
    /// Waits until something outside says yes. Outputs: `answer`.
    Check(Check),
}

impl Action {
    /// Whom it asks, by stage; nothing where it asks nobody.
    #[must_use]
    pub const fn quorums(&self) -> Option<&IndexMap<StageName, Quorum>> {
        match self {
            Self::Approve(approve) => Some(&approve.stages),
            _ => None,
        }
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
    /// What becomes of Git LFS pointers in the tree.
    #[serde(default, skip_serializing_if = "Lfs::is_default")]
    pub lfs: Lfs,
    /// What becomes of submodules in the tree.
    #[serde(default, skip_serializing_if = "Submodules::is_default")]
    pub submodules: Submodules,
}

/// What becomes of Git LFS pointers, which stand in a tree for files that are elsewhere.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Lfs {
    /// The files are fetched from the repository's LFS server.
    Fetch,
    /// The pointers are taken as they are.
    Pointers,
    /// The step fails, and names them.
    #[default]
    Refuse,
}

impl Lfs {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// What becomes of submodules, which stand in a tree for commits of other repositories.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Submodules {
    /// Their commits are fetched from the repositories that `.gitmodules` names, and theirs.
    Fetch,
    /// They are empty folders.
    Leave,
    /// The step fails, and names them.
    #[default]
    Refuse,
}

impl Submodules {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
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
    /// Whether the commands of its components may use the network; without it there is none in the sandbox.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub network: bool,
    /// The secrets of `tidegate.toml` that the commands of its components are given, each as a file: `NPM_TOKEN_FILE` says where
    /// `npm-token` is. They are no inputs: another value gives the same image.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<SecretName>,
    /// What becomes of Git LFS pointers among the file and the components that it reads.
    #[serde(default, skip_serializing_if = "Lfs::is_default")]
    pub lfs: Lfs,
    /// What becomes of submodules that hold files that it reads.
    #[serde(default, skip_serializing_if = "Submodules::is_default")]
    pub submodules: Submodules,
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
    /// Whether `command` may use the network; without it there is none in the sandbox.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub network: bool,
    /// The secrets of `tidegate.toml` that `command` is given, each as a file: `NPM_TOKEN_FILE` says where `npm-token` is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<SecretName>,
    /// The folders that outlive the step and `command` is` given, for this repository and stage alone: `npm` at `/cache/npm`, as
    /// `TIDEGATE_CACHE_NPM` says. `cargo`, `go`, `gradle`, `npm`, `pip`, `uv` and `yarn` find theirs by themselves.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub caches: Vec<CacheName>,
    /// What becomes of Git LFS pointers among the files that it reads, or that `command` is given.
    #[serde(default, skip_serializing_if = "Lfs::is_default")]
    pub lfs: Lfs,
    /// What becomes of submodules that are in the tree that `command` is given, or hold files that it reads.
    #[serde(default, skip_serializing_if = "Submodules::is_default")]
    pub submodules: Submodules,
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
    /// Whether cfn-lint and `commands` may use the network; without it there is none in the sandbox.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub network: bool,
    /// The secrets of `tidegate.toml` that `commands` are given, each as a file: `NPM_TOKEN_FILE` says where `npm-token` is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<SecretName>,
    /// The folders that outlive the step and `commands` are` given, for this repository and stage alone: `npm` at `/cache/npm`, as
    /// `TIDEGATE_CACHE_NPM` says. `cargo`, `go`, `gradle`, `npm`, `pip`, `uv` and `yarn` find theirs by themselves.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub caches: Vec<CacheName>,
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
    /// Whether it passes without asking when what would be deployed is, byte for byte, what is deployed already.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pass_if_unchanged: bool,
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

/// A deployment to the rule's target. What it takes, the kind of the target says.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Deploy {
    /// To a stack: parameters of the template; values are templates.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<String, String>,
    /// To a job: the command, which runs in a checkout of the run's commit; its words are templates.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// To a job: its variables, which the command finds as JSON in the file at `TIDEGATE_VARIABLES`; texts in them are templates.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub variables: BTreeMap<String, Value>,
    /// Whether `command` may use the network; without it there is none in the sandbox.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub network: bool,
    /// The secrets of `tidegate.toml` that the service is given as long as it runs, each as a file: `NPM_TOKEN_FILE` says where
    /// `npm-token` is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<SecretName>,
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
    /// Whether `command` may use the network; without it there is none in the sandbox.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub network: bool,
    /// The secrets of `tidegate.toml` that `command` is given, each as a file: `NPM_TOKEN_FILE` says where `npm-token` is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<SecretName>,
    /// The folders that outlive the step and `command` is` given, for this repository and stage alone: `npm` at `/cache/npm`, as
    /// `TIDEGATE_CACHE_NPM` says. `cargo`, `go`, `gradle`, `npm`, `pip`, `uv` and `yarn` find theirs by themselves.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub caches: Vec<CacheName>,
}

pub(super) const fn yes() -> bool {
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
