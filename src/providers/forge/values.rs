//! What is said to a forge and what it says, in plain values.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A repository at a forge.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RepositoryAt {
    /// The organization or person.
    pub owner: String,
    /// The name.
    pub name: String,
}

/// A team of an organization.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Team {
    /// The organization.
    pub organization: String,
    /// The team's slug.
    pub slug: String,
}

/// Somebody at a forge. The number is theirs for ever; the login may be somebody else's tomorrow.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Account {
    /// The number.
    pub id: u64,
    /// The login.
    pub login: String,
}

/// What a forge can do, as it is set up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Abilities {
    /// Checks with summaries and buttons; where it cannot, they are statuses of a commit.
    pub checks: bool,
    /// Deployments to environments.
    pub deployments: bool,
    /// To deliver again what was lost.
    pub redelivers: bool,
    /// To tell who pushed.
    pub pushes: bool,
}

/// What somebody may do with a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RepositoryRole {
    /// Nothing.
    None,
    /// Read.
    Read,
    /// Push.
    Write,
    /// Everything.
    Admin,
}

/// What a branch demands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BranchRules {
    /// Pushes need a pull request.
    pub pull_request: bool,
    /// Merge commits are refused.
    pub linear_history: bool,
    /// Commits must be signed.
    pub signatures: bool,
    /// Merges go through a queue.
    pub merge_queue: bool,
    /// Nobody may push.
    pub locked: bool,
    /// Checks that a commit must have before it is pushed.
    pub required_checks: Vec<String>,
}

/// A push.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    /// Who; none where the forge does not know any more.
    pub by: Option<Account>,
    /// The head before; all zeroes where the branch was made.
    pub before: String,
    /// The head after.
    pub after: String,
}

/// What a commit shows of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// The key, by which it is found again.
    pub key: String,
    /// The name: `tidegate/dev/deliver`.
    pub name: String,
    /// The commit.
    pub commit: String,
    /// How it stands.
    pub state: CheckState,
    /// When the run began: milliseconds since 1970, UTC.
    pub began_ms: i64,
    /// When it ended or began to ask, likewise.
    pub ended_ms: Option<i64>,
    /// One line.
    pub title: String,
    /// What the run does and waits for, in Markdown.
    pub summary: String,
    /// Where more is told, if there is such a place.
    pub link: Option<String>,
    /// What can be pressed; three at most.
    pub buttons: Vec<CheckButton>,
}

/// How a check stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckState {
    /// It has its turn to come.
    Queued,
    /// It proceeds.
    Running,
    /// It asks people.
    Asks,
    /// It succeeded.
    Success,
    /// It failed.
    Failure,
    /// Somebody ended it.
    Cancelled,
    /// It ended without anything to show for it.
    Skipped,
}

/// A button below a check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckButton {
    /// What is on it; 20 characters at most.
    pub label: String,
    /// What it does; 40 characters at most.
    pub description: String,
    /// What comes back when it is pressed; 20 characters at most.
    pub says: String,
}

/// A deployment of a commit to an environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deployment {
    /// The key, by which it is found again.
    pub key: String,
    /// The commit.
    pub commit: String,
    /// What is deployed to: of several targets of an environment, each has what runs there.
    pub target: String,
    /// The environment.
    pub environment: String,
    /// Whether that is where the system's users are.
    pub production: bool,
    /// How it stands.
    pub state: DeploymentState,
    /// One line.
    pub description: String,
    /// Where what was deployed can be reached, if that is known.
    pub address: Option<String>,
    /// Where more is told, if there is such a place.
    pub link: Option<String>,
}

/// How a deployment stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeploymentState {
    /// It waits.
    Queued,
    /// It proceeds.
    InProgress,
    /// It is what runs there.
    Success,
    /// It failed.
    Failure,
    /// Something else took its place.
    Inactive,
}

/// An attempt of a forge to deliver something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivered {
    /// The attempt's number.
    pub id: u64,
    /// The delivery, which is the same at every attempt.
    pub guid: String,
    /// When: milliseconds since 1970, UTC.
    pub at_ms: i64,
    /// The status that it was answered with; 0 where there was no answer.
    pub status: u16,
}

impl Delivered {
    /// Whether somebody took it.
    #[must_use]
    pub fn succeeded(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// Something at a forge that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What is wrong.
    pub what: String,
    /// What to do about it.
    pub hint: String,
}

impl fmt::Display for RepositoryAt {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.owner, self.name)
    }
}

impl fmt::Display for Team {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.organization, self.slug)
    }
}

impl std::str::FromStr for Team {
    type Err = String;

    /// `organization/team`.
    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('/') {
            Some((organization, slug)) if is_name(organization) && is_name(slug) => {
                Ok(Self { organization: organization.to_owned(), slug: slug.to_owned() })
            }
            _ => Err(format!("`{text}` is no team: write it as `organization/team`")),
        }
    }
}

/// Whether something may be the name of an owner, a repository or a team in a path of the API.
pub(super) fn is_name(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (1..=100).contains(&text.len()) && text.bytes().all(is_plain) && text.bytes().any(|byte| byte != b'.')
}
