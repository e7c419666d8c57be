//! How things are called and written for people: times, states, causes. One place, so that every command says the same.

use crate::{
    driver::now_ms,
    engine::{Cause, Head, RunState, StepState, Subject, explain},
};

use super::output::{Tone, paint};

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const DAY_MS: i64 = 24 * HOUR_MS;

/// A length of time, to two places: `3.2s`, `4m 10s`, `2h 5m`, `3d 4h`.
pub(super) fn duration(milliseconds: i64) -> String {
    match milliseconds.max(0) {
        short if short < MINUTE_MS => format!("{}.{}s", short / 1_000, short % 1_000 / 100),
        minutes if minutes < HOUR_MS => format!("{}m {}s", minutes / MINUTE_MS, minutes % MINUTE_MS / 1_000),
        hours if hours < DAY_MS => format!("{}h {}m", hours / HOUR_MS, hours % HOUR_MS / MINUTE_MS),
        days => format!("{}d {}h", days / DAY_MS, days % DAY_MS / HOUR_MS),
    }
}

/// How long ago a moment was, in one unit.
pub(super) fn ago(at_ms: i64) -> String {
    before(now_ms(), at_ms)
}

/// How long before `now_ms` a moment was, in one unit.
pub(super) fn before(now_ms: i64, at_ms: i64) -> String {
    match (now_ms - at_ms).max(0) {
        seconds if seconds < MINUTE_MS => format!("{}s ago", seconds / 1_000),
        minutes if minutes < HOUR_MS => format!("{}m ago", minutes / MINUTE_MS),
        hours if hours < 2 * DAY_MS => format!("{}h ago", hours / HOUR_MS),
        days => format!("{}d ago", days / DAY_MS),
    }
}

/// What something waits for, since when and until when, seen from `now_ms`: the same words in every command.
pub(super) fn waits(for_what: &str, since_ms: i64, until_ms: Option<i64>, now_ms: i64) -> String {
    let until = until_ms.map_or_else(String::new, |until_ms| format!(", until {}", explain::time(until_ms)));
    format!("{}, since {}{until}", paint(for_what, Tone::Busy), before(now_ms, since_ms))
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

/// Why there is a run.
pub(super) fn cause(cause: &Cause, subject: &Subject) -> String {
    let from = match subject {
        Subject::Promotion { from } => format!(" in {from}"),
        Subject::Rule(_) | Subject::Rollback | Subject::TakeBack => String::new(),
    };
    match cause {
        Cause::Push { by: Some(run), subject, .. } => format!("{run} committed \"{subject}\""),
        Cause::Push { author, subject, by: None } => format!("{} pushed \"{subject}\"", name_of(author)),
        Cause::Schedule { instant_ms } => format!("the schedule of {}", explain::time(*instant_ms)),
        Cause::Upstream { run } => format!("{run} succeeded"),
        Cause::Verified { run } => format!("{run} verified it{from}"),
        Cause::Command { by } => format!("{by} asked for it"),
        Cause::Decision { by, reason } => format!("{by} decided it: {reason}"),
        Cause::HalfWay { run } => format!("{run} ended half-way"),
        Cause::NotVerified { run } => format!("{run} could not verify what it deployed"),
    }
}

/// Who or what made a head.
pub(super) fn made_by(head: &Head) -> String {
    head.by.as_ref().map_or_else(|| name_of(&head.author).to_owned(), ToString::to_string)
}

fn name_of(author: &str) -> &str {
    author.split_once(" <").map_or(author, |(name, _)| name)
}
