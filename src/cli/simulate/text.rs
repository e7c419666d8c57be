//! A prediction for people: in order, indented by cause, with the differences of the commits and a summary.

use crate::{
    cli::output::{Tone, paint},
    engine::explain,
    simulate::report::{Certainty, FileChange, Foreseen, Gate, Prediction, Stopped, Summary, What},
};

/// How many lines of one file's difference are shown; all of them are in the JSON.
const MOST_DIFF_LINES: usize = 40;

/// The whole of a prediction; `further` says how more of it can be seen.
pub(super) fn of(prediction: &Prediction, further: &str) -> String {
    let mut lines = vec![paint(&format!("If {} …", prediction.supposed), Tone::Strong)];
    if prediction.rules.changed {
        lines.push(format!("  by the rules of {}, which are not in force", prediction.rules.source));
    }
    lines.extend(events(&prediction.events));
    lines.push(String::new());
    for waiting in &prediction.waiting {
        let until = waiting.until_ms.map_or_else(String::new, |ms| format!(", until {}", explain::time(ms)));
        let (run, stage) = (&waiting.run, &waiting.stage);
        lines.push(format!("{run} in {stage} would still wait for {}{until}", paint(&waiting.for_what, Tone::Busy)));
        lines.push(format!("  ended by {}", waiting.ended_by));
    }
    let (whole, besides) = (summary(&prediction.summary), &prediction.besides);
    if *besides == Summary::default() {
        lines.push(paint(&whole, Tone::Strong));
    } else {
        lines.push(format!("{} {}", paint("Because of it:", Tone::Quiet), paint(&whole, Tone::Strong)));
        lines.push(format!("{} {}", paint("Under way or scheduled besides:", Tone::Quiet), summary(besides)));
    }
    lines.extend(stopped(&prediction.stopped, further));
    for (name, what) in &prediction.placeholders {
        lines.push(format!("{} stands for {what}", paint(name, Tone::Quiet)));
    }
    lines.extend(prediction.notes.iter().map(|note| format!("note: {note}")));
    lines.push(paint(
        "Nothing was touched. Times are the earliest: people agree at once, and work takes no time.",
        Tone::Quiet,
    ));
    lines.join("\n")
}

/// The events under their times. A run is named when something happens in it first, and again when others came between.
fn events(events: &[Foreseen]) -> Vec<String> {
    let (mut lines, mut last_second, mut last_run) = (Vec::new(), None, None);
    let begins = |event: &&Foreseen| matches!(event.what, What::Run { .. });
    let mut unnamed: Vec<&Foreseen> = Vec::new();
    for event in events.iter().filter(|event| !matches!(event.what, What::Supposed { .. })) {
        if begins(&event) {
            unnamed.push(event);
            continue;
        }
        let said = event_lines(event);
        if said.is_empty() && !unnamed.iter().any(|run| run.run == event.run) {
            continue;
        }
        if last_second != Some(event.at_ms / 1_000) {
            lines.push(format!("\n{}", paint(&explain::time(event.at_ms), Tone::Quiet)));
            last_second = Some(event.at_ms / 1_000);
        }
        match unnamed.iter().position(|run| run.run == event.run) {
            Some(position) => lines.extend(event_lines(unnamed.remove(position))),
            None if last_run != Some(&event.run) => lines.extend(goes_on(event)),
            None => {}
        }
        lines.extend(said);
        last_run = Some(&event.run);
    }
    lines.extend(unnamed.into_iter().flat_map(event_lines));
    lines
}

fn goes_on(event: &Foreseen) -> Option<String> {
    let indent = "  ".repeat(event.depth.saturating_sub(1));
    Some(format!("{indent}▸ {} goes on", paint(event.run.as_deref()?, Tone::Strong)))
}

fn event_lines(event: &Foreseen) -> Vec<String> {
    let indent = "  ".repeat(event.depth);
    let mark = match (&event.what, event.certainty) {
        (What::Failure { .. }, _) => paint("✗", Tone::Bad),
        (What::End { state, .. }, _) if state != "DONE" => paint("■", Tone::Bad),
        (What::Run { .. }, _) => "▸".to_owned(),
        (What::Commit { .. }, _) => paint("●", Tone::Good),
        (_, Certainty::Done) => paint("✓", Tone::Good),
        (_, Certainty::Foreseen) => paint("~", Tone::Busy),
        (_, Certainty::Assumed) => paint("?", Tone::Busy),
    };
    let Some((first, more)) = said(event) else { return Vec::new() };
    let mut lines = vec![format!("{indent}{mark} {first}")];
    lines.extend(more.into_iter().map(|line| format!("{indent}    {line}")));
    lines
}

