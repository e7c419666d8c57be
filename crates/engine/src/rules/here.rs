//! What `tidegate.toml` has that rules may name or need. Where a rules file is checked elsewhere, it is not known.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    kind::Provided,
    names::{SecretName, StageName, SystemName},
    notifications::Channels,
};

/// What there is here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Here {
    /// Through what people and programs are told of things.
    pub channels: Channels,
    /// The secrets that steps may be given: each with the systems whose rules may name it.
    pub secrets: BTreeMap<SecretName, BTreeSet<SystemName>>,
    /// Who does what.
    pub providers: Provisions,
    /// The hosts of the forges, which can tell who pushed.
    pub forges: BTreeSet<String>,
}

/// Which kinds of work have a provider here: in every stage, and in those that say otherwise. What is not said has one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Provisions(BTreeMap<Option<StageName>, BTreeMap<Provided, bool>>);

impl Provisions {
    /// Says whether a kind of work has a provider, in a stage or, for `None`, in all that do not say otherwise.
    pub fn say(&mut self, stage: Option<&StageName>, what: Provided, has_one: bool) {
        self.0.entry(stage.cloned()).or_default().insert(what, has_one);
    }

    /// Whether a kind of work has a provider in a stage.
    #[must_use]
    pub fn has(&self, what: Provided, stage: &StageName) -> bool {
        let said = |stage: Option<StageName>| self.0.get(&stage)?.get(&what).copied();
        said(Some(stage.clone())).or_else(|| said(None)).unwrap_or(true)
    }
}
