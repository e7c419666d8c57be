//! Follows an artifact through what it was made from and what was made from it.

use std::collections::{BTreeSet, VecDeque};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Direction, Store, StoreError};
use crate::{
    engine::{Artifact, Link},
    rules::SystemName,
};

/// How many links a trace shows at most in each direction; more than a person reads.
pub const MOST_LINKS: usize = 1_000;
/// How many artifacts are named when it is not clear which one is meant.
const MOST_NAMED: u32 = 20;

/// What a name leads to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "found", rename_all = "snake_case")]
pub enum Traced {
    /// No artifact's name begins so.
    Nothing,
    /// Several artifacts' names begin so: a longer one is needed.
    Several {
        /// Some of them.
        artifacts: Vec<Artifact>,
    },
    /// One artifact.
    One {
        /// It.
        origin: Artifact,
        /// What it was made from, nearest first, and what that was made from.
        upstream: Vec<Link>,
        /// What was made from it, nearest first, and what was made from that.
        downstream: Vec<Link>,
        /// Whether there are more than [`MOST_LINKS`] in a direction, and the rest was left out.
        shortened: bool,
    },
}

/// What an artifact was made from and what was made from it, all the way, within a bound. `name` is the artifact's
/// name or the beginning of it, as [`Store::artifacts`] takes it.
///
/// # Errors
/// When the store cannot be read.
pub async fn trace(store: &dyn Store, system: &SystemName, name: &str) -> Result<Traced, StoreError> {
    let mut artifacts = store.artifacts(system, name, MOST_NAMED).await?;
    if artifacts.len() > 1 {
        return Ok(Traced::Several { artifacts });
    }
    let Some(origin) = artifacts.pop() else { return Ok(Traced::Nothing) };
    let (upstream, cut_up) = follow(store, system, &origin, Direction::Upstream).await?;
    let (downstream, cut_down) = follow(store, system, &origin, Direction::Downstream).await?;
    Ok(Traced::One { origin, upstream, downstream, shortened: cut_up || cut_down })
}

/// Walks breadth first; an artifact is looked at once, however many ways lead to it.
async fn follow(
    store: &dyn Store,
    system: &SystemName,
    origin: &Artifact,
    direction: Direction,
) -> Result<(Vec<Link>, bool), StoreError> {
    let mut links = Vec::new();
    let mut known = BTreeSet::from([identity(origin)]);
    let mut waiting = VecDeque::from([origin.clone()]);
    while let Some(artifact) = waiting.pop_front() {
        let room = MOST_LINKS - links.len();
        let limit = u32::try_from(room + 1).expect("the bound on links is small");
        let found = store.links(system, &artifact, direction, limit).await?;
        let is_cut = found.len() > room;
        for link in found.into_iter().take(room) {
            let next = match direction {
                Direction::Upstream => &link.from,
                Direction::Downstream => &link.to,
            };
            if known.insert(identity(next)) {
                waiting.push_back(next.clone());
            }
            links.push(link);
        }
        if is_cut {
            return Ok((links, true));
        }
    }
    Ok((links, false))
}

fn identity(artifact: &Artifact) -> (String, String) {
    (artifact.kind.to_string(), artifact.name.to_string())
}