/// What an event says: a line, and lines below it. A run that ends well says nothing.
fn said(event: &Foreseen) -> Option<(String, Vec<String>)> {
    let supposed = if event.certainty == Certainty::Assumed { " (assumed)" } else { "" };
    let line = |text: String| Some((text, Vec::new()));
    match &event.what {
        What::Supposed { .. } => None,
        What::Run { why, repository, commit, .. } => {
            let of =
                repository.iter().zip(commit).map(|(repository, commit)| format!(" on {repository} {}", short(commit)));
            let (run, stage) = (event.run.as_deref().unwrap_or_default(), event.stage.as_deref().unwrap_or_default());
            line(format!("{} in {stage}{}: {why}", paint(run, Tone::Strong), of.collect::<String>()))
        }
        What::Package { tag, reused: true, .. } => line(format!("package {tag} is there already")),
        What::Package { tag, .. } => line(format!("package {tag} is made")),
        What::Image { amis, reused } => {
            let ids: Vec<String> = amis.iter().map(|(region, id)| format!("{region}: {id}")).collect();
            let how = if *reused { "image is there already" } else { "image is baked" };
            line(format!("{how}: {}", ids.join(", ")))
        }
        What::Commit { commit, repository, branch, subject, files, files_left_out, .. } => {
            let mut more: Vec<String> = files.iter().flat_map(file_lines).collect();
            if *files_left_out > 0 {
                more.push(format!("… and {files_left_out} more files"));
            }
            Some((format!("commit-{commit} to {} {branch}: {subject}", paint(repository, Tone::Strong)), more))
        }
        What::NothingToCommit { repository, branch } => {
            line(format!("{repository} {branch} says so already: no commit"))
        }
        What::Template { digest } => line(format!("template {}", short_digest(digest))),
        What::Lint { verdict, errors, warnings } => {
            line(format!("lint {verdict}, {errors} errors, {warnings} warnings{supposed}"))
        }
        What::Step { step, says } => line(format!("{step}: {says}{supposed}")),
        What::Gate(gate) => Some(gate_lines(gate)),
        What::Deployment { target, template_digest, image } => {
            let image = image.as_ref().map_or_else(String::new, |image| format!(", image {image}"));
            let digest = short_digest(template_digest);
            line(format!("deployed to {}: template {digest}{image}", paint(target, Tone::Strong)))
        }
        What::Notice { via, to, subject, .. } => {
            let to = to.as_ref().map_or_else(String::new, |to| format!(" to {to}"));
            line(format!("{via}{to}: {subject}"))
        }
        What::Failure { step, error, hint } => {
            let hint = Some(hint.clone()).filter(|hint| !hint.is_empty());
            Some((format!("{step} fails: {}", paint(error, Tone::Bad)), hint.into_iter().collect()))
        }
        What::End { state, .. } if state == "DONE" => None,
        What::End { state, reason } => {
            let run = event.run.as_deref().unwrap_or_default();
            let reason = reason.as_ref().map_or_else(String::new, |reason| format!(": {reason}"));
            line(format!("{run} is {}{reason}", paint(state, Tone::Bad)))
        }
    }
}

fn gate_lines(gate: &Gate) -> (String, Vec<String>) {
    let mut more = Vec::new();
    if !gate.could_approve.is_empty() {
        more.push(format!("could approve: {}", gate.could_approve.join(", ")));
    }
    more.extend(gate.may_not_approve.iter().map(|(name, why)| format!("{name} could not: {why}")));
    let how = match (&gate.stuck, gate.approved_by.as_slice(), gate.passes_ms) {
        (Some(stuck), ..) => paint(&format!("it stops here: {stuck}"), Tone::Bad),
        (None, [], Some(at_ms)) => format!("passes at {}", explain::time(at_ms)),
        (None, [], None) => "it waits".to_owned(),
        (None, by, _) => format!("supposed: {} approve{}", by.join(", "), if by.len() == 1 { "s" } else { "" }),
    };
    more.push(how);
    (format!("waits for {}", gate.for_what), more)
}

fn file_lines(file: &FileChange) -> Vec<String> {
    let mut lines = vec![format!("{}  +{} −{}", file.path, file.added, file.removed)];
    let shown = file.hunks.lines().filter(|line| !line.starts_with("@@") && !line.starts_with('\\'));
    for line in shown.clone().take(MOST_DIFF_LINES) {
        lines.push(match line.chars().next() {
            Some('+') => paint(line, Tone::Good),
            Some('-') => paint(line, Tone::Bad),
            _ => line.to_owned(),
        });
    }
    let hidden = shown.count().saturating_sub(MOST_DIFF_LINES);
    if hidden > 0 {
        lines.push(format!("… {hidden} more lines; `-o json` has them"));
    }
    if file.cut {
        lines.push("… not shown: too long, or no text".to_owned());
    }
    lines
}

/// The whole in one sentence.
fn summary(summary: &Summary) -> String {
    let count = |number: usize, one: &str, more: &str| format!("{number} {}", if number == 1 { one } else { more });
    let mut parts = vec![
        format!(
            "{} in {}",
            count(summary.commits, "commit", "commits"),
            count(summary.repositories.len(), "repository", "repositories")
        ),
        format!("{} ({} reused)", count(summary.builds, "build", "builds"), summary.reused),
        count(summary.deployments, "deployment", "deployments"),
    ];
    match (summary.questions, summary.people.as_slice()) {
        (0, _) => parts.push("nobody is asked".to_owned()),
        (questions, []) => {
            parts.push(format!("{}, which nobody could give", count(questions, "approval", "approvals")))
        }
        (questions, people) => {
            parts.push(format!("{} asked of {}", count(questions, "approval", "approvals"), people.join(", ")));
        }
    }
    if summary.notices > 0 {
        parts.push(count(summary.notices, "notice", "notices"));
    }
    if summary.failed > 0 {
        parts.push(count(summary.failed, "failed run", "failed runs"));
    }
    parts.join(", ")
}

fn stopped(stopped: &Stopped, further: &str) -> Option<String> {
    match stopped {
        Stopped::Settled => None,
        Stopped::Stuck => Some(paint("It stops there: nobody could approve what waits.", Tone::Bad)),
        Stopped::Horizon { next_ms } => Some(format!("More would come at {}: {further}.", explain::time(*next_ms))),
        Stopped::Bound { bound } => Some(paint(&format!("Given up after {bound}: more may come."), Tone::Bad)),
    }
}

fn short(commit: &str) -> &str {
    if commit.starts_with("commit-") { commit } else { commit.get(..10).unwrap_or(commit) }
}

/// The beginning of a digest; all of one that is a placeholder.
fn short_digest(digest: &str) -> &str {
    if digest.starts_with("sha256:00000000") { digest } else { digest.get(..19).unwrap_or(digest) }
}
