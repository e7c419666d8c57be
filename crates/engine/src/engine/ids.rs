//! The identities that the engine gives and carries. They are plain texts that sort, print and clone cheaply.

use std::fmt;

use serde::{Deserialize, Serialize};
use smol_str::{SmolStr, format_smolstr};

use crate::rules::{RepositoryName, RuleName, StageName, StepId, TargetName};

macro_rules! identity {
    ($($(#[doc = $doc:literal])+ $type:ident;)*) => {$(
        $(#[doc = $doc])+
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $type(SmolStr);

        impl $type {
            /// Takes a text as this identity.
            #[must_use]
            pub fn new(text: impl Into<SmolStr>) -> Self {
                Self(text.into())
            }

            /// The identity as text.
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
    )*};
}

identity! {
    /// A commit: 40 hexadecimal digits.
    CommitId;
    /// A run, as people say it: the rule's name (or `promote`) and the run's number, `deliver-7`.
    RunId;
    /// One effect within its system: unique for ever, never used again.
    EffectId;
    /// The identity of what a step does in the outside world: `system/run/step`. Tried again, it stays the same; done
    /// anew by hand after a failure, it gets a further part.
    StepKey;
    /// A target at a stage, `webshop@qa`; or, for a rule without one, its own lane, `rule:package@dev`;
    /// or the lane of promotions into a stage, `promotions:qa`.
    TargetKey;
    /// A commit step of a rule, as what pins something somewhere: `package/pin`.
    PinnerId;
    /// A content's name: `sha256:` and 64 hexadecimal digits.
    Digest;
}

impl CommitId {
    /// The first ten digits, for people.
    #[must_use]
    pub fn short(&self) -> &str {
        self.0.get(..10).unwrap_or(&self.0)
    }
}

impl PinnerId {
    /// The identity of a rule's commit step.
    #[must_use]
    pub fn of(rule: &RuleName, step: &StepId) -> Self {
        Self(format_smolstr!("{rule}/{step}"))
    }
}

impl TargetKey {
    /// The key of a target at a stage.
    #[must_use]
    pub fn of_target(target: &TargetName, stage: &StageName) -> Self {
        Self(format_smolstr!("{target}@{stage}"))
    }

    /// The key of the lane that runs of a rule without a target share at a stage.
    #[must_use]
    pub fn of_rule(rule: &RuleName, stage: &StageName) -> Self {
        Self(format_smolstr!("rule:{rule}@{stage}"))
    }

    /// The key of the lane in which promotions into a stage follow one another.
    #[must_use]
    pub fn of_promotions(stage: &StageName) -> Self {
        Self(format_smolstr!("promotions:{stage}"))
    }
}

impl Digest {
    /// The digest of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        use sha2::{Digest as _, Sha256};
        Self(format_smolstr!("sha256:{}", hexadecimal(&Sha256::digest(bytes))))
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A repository at a stage: a point of the lattice.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Place {
    /// The repository.
    pub repository: RepositoryName,
    /// The stage.
    pub stage: StageName,
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.repository, self.stage)
    }
}
