//! What a step is given: how long it may take, and what earlier steps made.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::{engine::StepWork, providers::Fault};

/// The shortest deadline that a call is given, so that a step tried at its last moment still gets an answer.
const SHORTEST_DEADLINE: Duration = Duration::from_secs(5);

/// How long a call of this step may still take.
pub(super) fn time_left(work: &StepWork) -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let deadline = Duration::from_millis(u64::try_from(work.deadline_ms).unwrap_or(0));
    deadline.saturating_sub(now).max(SHORTEST_DEADLINE)
}

/// A length of time as the engine counts it.
pub(super) fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// The output of an earlier step that this one cannot do without.
pub(super) fn needed<'work>(work: &'work StepWork, kind: &str, name: &str) -> Result<&'work str, Fault> {
    work.input(kind, name).and_then(Value::as_str).ok_or_else(|| {
        Fault::fail(
            format!("{} needs `{name}` from a `{kind}` step before it", work.step),
            format!("put a `{kind}` step before `{}`, or add it to its `needs`", work.step),
        )
    })
}
