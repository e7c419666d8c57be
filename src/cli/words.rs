//! How the command line writes what is coloured: states and waits. The other words are those of all who tell.

use crate::{
    driver::now_ms,
    engine::{RunState, StepState, explain},
};

use super::output::{Tone, paint};
pub(super) use crate::view::words::{ahead_of_clock, before, cause, duration, first_line};

/// How long ago a moment was, in one unit.
pub(super) fn ago(at_ms: i64) -> String {
    before(now_ms(), at_ms)
}

/// A size as people read it.
pub(super) fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];
    let mut size = bytes as f64 / 1_000.0;
    let mut unit = 0;
    while size >= 999.5 && unit + 1 < UNITS.len() {
        size /= 1_000.0;
        unit += 1;
    }
    if size < 9.95 { format!("{size:.1} {}", UNITS[unit]) } else { format!("{size:.0} {}", UNITS[unit]) }
}

/// What something waits for, since when and until when, seen from `now_ms`: the same words in every command.
pub(super) fn waits(for_what: &str, since_ms: i64, until_ms: Option<i64>, now_ms: i64) -> String {
    let until = until_ms.map_or_else(String::new, |until_ms| format!(", until {}", explain::time(until_ms)));
    format!("{}, since {}{until}", paint(first_line(for_what), Tone::Busy), before(now_ms, since_ms))
}

/// Who or what can end a wait: the same words in every command.
pub(super) fn ended_by(who_or_what: &str) -> String {
    paint(&format!("ended by {who_or_what}"), Tone::Quiet)
}

/// A run's state in its colour.
pub(super) fn run_state(state: RunState) -> String {
    let (word, tone) = match state {
        RunState::Queued => ("QUEUED", Tone::Quiet),
        RunState::Running => ("RUNNING", Tone::Busy),
        RunState::Ending => ("ENDING", Tone::Busy),
        RunState::Done => ("DONE", Tone::Good),
        RunState::Failed => ("FAILED", Tone::Bad),
        RunState::Aborted => ("ABORTED", Tone::Bad),
        RunState::Superseded => ("SUPERSEDED", Tone::Quiet),
        RunState::Rejected => ("REJECTED", Tone::Quiet),
    };
    paint(&format!("{word:<10}"), tone)
}

/// A step's mark and state in its colour.
pub(super) fn step_state(state: StepState) -> String {
    let (word, tone) = match state {
        StepState::Blocked => ("○ BLOCKED", Tone::Quiet),
        StepState::Ready => ("○ READY", Tone::Quiet),
        StepState::Active => ("● ACTIVE", Tone::Busy),
        StepState::Done => ("✓ DONE", Tone::Good),
        StepState::Failed => ("✗ FAILED", Tone::Bad),
        StepState::Cancelled => ("✗ CANCELLED", Tone::Bad),
    };
    paint(&format!("{word:<11}"), tone)
}
