//! Gates: the engine alone decides when they are done, so that nothing is started, polled or cancelled outside.

use async_trait::async_trait;
use serde_json::{Map, Value};

use super::{
    foresight::{Ahead, Foreseen, Told},
    step::{Progress, Step, Try, nothing_proceeds},
};
use crate::{engine::StepWork, providers::Fault, rules::Kind};

/// A gate of this kind.
pub(super) struct GateStep(pub(super) &'static Kind);

#[async_trait]
impl Step for GateStep {
    async fn start(&self, _: &Try<'_>) -> Result<Progress, Fault> {
        Err(Fault::fail(
            format!("`{}` is decided by the engine and has nothing to do outside", self.0.name),
            "this is a mistake in Tidegate",
        ))
    }

    async fn cancel(&self, _: &str, _: &Try<'_>) -> Result<Progress, Fault> {
        nothing_proceeds()
    }

    async fn foresee(&self, ahead: Ahead<'_>) -> Foreseen {
        ahead.really(self).await
    }

    fn tell(&self, _: &StepWork, _: &Map<String, Value>) -> Told {
        Told::Passes("it passes".to_owned())
    }
}
