//! The part of the status that is about versions: which there are, what stays, what may not move, and what stands half-way.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    engine::{RunState, Subject, System},
    rules::StageName,
};

/// How many versions of each stage are shown; a refused `rollback` lists all that are known.
const MOST_SHOWN: usize = 5;

/// What was decided about versions.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VersionsStatus {
    /// Per stage, in promotion order, the runs that verified its last versions, newest first.
    pub stages: Vec<StageVersions>,
    /// What never moves again.
    pub vetoes: Vec<VetoStatus>,
}

/// The versions of a stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StageVersions {
    /// The stage.
    pub stage: String,
    /// The runs that verified its last versions, newest first.
    pub known: Vec<String>,
    /// The version that its repositories are at, where it was verified.
    pub here: Option<String>,
    /// At which version it is held, by whom and why.
    pub pinned: Option<Decided>,
    /// That it was rolled back, to what, by whom and why; nothing newer has been verified since.
    pub rolled_back: Option<Decided>,
    /// What was begun and neither finished nor taken back, and how to end that.
    pub half_way: Option<String>,
}

/// A version that somebody decided a stage to be at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Decided {
    /// The run that verified the version.
    pub version: String,
    /// Who decided it.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When: milliseconds since 1970, UTC.
    pub at_ms: i64,
}

/// Something that never moves again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VetoStatus {
    /// A commit or artifact.
    pub what: String,
    /// Who decided it.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When: milliseconds since 1970, UTC.
    pub at_ms: i64,
}

impl VersionsStatus {
    /// The facts of a state.
    #[must_use]
    pub fn of(state: &System, stages: &[StageName]) -> Self {
        let veto = |(what, veto): (&String, &crate::engine::version::Veto)| VetoStatus {
            what: what.clone(),
            by: veto.by.clone(),
            reason: veto.reason.clone(),
            at_ms: veto.at_ms,
        };
        Self {
            stages: stages.iter().map(|stage| of_stage(state, stage)).collect(),
            vetoes: state.versions.vetoes.iter().map(veto).collect(),
        }
    }
}

fn of_stage(state: &System, stage: &StageName) -> StageVersions {
    let name = |version: &crate::engine::version::Version| version.verified.run.to_string();
    let pinned = state.versions.pinned.get(stage).map(|pinned| Decided {
        version: name(&pinned.version),
        by: pinned.by.clone(),
        reason: pinned.reason.clone(),
        at_ms: pinned.at_ms,
    });
    let here = state.version_here(stage);
    let back = state.versions.rolled_back.get(stage);
    let back = back.filter(|back| state.same_content(&back.to.verified.set, &state.heads_of(stage)));
    let rolled_back = back.map(|back| Decided {
        version: name(&back.to),
        by: back.by.clone(),
        reason: back.reason.clone(),
        at_ms: back.at_ms,
    });
    StageVersions {
        stage: stage.to_string(),
        known: state.versions_of(stage).iter().rev().take(MOST_SHOWN).map(name).collect(),
        here: here.map(name),
        pinned,
        rolled_back,
        half_way: half_way(state, stage),
    }
}

fn half_way(state: &System, stage: &StageName) -> Option<String> {
    let half_way = state.versions.half_way.get(stage)?;
    let names =
        |names: &[crate::rules::RepositoryName]| names.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let (run, moved, open) = (&half_way.run, names(&half_way.moved), names(&half_way.open));
    let did = [("moved", moved), ("may have moved", names(&half_way.doubtful))];
    let did: Vec<String> =
        did.iter().filter(|(_, names)| !names.is_empty()).map(|(did, names)| format!("{did} {names}")).collect();
    let but = if open.is_empty() { String::new() } else { format!(", but not {open}") };
    let what = format!("{run} {}{but}", did.join(" and "));
    let back = half_way.taken_back_by.as_ref();
    Some(match back.map(|back| (back, state.run(back).map(|run| run.state))) {
        Some((back, Some(RunState::Failed | RunState::Aborted))) => {
            format!(
                "{what}, and {back} could not take it back: `tidegate retry {back}` does, `tidegate retry {run}` finishes it"
            )
        }
        Some((back, _)) => format!("{what}; {back} takes it back"),
        None if state.run(run).is_some_and(|run| matches!(run.subject, Subject::Promotion { .. })) => {
            format!("{what}: `tidegate retry {run}` finishes it, `tidegate take-back {run}` undoes it")
        }
        None => format!("{what}: `tidegate retry {run}` finishes it"),
    })
}
