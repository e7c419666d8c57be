//! What every step kind is, for the driver and for a simulation: one trait, which each kind implements in its own file. A
//! kind has no cancellation by default: one that forgot its own would keep going outside after people were told otherwise.

use async_trait::async_trait;
use serde_json::{Map, Value};

use super::{
    StepLog, Tools,
    foresight::{Ahead, Foreseen, Told},
};
use crate::{
    engine::{Artifact, Made, StepOutcome, StepWork},
    providers::Fault,
};

/// One kind of step.
#[async_trait]
pub(super) trait Step: Send + Sync {
    /// Does it, or starts what proceeds outside.
    async fn start(&self, on: &Act<'_>) -> Result<Progress, Fault>;

    /// Looks again at what was started under this handle. A kind that has only a question asks it again.
    async fn poll(&self, _handle: &str, on: &Act<'_>) -> Result<Progress, Fault> {
        self.start(on).await
    }

    /// Ends what proceeds outside under this handle; [`nothing_proceeds`] where nothing does.
    async fn cancel(&self, handle: &str, on: &Act<'_>) -> Result<Progress, Fault>;

    /// What would come of it: on copies, or assumed where the world would answer.
    async fn foresee(&self, ahead: Ahead<'_>) -> Foreseen;

    /// What a prediction says of it when it is done.
    fn tell(&self, work: &StepWork, outputs: &Map<String, Value>) -> Told;
}

/// What one try of a step works with.
pub(super) struct Act<'work> {
    pub(super) work: &'work StepWork,
    pub(super) tools: &'work Tools,
    pub(super) log: &'work StepLog,
}

/// What a step comes to when nothing fails.
pub(super) enum Progress {
    /// It proceeds under this handle; look again after so long.
    Pending { handle: String, after: std::time::Duration, progress: String },
    /// It is done.
    Done { outputs: Map<String, Value>, artifacts: Vec<Artifact>, made: Made },
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
            Progress::Pending { handle, after, progress } => Self::Pending {
                handle,
                after_ms: super::milliseconds(after),
                progress: Some(crate::rules::printable_line(&progress)),
            },
            Progress::Done { outputs, artifacts, made } => Self::Done { outputs, artifacts, made },
            Progress::Cancelled => Self::Cancelled,
        }
    }
}

/// The cancellation of a kind that is done within its call: the driver has ended the call already.
pub(super) const fn nothing_proceeds() -> Result<Progress, Fault> {
    Ok(Progress::Cancelled)
}
