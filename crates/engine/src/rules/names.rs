//! The names that rules give to things, parsed once at the edge: inside, no stringly-typed ids.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

/// The longest name; long enough for a person, short enough for a branch, a file and a cloud resource.
pub const LONGEST_NAME: usize = 63;

/// The same rules as a regular expression, for schemas.
pub(super) const NAME_PATTERN: &str = r"^[A-Za-z0-9][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*\.?$";

/// The longest step name: the engine's own steps are named by a kind and a repository, `check-merge-…`.
const LONGEST_STEP_NAME: usize = LONGEST_NAME + 16;

/// A name that breaks the rules for names; its text says which rule and for what kind of name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` is not a valid {kind} name: {reason}")]
pub struct InvalidName {
    /// What the name was for, as in "system".
    pub kind: &'static str,
    /// The name as it was given.
    pub name: String,
    /// Which rule it breaks.
    pub reason: &'static str,
}

/// Letters, digits, `-`, `_` and `.`, beginning with a letter or digit: safe in a path, a branch and a key.
fn check(kind: &'static str, name: &str) -> Result<(), InvalidName> {
    match name.split_once('/') {
        // An act of a step: `deploy/update`. Rules cannot write such a name.
        Some((step, act)) if kind == "step" => check_part(kind, step).and_then(|()| check(kind, act)),
        _ => check_part(kind, name),
    }
}

fn check_part(kind: &'static str, name: &str) -> Result<(), InvalidName> {
    let invalid = |reason| Err(InvalidName { kind, name: name.to_owned(), reason });
    if name.is_empty() {
        return invalid("it is empty");
    }
    let longest = if kind == "step" { LONGEST_STEP_NAME } else { LONGEST_NAME };
    if name.len() > longest {
        return invalid("it is longer than 63 characters");
    }
    if !name.starts_with(|first: char| first.is_ascii_alphanumeric()) {
        return invalid("it must begin with a letter or a digit");
    }
    if !name.chars().all(|character| character.is_ascii_alphanumeric() || "-_.".contains(character)) {
        return invalid("only letters, digits, `-`, `_` and `.` are allowed");
    }
    if name.contains("..") {
        return invalid("it must not contain `..`");
    }
    Ok(())
}

macro_rules! name {
    ($(#[doc = $doc:literal] $type:ident $kind:literal;)*) => {$(
        #[doc = $doc]
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(try_from = "String", into = "String")]
        #[schemars(with = "String", extend("pattern" = NAME_PATTERN, "maxLength" = LONGEST_NAME))]
        pub struct $type(SmolStr);

        impl $type {
            /// Parses a name.
            ///
            /// # Errors
            /// When it is empty, too long, or has characters that a path, branch or key could not hold.
            pub fn new(name: &str) -> Result<Self, InvalidName> {
                check($kind, name).map(|()| Self(SmolStr::new(name)))
            }

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.pad(&self.0)
            }
        }

        impl TryFrom<String> for $type {
            type Error = InvalidName;

            fn try_from(name: String) -> Result<Self, InvalidName> {
                Self::new(&name)
            }
        }

        impl std::str::FromStr for $type {
            type Err = InvalidName;

            fn from_str(name: &str) -> Result<Self, InvalidName> {
                Self::new(name)
            }
        }

        impl From<$type> for String {
            fn from(name: $type) -> Self {
                name.0.into()
            }
        }
    )*};
}

name! {
    /// The name of a system: repositories that are delivered together.
    SystemName "system";
    /// The name of a stage: a branch and its environment.
    StageName "stage";
    /// The name that rules give a repository.
    RepositoryName "repository";
    /// The name of a rule: trigger, gates and steps.
    RuleName "rule";
    /// The name of a step within its rule.
    StepId "step";
    /// The name of what is deployed to, one per stage.
    TargetName "target";
    /// The name that `tidegate.toml` gives a channel by which people and programs are told of things.
    ChannelName "channel";
    /// The name that `tidegate.toml` gives a secret that steps can be given.
    SecretName "secret";
    /// The name of a folder that outlives a step: what its command has fetched.
    CacheName "cache";
}

impl SecretName {
    /// The environment variable that says where a command finds it: `NPM_TOKEN_FILE` of `npm-token`.
    #[must_use]
    pub fn variable(&self) -> String {
        format!("{}_FILE", of_variable(&self.0))
    }
}

impl CacheName {
    /// The environment variable that says where a command finds it: `TIDEGATE_CACHE_NPM` of `npm`.
    #[must_use]
    pub fn variable(&self) -> String {
        format!("TIDEGATE_CACHE_{}", of_variable(&self.0))
    }
}

/// A name as variables are written.
fn of_variable(name: &str) -> String {
    let upper = |each: char| if each.is_ascii_alphanumeric() { each.to_ascii_uppercase() } else { '_' };
    name.chars().map(upper).collect()
}

impl StepId {
    /// The id of a step that the engine adds to a plan itself, such as `merge-image`; its parts are valid names.
    #[must_use]
    pub fn of_engine(kind: &str, subject: &str) -> Self {
        if subject.is_empty() { Self(SmolStr::new(kind)) } else { Self(smol_str::format_smolstr!("{kind}-{subject}")) }
    }

    /// The id of a step that another planned: `deploy/update`. No step of a rule has a stroke in its name.
    #[must_use]
    pub fn of_act(by: &Self, act: &str) -> Self {
        Self(smol_str::format_smolstr!("{by}/{act}"))
    }
}
