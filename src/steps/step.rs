//! What every step kind is, for the driver and for a simulation: one trait, which each kind implements in its own file. A
//! kind has no cancellation by default: one that forgot its own would keep going outside after people were told otherwise.

use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Map, Value};

use super::{
    StepLog, Tools,
    foresight::{Ahead, Foreseen, Told},
    given::milliseconds,
};
use crate::{
    engine::{Artifact, Made, Observation, Phase, StepOutcome, StepWork, plan::Task},
    providers::Fault,
    rules::{printable, printable_line},
};

/// One kind of step.
#[async_trait]
pub(super) trait Step: Send + Sync {
    /// Does it, or starts what proceeds outside.
    async fn start(&self, on: &Try<'_>) -> Result<Progress, Fault>;

    /// Looks again at what was started under this handle. A kind that has only a question asks it again.
    async fn poll(&self, _handle: &str, on: &Try<'_>) -> Result<Progress, Fault> {
        self.start(on).await
    }

    /// Ends what proceeds outside under this handle; [`nothing_proceeds`] where nothing does.
    async fn cancel(&self, handle: &str, on: &Try<'_>) -> Result<Progress, Fault>;

    /// What would come of it: on copies, or assumed where the world would answer.
    async fn foresee(&self, ahead: Ahead<'_>) -> Foreseen;

    /// What a prediction says of it when it is done.
    fn tell(&self, work: &StepWork, outputs: &Map<String, Value>) -> Told;
}

/// What one try of a step works with.
pub(super) struct Try<'work> {
    pub(super) work: &'work StepWork,
    pub(super) tools: &'work Tools,
    pub(super) log: &'work StepLog,
}

/// What a step comes to when nothing fails.
pub(super) enum Progress {
    /// It proceeds under this handle; look again after so long.
    Pending { handle: String, after: Duration, progress: String },
    /// It is done.
    Done { outputs: Map<String, Value>, artifacts: Vec<Artifact>, made: Made },
    /// The target was looked at.
    Observed(Observation),
    /// It was cancelled, or there was nothing to cancel.
    Cancelled,
}

impl Progress {
    /// It is done, and made nothing that the engine goes by.
    pub(super) fn done<const N: usize>(outputs: [(&str, Value); N], artifacts: Vec<Artifact>) -> Self {
        Self::made(Made::Nothing, outputs, artifacts)
    }

    /// It is done.
    pub(super) fn made<const N: usize>(made: Made, outputs: [(&str, Value); N], artifacts: Vec<Artifact>) -> Self {
        let outputs = outputs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Self::Done { outputs, artifacts, made }
    }
}

impl From<Progress> for StepOutcome {
    fn from(progress: Progress) -> Self {
        match progress {
            Progress::Pending { handle, after, progress } => {
                Self::Pending { handle, after_ms: milliseconds(after), progress: Some(printable_line(&progress)) }
            }
            Progress::Done { outputs, artifacts, made } => {
                Self::Done { outputs: outputs.into(), artifacts: artifacts.into(), made }
            }
            Progress::Observed(observation) => Self::Observed(observation),
            Progress::Cancelled => Self::Cancelled,
        }
    }
}

/// The cancellation of a kind that is done within its call: the driver has ended the call already.
pub(super) const fn nothing_proceeds() -> Result<Progress, Fault> {
    Ok(Progress::Cancelled)
}

/// Starts, polls or cancels a step, as its work says.
pub(super) async fn carry_out(step: &dyn Step, work: &StepWork, tools: &Tools) -> StepOutcome {
    let log = &tools.log(work);
    if work.phase == Phase::Start {
        log.line(&format!("{} {}", said(work), work.key)).await;
    }
    let on = Try { work, tools, log };
    let outcome = match (work.phase, &work.handle) {
        // Without a handle, nothing proceeds but in this process, where the driver has ended it already.
        (Phase::Cancel, None) => Ok(Progress::Cancelled),
        (Phase::Cancel, Some(handle)) => step.cancel(handle, &on).await,
        (Phase::Poll, Some(handle)) => step.poll(handle, &on).await,
        (Phase::Start, _) | (Phase::Poll, None) => step.start(&on).await,
    };
    let outcome = match outcome {
        Ok(progress) => progress.into(),
        Err(Fault::Retry { error, after }) => {
            StepOutcome::Retry { error: printable(&error), after_ms: after.map(milliseconds) }
        }
        Err(Fault::Fail { error, hint }) => StepOutcome::Failed { error: printable(&error), hint: printable(&hint) },
    };
    log.outcome(&outcome).await;
    outcome
}

/// What a step does, in a word: its kind, or which act it is.
fn said(work: &StepWork) -> &str {
    match &work.task {
        Task::Act(act) => &act.name,
        task => task.kind().name,
    }
}
