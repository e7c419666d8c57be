//! Does a step for real on the copies of a simulation, within bounds of real time.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{
    foresight::{Ahead, Certainty, Foreseen},
    given::milliseconds,
    step::{Step, carry_out},
};
use crate::engine::StepOutcome;

/// How long a step on a copy may really take. A prediction that takes longer is of no use.
const REAL_DEADLINE: Duration = Duration::from_secs(300);

impl Ahead<'_> {
    /// Does the step for real, on the copies.
    pub(super) async fn really(self, step: &dyn Step) -> Foreseen {
        Foreseen { outcome: self.outcome(step).await, certainty: Certainty::Done, note: None }
    }

    /// What comes of the step, done for real. Its deadline is of the simulated time; here it gets a real one.
    pub(super) async fn outcome(mut self, step: &dyn Step) -> StepOutcome {
        let left_ms = u64::try_from(self.work.deadline_ms - self.now_ms).unwrap_or(0);
        let left = Duration::from_millis(left_ms).min(REAL_DEADLINE);
        let present = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.work.deadline_ms = milliseconds(present + left);
        match tokio::time::timeout(REAL_DEADLINE, carry_out(step, &self.work, self.tools)).await {
            Ok(outcome) => outcome,
            Err(_) => StepOutcome::Failed {
                error: format!("it took longer than {} s on a copy", REAL_DEADLINE.as_secs()),
                hint: "the simulation gives up; the real run may have more time".to_owned(),
            },
        }
    }
}
