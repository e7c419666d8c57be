//! The deployment that a repository shows of a run. Pure.

use super::check::key;
use crate::{
    engine::{Run, RunState, StepRun, StepState, System, TargetKey},
    providers::forge::{Deployment, DeploymentState},
    rules::SystemName,
};

/// How long the line of a deployment is at most, in characters: GitHub takes 140.
const LONGEST: usize = 140;

/// What should be shown of a run that deploys, once nobody is asked any more; none of other runs.
pub(super) fn deployment(
    system: &SystemName,
    state: &System,
    run: &Run,
    commit: &str,
    link: Option<String>,
) -> Option<Deployment> {
    let Some(TargetKey::Target(target, _)) = &run.target else { return None };
    let step = run.steps.iter().find(|step| step.task.kind().deploys() && step.task.planned_by().is_none())?;
    let shown = standing(run, step)?;
    let rules = state.rules()?;
    let (environment, production) = match rules.stages.get(&run.stage) {
        Some(stage) => (stage.environment.clone(), rules.stages.keys().last() == Some(&run.stage)),
        None => (run.stage.to_string(), false),
    };
    let address = run.steps.iter().rev().find_map(|step| step.outputs.get("address")?.as_str());
    let address = address.filter(|address| address.starts_with("https://") || address.starts_with("http://"));
    Some(Deployment {
        key: key(system, run),
        commit: commit.to_owned(),
        target: target.to_string(),
        environment,
        production,
        state: shown,
        description: described(system, run, shown).chars().take(LONGEST).collect(),
        address: address.map(str::to_owned),
        link,
    })
}

fn standing(run: &Run, step: &StepRun) -> Option<DeploymentState> {
    let has_begun = step.started_ms.is_some();
    Some(match run.state {
        RunState::Queued | RunState::Running | RunState::Ending => match step.state {
            StepState::Blocked => return None,
            StepState::Ready => DeploymentState::Queued,
            StepState::Active | StepState::Done => DeploymentState::InProgress,
            StepState::Failed | StepState::Cancelled => DeploymentState::Failure,
        },
        RunState::Done => DeploymentState::Success,
        // What never came to its target was no deployment.
        RunState::Failed | RunState::Aborted | RunState::Superseded | RunState::Rejected if !has_begun => return None,
        RunState::Failed | RunState::Aborted | RunState::Rejected => DeploymentState::Failure,
        RunState::Superseded => DeploymentState::Inactive,
    })
}

fn described(system: &SystemName, run: &Run, state: DeploymentState) -> String {
    let what = match state {
        DeploymentState::Queued => "waits for its target",
        DeploymentState::InProgress => "proceeds",
        DeploymentState::Success => "is what runs there",
        DeploymentState::Failure => "failed",
        DeploymentState::Inactive => "gave way to another",
    };
    format!("{} of {system} {what}", run.id)
}
