//! The check that a commit shows of a run. Pure.

use super::text::{block, code};
use crate::{
    engine::{
        Run, RunState, StepRun, StepState, System,
        explain::{self, time},
    },
    providers::forge::{Check, CheckButton, CheckState},
    rules::SystemName,
    view::words,
};

/// How long the line above a summary is at most, in characters.
const LONGEST_TITLE: usize = 200;
/// How many digits of a digest a button says: as many as fit beside the word, and nobody finds another of them.
const BUTTON_DIGITS: usize = 12;

/// What the commit of a run should show of it; `link` is where more is told.
pub(super) fn check(system: &SystemName, state: &System, run: &Run, commit: &str, link: Option<String>) -> Check {
    let asks = run.answerable().filter(|_| run.state == RunState::Running);
    let digest = asks.map(|step| run.digest(step));
    let shown = match run.state {
        RunState::Queued => CheckState::Queued,
        RunState::Running if asks.is_some() => CheckState::Asks,
        RunState::Running | RunState::Ending => CheckState::Running,
        RunState::Done => CheckState::Success,
        RunState::Failed => CheckState::Failure,
        RunState::Aborted | RunState::Rejected => CheckState::Cancelled,
        RunState::Superseded => CheckState::Skipped,
    };
    let buttons = digest.as_ref().map(|digest| {
        let digits: String = digest.as_str().trim_start_matches("sha256:").chars().take(BUTTON_DIGITS).collect();
        let button = |label: &str, says: &str, description: String| CheckButton {
            label: label.to_owned(),
            description,
            says: format!("{says}:{digits}"),
        };
        vec![
            button("Approve", "approve", format!("Approve what {} shows here", run.id).chars().take(40).collect()),
            button("Reject", "reject", format!("End {}, and nothing is done", run.id).chars().take(40).collect()),
        ]
    });
    let asked_ms = asks.and_then(|step| step.started_ms);
    Check {
        key: key(system, run),
        name: format!("tidegate/{}/{}", run.stage, run.subject.name()),
        commit: commit.to_owned(),
        state: shown,
        began_ms: run.created_ms,
        ended_ms: run.ended_ms.or(asked_ms),
        title: title(state, run).chars().take(LONGEST_TITLE).collect(),
        summary: summary(system, state, run, digest.as_ref().map(|digest| digest.as_str())),
        link,
        buttons: buttons.unwrap_or_default(),
    }
}

/// What names a run at a forge: no other run, of whatever system or life of a system, is called so.
pub(super) fn key(system: &SystemName, run: &Run) -> String {
    format!("{system}/{}", run.unique_name())
}

fn title(state: &System, run: &Run) -> String {
    if let Some(waiting) = explain::run(state, run) {
        return match run.state {
            RunState::Queued => format!("{} is queued: waits for {}", run.id, waiting.for_what),
            _ => format!("{} waits for {}", run.id, waiting.for_what),
        };
    }
    let took = words::duration(run.ended_ms.unwrap_or(run.created_ms) - run.created_ms);
    let reason = run.reason.as_deref().map_or_else(String::new, |reason| format!(": {}", words::first_line(reason)));
    match run.state {
        RunState::Done => format!("{} was done in {took}", run.id),
        RunState::Failed => format!("{} failed{reason}", run.id),
        RunState::Aborted => format!("{} was ended{reason}", run.id),
        RunState::Superseded => format!("{} gave way to a newer run", run.id),
        RunState::Rejected => format!("{} was refused{reason}", run.id),
        RunState::Queued | RunState::Running | RunState::Ending => format!("{} proceeds", run.id),
    }
}

fn summary(system: &SystemName, state: &System, run: &Run, digest: Option<&str>) -> String {
    let mut parts = vec![format!(
        "{} of {} in {}, because {}.",
        code(run.id.as_str()),
        code(system.as_str()),
        code(run.stage.as_str()),
        code(&words::cause(&run.cause, &run.subject))
    )];
    if let Some(waiting) = explain::run(state, run) {
        let until = waiting.until_ms.map_or_else(String::new, |until_ms| format!(", until {}", time(until_ms)));
        let since = time(waiting.since_ms);
        parts.push(format!("It waits for {} (since {since}{until}).", code(&waiting.for_what)));
        parts.push(format!("It can be ended by {}.", code(&waiting.ended_by)));
    }
    if let Some(digest) = digest {
        let short = digest.get(..19).unwrap_or(digest);
        parts.push(format!(
            "The buttons answer for exactly this: {}. On the command line: {}.",
            code(digest),
            code(&format!("tidegate approve {} --digest {short}", run.id))
        ));
    }
    parts.extend(run.reason.as_deref().map(|reason| block(&[reason.to_owned()])));
    parts.push(block(&run.steps.iter().flat_map(step_lines).collect::<Vec<_>>()));
    let set = run.set.iter().map(|(repository, commit)| format!("{repository} {commit}"));
    let set: Vec<String> = set.collect();
    if !set.is_empty() {
        parts.push(format!("It is of these commits:\n\n{}", block(&set)));
    }
    parts.join("\n\n")
}

fn step_lines(step: &StepRun) -> Vec<String> {
    let took = match (step.started_ms, step.ended_ms) {
        (Some(started_ms), Some(ended_ms)) => words::duration(ended_ms - started_ms),
        _ => String::new(),
    };
    let state = match step.state {
        StepState::Blocked => "to come",
        StepState::Ready => "waits",
        StepState::Active => "active",
        StepState::Done if step.skipped.is_some() => "skipped",
        StepState::Done => "done",
        StepState::Failed => "failed",
        StepState::Cancelled => "cancelled",
    };
    let mut lines = vec![format!("{state:<10} {:<24} {took}", step.id.as_str()).trim_end().to_owned()];
    for name in ["acts", "changes", "verdict", "address"] {
        let said = step.outputs.get(name).map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned));
        lines.extend(said.filter(|said| !said.is_empty()).map(|said| format!("           {name}: {said}")));
    }
    lines.extend(step.answers.iter().map(|answer| format!("           approved by {}", answer.by.said())));
    lines.extend(step.error.iter().map(|error| format!("           {error}")));
    lines.extend(step.hint.iter().map(|hint| format!("           {hint}")));
    lines
}
