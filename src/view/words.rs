//! How things are called and written for people: times, causes, commands. One place, so that whoever is told is told the same.

use serde::Serialize;

use crate::{
    engine::{Cause, Head, Subject, explain},
    rules::SystemName,
};

/// What a word means, where it is shown with colours; the word says it as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    Good,
    Bad,
    Busy,
    Quiet,
    Strong,
}

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const DAY_MS: i64 = 24 * HOUR_MS;

/// A state as its own serialisation names it.
pub(crate) fn text_of(state: &impl Serialize) -> String {
    serde_json::to_value(state).ok().and_then(|state| state.as_str().map(str::to_owned)).unwrap_or_default()
}

/// A length of time, to two places: `3.2s`, `4m 10s`, `2h 5m`, `3d 4h`.
pub(crate) fn duration(milliseconds: i64) -> String {
    match milliseconds.max(0) {
        short if short < MINUTE_MS => format!("{}.{}s", short / 1_000, short % 1_000 / 100),
        minutes if minutes < HOUR_MS => format!("{}m {}s", minutes / MINUTE_MS, minutes % MINUTE_MS / 1_000),
        hours if hours < DAY_MS => format!("{}h {}m", hours / HOUR_MS, hours % HOUR_MS / MINUTE_MS),
        days => format!("{}d {}h", days / DAY_MS, days % DAY_MS / HOUR_MS),
    }
}

/// How long before `now_ms` a moment was, in one unit.
pub(crate) fn before(now_ms: i64, at_ms: i64) -> String {
    match (now_ms - at_ms).max(0) {
        seconds if seconds < MINUTE_MS => format!("{}s ago", seconds / 1_000),
        minutes if minutes < HOUR_MS => format!("{}m ago", minutes / MINUTE_MS),
        hours if hours < 2 * DAY_MS => format!("{}h ago", hours / HOUR_MS),
        days => format!("{}d ago", days / DAY_MS),
    }
}

/// That a log's last event lies in the future, and what that means; nothing where it does not.
pub(crate) fn ahead_of_clock(last_ms: i64, now_ms: i64) -> Option<String> {
    (last_ms - now_ms > MINUTE_MS).then(|| {
        format!(
            "the clock was ahead: the last event is of {}. Looks, steps and nights go on; soak times and windows count \
             from that moment. Is this machine's clock right?",
            explain::time(last_ms)
        )
    })
}

/// The first line of what somebody or something said, which a table has room for; `run show` and `-o json` have the whole.
pub(crate) fn first_line(said: &str) -> &str {
    said.lines().next().unwrap_or_default()
}

/// Why there is a run.
pub(crate) fn cause(cause: &Cause, subject: &Subject) -> String {
    let from = match subject {
        Subject::Promotion { from } => format!(" in {from}"),
        _ => String::new(),
    };
    match cause {
        Cause::Push { by: Some(run), subject, .. } => format!("{run} committed \"{subject}\""),
        Cause::Push { author, subject, by: None } => format!("{} pushed \"{subject}\"", name_of(author)),
        Cause::Schedule { instant_ms } => format!("the schedule of {}", explain::time(*instant_ms)),
        Cause::Tag { tag } => format!("tag {tag}"),
        Cause::Workflow { workflow } => format!("{workflow} succeeded"),
        Cause::Release { by, bundle } => format!("{by} brought {}", bundle.name),
        Cause::Upstream { run } => format!("{run} succeeded"),
        Cause::Verified { run } => format!("{run} verified it{from}"),
        Cause::Command { by } => format!("{by} asked for it"),
        Cause::Decision { by, reason } => format!("{by} decided it: {reason}"),
        Cause::HalfWay { run } => format!("{run} ended half-way"),
        Cause::NotVerified { run } => format!("{run} could not verify what it deployed"),
    }
}

/// Who or what made a head.
pub(crate) fn made_by(head: &Head) -> String {
    head.by.as_ref().map_or_else(|| name_of(&head.author).to_owned(), ToString::to_string)
}

fn name_of(author: &str) -> &str {
    author.split_once(" <").map_or(author, |(name, _)| name)
}

/// The commands that are of no one system.
const OF_NO_SYSTEM: [&str; 5] = ["check", "demo", "init", "release", "serve"];

/// A text in which every command to copy, between backticks or on a line of its own, says which system it is of.
pub(crate) fn with_system(text: &str, system: &SystemName) -> String {
    let mut completed = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let (line, end) = line.strip_suffix('\n').map_or((line, ""), |line| (line, "\n"));
        if line.trim_start().starts_with("tidegate ") {
            completed.push_str(&of_system(line, system));
        } else {
            // Every second part stands between backticks.
            let parts = line
                .split('`')
                .enumerate()
                .map(|(number, part)| if number % 2 == 1 { of_system(part, system) } else { part.to_owned() });
            completed.push_str(&parts.collect::<Vec<_>>().join("`"));
        }
        completed.push_str(end);
    }
    completed
}

fn of_system(command: &str, system: &SystemName) -> String {
    let mut words = command.split_whitespace();
    let is_command = words.next() == Some("tidegate");
    let name = words.next().unwrap_or_default();
    let is_of_none = OF_NO_SYSTEM.contains(&name) || name.starts_with('-') || name.is_empty();
    if !is_command || is_of_none || words.any(|word| word == "--system" || word == "--all") {
        return command.to_owned();
    }
    format!("{command} --system {system}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_to_copy_say_which_system_is_meant() {
        let shop = SystemName::new("shop").expect("a name");
        let completed = |text| with_system(text, &shop);
        assert_eq!(
            completed(
                "ended by its end, `tidegate thaw freeze-1`, or `tidegate override freeze-1 promote-2 --reason …`"
            ),
            "ended by its end, `tidegate thaw freeze-1 --system shop`, or \
             `tidegate override freeze-1 promote-2 --reason … --system shop`"
        );
        assert_eq!(
            completed("To be approved\n\n  tidegate approve deliver-3 --digest sha256:12\n  rest"),
            "To be approved\n\n  tidegate approve deliver-3 --digest sha256:12 --system shop\n  rest"
        );
        for as_it_is in ["`tidegate serve` reads", "`tidegate` and `code`", "`tidegate pause --all`"] {
            assert_eq!(completed(as_it_is), as_it_is);
        }
    }
}
