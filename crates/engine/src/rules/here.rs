//! What `tidegate.toml` has that rules may name. Where a rules file is checked elsewhere, it is not known.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    names::{SecretName, SystemName},
    notifications::Channels,
};

/// What there is here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Here {
    /// Through what people and programs are told of things.
    pub channels: Channels,
    /// The secrets that steps may be given: each with the systems whose rules may name it.
    pub secrets: BTreeMap<SecretName, BTreeSet<SystemName>>,
}
