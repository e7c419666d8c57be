//! Looks at targets: before people are asked about a plan, when a run has its target, and when nobody has it. What a kind of
//! target means here, its provider knows; the engine makes the plan.

use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Map, Value};

use super::{
    Tools,
    foresight::{Ahead, Certainty, Foreseen, Told},
    step::{Progress, Step, Try},
};
use crate::{
    engine::{Observation, Outcome, Phase, Standing, StepOutcome, StepWork, TargetWork},
    providers::{
        Fault,
        targets::{Stands, TargetPlace, Targets},
    },
    rules::{TargetKind, printable, printable_line},
};

/// What a look has for a handle: there is nothing to find but the target itself.
const LOOK: &str = "look";
/// When a target that could not be looked at is looked at again.
const AGAIN_AFTER: Duration = Duration::from_secs(5);
/// How long a look may take.
const LOOK_DEADLINE: Duration = Duration::from_secs(30);

/// Looks at the target of its run.
pub(super) struct LookStep;

#[async_trait]
impl Step for LookStep {
    async fn start(&self, on: &Try<'_>) -> Result<Progress, Fault> {
        let target = target(on.work)?;
        match look(target, on.tools).await {
            Ok(observation) => {
                on.log.line(&format!("{} is {}", target.name, observation.standing.name())).await;
                Ok(Progress::Observed(observation))
            }
            // What cannot be seen now may be seen later: the run waits, and says so.
            Err(Fault::Retry { error, after }) => Ok(Progress::Pending {
                handle: LOOK.to_owned(),
                after: after.unwrap_or(AGAIN_AFTER),
                progress: format!("{} cannot be looked at: {error}", target.name),
            }),
            Err(fault) => Err(fault),
        }
    }

    async fn cancel(&self, _: &str, _: &Try<'_>) -> Result<Progress, Fault> {
        Ok(Progress::Cancelled)
    }

    /// A simulation touches nothing: it goes by the last look, and supposes that acts do what they are to.
    async fn foresee(&self, ahead: Ahead<'_>) -> Foreseen {
        let Ok(target) = target(&ahead.work) else { return Foreseen::assumed([]) };
        let seen = target.seen.as_ref().map(|seen| seen.observation.clone());
        let note = match &target.seen {
            Some(seen) => {
                format!("{} is taken as it was last seen, at {}", target.name, crate::engine::explain::time(seen.at_ms))
            }
            None => format!("{} has never been looked at; it is taken as absent", target.name),
        };
        let standing = if target.settings.kind == TargetKind::Job { Standing::Stable } else { Standing::Absent };
        let mut observation = seen.unwrap_or_else(|| Observation::of(standing));
        if observation.standing.in_the_way().is_some() || ahead.work.phase == Phase::Poll {
            observation.standing = Standing::Stable;
        }
        Foreseen { outcome: StepOutcome::Observed(observation), certainty: Certainty::Foreseen, note: Some(note) }
    }

    fn tell(&self, work: &StepWork, _: &Map<String, Value>) -> Told {
        let name = work.target.as_ref().map_or("the target", |target| target.name.as_str());
        Told::Passes(format!("{name} is looked at, and the plan made"))
    }
}

fn target(work: &StepWork) -> Result<&TargetWork, Fault> {
    work.target.as_ref().ok_or_else(|| {
        Fault::fail("its target is not in the rules any more, and was never known", "name a target in the rules")
    })
}

/// Looks at a target that nobody holds.
pub async fn observe(target: &TargetWork, tools: &Tools) -> Outcome {
    match look(target, tools).await {
        Ok(observation) => Outcome::Observed(observation),
        Err(fault) => Outcome::Unobserved { error: printable(&fault.whole()) },
    }
}

async fn look(target: &TargetWork, tools: &Tools) -> Result<Observation, Fault> {
    let ours: Vec<String> = target.ours.iter().map(ToString::to_string).collect();
    let place = place(target);
    let targets: Box<dyn Targets> = match target.settings.kind {
        TargetKind::Stack => Box::new(tools.providers.stacks(&target.stage)?.clone()),
        TargetKind::Job => Box::new(tools.providers.jobs(&target.stage)?.clone()),
    };
    let sight = tokio::time::timeout(LOOK_DEADLINE, targets.look(&place, &ours)).await.map_err(|_| {
        Fault::retry(format!("looking at {}: no answer within {} s", target.name, LOOK_DEADLINE.as_secs()))
    })??;
    let standing = match sight.stands {
        Stands::Absent => Standing::Absent,
        Stands::Stable => Standing::Stable,
        Stands::Moving(what, by_whom) => {
            Standing::Moving { what: printable_line(&what), by_whom: by_whom.map(|whom| printable_line(&whom)) }
        }
        Stands::Undoing(what) => Standing::Undoing { what: printable_line(&what) },
        Stands::Stuck(why, way_out) => Standing::Stuck { why: printable_line(&why), way_out },
    };
    Ok(Observation { standing, saw: sight.saw })
}

/// A target at its stage, for a provider.
pub(super) fn place(target: &TargetWork) -> TargetPlace {
    let (system, stage) = (target.system.to_string(), target.stage.to_string());
    TargetPlace { system, target: target.name.to_string(), stage }
}
