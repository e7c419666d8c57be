//! Releases that only some of their systems have.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    cli::{
        House,
        output::{Tone, paint},
    },
    engine::version::release::{self, Standing},
    rules::{StageName, SystemName},
};

/// A release that some systems have, and that others ended without.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HalfReleased {
    /// Its name.
    pub release: String,
    /// The stage that it promotes into.
    pub stage: String,
    /// The systems that have it, or are about to.
    pub with: Vec<String>,
    /// Those that have not.
    pub without: Vec<String>,
    /// The commands that finish it.
    pub finish: Vec<String>,
    /// The commands that undo it.
    pub undo: Vec<String>,
}

impl HalfReleased {
    /// What there is to say of a release, seen over its systems; `None` where it is not half-way.
    pub(in crate::cli) fn of(
        name: &str,
        stage: &StageName,
        standings: &BTreeMap<SystemName, Standing>,
    ) -> Option<Self> {
        let half = release::half_released(standings)?;
        let undo = half.with.iter().map(|system| format!("tidegate rollback {stage} --system {system}"));
        let finish = half.without.iter().map(|(system, run)| format!("tidegate retry {run} --system {system}"));
        Some(Self {
            release: name.to_owned(),
            stage: stage.to_string(),
            finish: finish.collect(),
            undo: undo.collect(),
            with: half.with.iter().map(ToString::to_string).collect(),
            without: half.without.iter().map(|(system, _)| system.to_string()).collect(),
        })
    }

    /// Who has it and who has not, and what ends that.
    pub(in crate::cli) fn sentence(&self) -> String {
        let and = |words: &[String]| words.join(" and ");
        let code =
            |commands: &[String]| and(&commands.iter().map(|command| format!("`{command}`")).collect::<Vec<_>>());
        format!(
            "{}: {} merged, {} ended before: {} finishes it, {} undoes it",
            paint("half-released", Tone::Bad),
            and(&self.with),
            and(&self.without),
            code(&self.finish),
            code(&self.undo)
        )
    }
}

/// The releases of a system that are half-way; of the other systems only those count that may be looked at.
pub(super) async fn of(
    house: &House,
    system: &SystemName,
    visible: &[SystemName],
) -> anyhow::Result<Vec<HalfReleased>> {
    let owned = |part: release::Part<'_>| (part.release.name.clone(), part.release.systems.clone(), part.stage.clone());
    let parts: Vec<(String, BTreeSet<SystemName>, StageName)> =
        house.ledger.read(system, |state| release::parts(state).into_iter().map(owned).collect()).await?;
    let mut found = Vec::new();
    for (name, systems, stage) in parts {
        let mut standings = BTreeMap::new();
        for other in systems.iter().filter(|other| visible.contains(other)) {
            // Of one that cannot be read, its own status says so.
            if let Ok(standing) = house.ledger.read(other, |state| release::standing(state, &name)).await {
                standings.insert(other.clone(), standing);
            }
        }
        found.extend(HalfReleased::of(&name, &stage, &standings));
    }
    Ok(found)
}

/// What people are told of them.
pub(super) fn lines(half: &[HalfReleased]) -> impl Iterator<Item = String> {
    half.iter().map(|half| format!("  {} {}", half.release, half.sentence()))
}
