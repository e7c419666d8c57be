//! The identities that the engine gives and carries. They are plain texts that sort, print and clone cheaply.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use smol_str::{SmolStr, format_smolstr};

use crate::rules::{Commit, InvalidName, RepositoryName, RuleName, StageName, StepId, TargetName};

macro_rules! identity {
    ($($(#[doc = $doc:literal])+ $type:ident;)*) => {$(
        $(#[doc = $doc])+
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(transparent)]
        #[schemars(with = "String")]
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
    /// The identity of what a step does in the outside world: `system/run.made/step`, of which `made` is when the run was
    /// made, in hexadecimal milliseconds. Tried again, it stays the same; done anew by hand after a failure, it gets a
    /// further part. After a backup was restored, numbers of runs are given again, and what has another time is another run.
    StepKey;
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
        Self(joined(&[rule.as_str(), "/", step.as_str()]))
    }
}

impl RunId {
    /// The rule's name, or the kind of run.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.rsplit_once('-').map_or(&self.0, |(name, _)| name)
    }

    /// The run's number.
    #[must_use]
    pub fn number(&self) -> Option<u64> {
        let dash = self.0.bytes().rposition(|byte| byte == b'-')?;
        self.0.get(dash + 1..)?.parse().ok()
    }
}

/// What a key is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyParts<'key> {
    /// The system.
    pub system: &'key str,
    /// The run.
    pub run: RunId,
    /// When the run was made: milliseconds since 1970, UTC. Keys of early logs do not say it.
    pub made_ms: Option<i64>,
    /// The step.
    pub step: StepId,
}

impl StepKey {
    /// What the run is called outside, which no other is: its identity and when it was made.
    #[must_use]
    pub fn run_name(&self) -> &str {
        self.0.split('/').nth(1).unwrap_or_default()
    }

    /// What it is of; of something else, nothing.
    #[must_use]
    pub fn parts(&self) -> Option<KeyParts<'_>> {
        let mut parts = self.0.splitn(3, '/');
        let (system, run, step) = (parts.next()?, parts.next()?, parts.next()?);
        // Done anew by hand, it has its round at the end.
        let is_round = |round: &str| round.bytes().all(|digit| digit.is_ascii_digit());
        let step = step.rsplit_once('/').filter(|(_, round)| is_round(round)).map_or(step, |(step, _)| step);
        // The names of rules may have dots, and the number of a run has a dash before it.
        let made = run.rsplit_once('.').and_then(|(run, made)| Some((run, i64::from_str_radix(made, 16).ok()?)));
        let (run, made_ms) = made.map_or((run, None), |(run, made_ms)| (run, Some(made_ms)));
        Some(KeyParts { system, run: RunId::new(run), made_ms, step: StepId::new(step).ok()? })
    }
}

/// What one run at a time has. As text: a target at a stage, `webshop@qa`; or, for a rule without one, its own lane,
/// `rule:package@dev`; or the lane of promotions into a stage, `promotions:qa`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub enum TargetKey {
    /// The lane of promotions into this stage, in which they follow one another.
    Promotions(StageName),
    /// The lane that runs of a rule without a target share at a stage.
    Rule(RuleName, StageName),
    /// A target at a stage.
    Target(TargetName, StageName),
}

impl TargetKey {
    /// The target and the stage that it names; a lane is no target.
    #[must_use]
    pub const fn target(&self) -> Option<(&TargetName, &StageName)> {
        match self {
            Self::Target(target, stage) => Some((target, stage)),
            Self::Promotions(_) | Self::Rule(..) => None,
        }
    }
}

impl fmt::Display for TargetKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Promotions(stage) => formatter.pad(&format_smolstr!("promotions:{stage}")),
            Self::Rule(rule, stage) => formatter.pad(&format_smolstr!("rule:{rule}@{stage}")),
            Self::Target(target, stage) => formatter.pad(&format_smolstr!("{target}@{stage}")),
        }
    }
}

impl From<TargetKey> for String {
    fn from(key: TargetKey) -> Self {
        key.to_string()
    }
}

impl TryFrom<String> for TargetKey {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Self, InvalidName> {
        text.parse()
    }
}

impl std::str::FromStr for TargetKey {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        if let Some(stage) = text.strip_prefix("promotions:") {
            return Ok(Self::Promotions(StageName::new(stage)?));
        }
        let (name, stage) = text.split_once('@').unwrap_or((text, ""));
        let stage = StageName::new(stage)?;
        Ok(match name.strip_prefix("rule:") {
            Some(rule) => Self::Rule(RuleName::new(rule)?, stage),
            None => Self::Target(TargetName::new(name)?, stage),
        })
    }
}

/// Where a pin is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct PinAt {
    /// The repository.
    pub repository: RepositoryName,
    /// The stage.
    pub stage: StageName,
    /// The file.
    pub file: SmolStr,
    /// The JSON pointer within it.
    pub pointer: SmolStr,
}

impl PinAt {
    /// The place of one pointer of a commit step.
    #[must_use]
    pub fn of(commit: &Commit, stage: &StageName, pointer: &str) -> Self {
        let (repository, stage) = (commit.repository.clone(), stage.clone());
        Self { repository, stage, file: commit.file.as_str().into(), pointer: pointer.into() }
    }
}

impl fmt::Display for PinAt {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {} {} {}", self.repository, self.stage, self.file, self.pointer)
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

/// These texts as one: what is named in every event is not formatted.
pub(super) fn joined(parts: &[&str]) -> SmolStr {
    let (mut room, mut end) = ([0; 96], 0);
    for part in parts {
        let Some(place) = room.get_mut(end..end + part.len()) else { return parts.concat().into() };
        place.copy_from_slice(part.as_bytes());
        end += part.len();
    }
    std::str::from_utf8(&room[..end]).unwrap_or_default().into()
}

/// The decimal digits of a number, in that room.
pub(super) fn digits(mut number: u64, room: &mut [u8; 20]) -> &str {
    let mut at = room.len();
    loop {
        at -= 1;
        room[at] = b'0' + u8::try_from(number % 10).unwrap_or_default();
        number /= 10;
        if number == 0 {
            return std::str::from_utf8(&room[at..]).unwrap_or_default();
        }
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A repository at a stage: a point of the lattice.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_says_what_it_is_of() {
        let parts = |key: &str| {
            let key = StepKey::new(key);
            key.parts().map(|KeyParts { system, run, made_ms, step }| format!("{system} {run} {made_ms:?} {step}"))
        };
        assert_eq!(parts("shop/pack-7.1f/pin/2").as_deref(), Some("shop pack-7 Some(31) pin"));
        assert_eq!(parts("shop/pack.all-7.1f/pin").as_deref(), Some("shop pack.all-7 Some(31) pin"));
        assert_eq!(parts("shop/pack.all-7/pin").as_deref(), Some("shop pack.all-7 None pin"), "as early logs have it");
        assert_eq!(parts("shop/pack-7"), None);
    }
}
