//! What artifacts are made of, as the bytes would say it: kept beside the engine, whatever it thinks of provenance.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use tidegate_engine::{
    engine::{PinnerId, RunId},
    rules::{RepositoryName, RuleName},
};

/// What a rule made: the same of the same inputs, wherever it was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bytes {
    pub(crate) rule: RuleName,
    pub(crate) from: RepositoryName,
    /// What the rule saw of the repository's own content.
    pub(crate) own: BTreeSet<u64>,
    /// What it took in: what is pinned there, by who pins it.
    pub(crate) pins: BTreeMap<PinnerId, usize>,
    /// The night on which it was built anew.
    pub(crate) night: Option<RunId>,
}

/// All artifacts that there have been.
#[derive(Debug, Default)]
pub(crate) struct Artifacts {
    known: Vec<Bytes>,
    /// Values that do not say of which artifact they are: those from before Tidegate came, and those that somebody chose.
    before: BTreeMap<(PinnerId, String), usize>,
}

impl Artifacts {
    /// The number of what comes out as these bytes.
    pub(crate) fn number(&mut self, bytes: Bytes) -> usize {
        let known = self.known.iter().position(|known| *known == bytes);
        known.unwrap_or_else(|| {
            self.known.push(bytes);
            self.known.len() - 1
        })
    }

    pub(crate) fn is(&mut self, pinner: &PinnerId, value: &str, artifact: usize) {
        self.before.insert((pinner.clone(), value.to_owned()), artifact);
    }

    pub(crate) fn get(&self, artifact: usize) -> &Bytes {
        &self.known[artifact]
    }

    /// What is pinned for an artifact by who pins it.
    pub(crate) fn value(&self, pinner: &PinnerId, artifact: usize) -> Value {
        let before = self.before.iter().find(|((by, _), known)| by == pinner && **known == artifact);
        before.map_or_else(|| json!(format!("artifact {artifact}")), |((_, value), _)| json!(value))
    }

    /// The artifact of which a value is; none where somebody chose the value.
    pub(crate) fn of_value(&self, pinner: &PinnerId, value: &Value) -> Option<usize> {
        let value = value.as_str()?;
        let known = || self.before.get(&(pinner.clone(), value.to_owned())).copied();
        value.strip_prefix("artifact ").and_then(|number| number.parse().ok()).or_else(known)
    }

    /// These, and all that they are made of.
    pub(crate) fn closure(&self, artifacts: impl IntoIterator<Item = usize>) -> BTreeSet<usize> {
        let (mut found, mut open) = (BTreeSet::new(), artifacts.into_iter().collect::<Vec<_>>());
        while let Some(next) = open.pop() {
            if found.insert(next) {
                open.extend(self.known[next].pins.values());
            }
        }
        found
    }

    /// Another artifact of the same inputs among these, built on another night or on none.
    pub(crate) fn built_before(&self, bytes: &Bytes, among: impl IntoIterator<Item = usize>) -> Option<usize> {
        let same = |known: &Bytes| Bytes { night: None, ..known.clone() } == *bytes;
        among.into_iter().find(|artifact| same(&self.known[*artifact]))
    }

    pub(crate) fn len(&self) -> usize {
        self.known.len()
    }
}
