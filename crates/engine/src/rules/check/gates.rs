//! Checks that open gates, calendars, delegates and the hotfix lane: each can come true, and skips nothing it must not.

use chrono::NaiveDate;

use super::{
    super::{
        document::Node,
        gates::{Check as Gate, Day, HotfixLane},
        mistake::did_you_mean,
        model::Conditions,
        template::{self, CONTEXT},
    },
    caches,
    context::Check,
    secrets,
};

/// The engine's own steps of a promotion, whose names its checks must not take.
const PROMOTION_STEPS: [&str; 4] = ["soak", "approve", "window", "release"];

pub(super) fn check(check: &mut Check<'_>) {
    let (rules, document) = (check.rules, check.document);
    for (name, days) in &rules.calendars {
        for (index, day) in days.iter().enumerate() {
            let bytes = document.field("calendars").field(name).item(index).bytes.clone();
            check.demand(&bytes, day.parse::<Day>().map(drop));
        }
    }
    for (index, delegate) in rules.delegates.iter().enumerate() {
        let place = document.field("delegates").item(index);
        if delegate.to.is_empty() {
            check.add(place.field("to").bytes.clone(), "this names nobody");
        }
        if delegate.to.contains(&delegate.of) {
            let message = format!("`{}` need not stand in for themselves", delegate.of);
            check.add(place.field("to").bytes.clone(), message);
        }
        if let Some(until) = delegate.until.as_ref().filter(|until| until.parse::<NaiveDate>().is_err()) {
            let message = format!("`{until}` is not a day: write it as in `2026-12-31`");
            check.add(place.field("until").bytes.clone(), message);
        }
    }
    if let Some(lane) = &rules.hotfix {
        hotfix(check, lane, document.field("hotfix"));
    }
}

/// A hotfix skips what only takes time, and never the people who look at what is deployed.
fn hotfix(check: &mut Check<'_>, lane: &HotfixLane, place: &Node) {
    let rules = check.rules;
    let of_promotions = rules.promotions.iter().flat_map(|promotion| promotion.requires.checks.keys().cloned());
    let of_rules = rules.rules.values().flat_map(|rule| &rule.steps);
    let of_rules = of_rules.filter(|step| step.action.kind().a_hotfix_may_skip).map(|step| step.id());
    let known: Vec<String> =
        of_promotions.chain(of_rules).map(|id| id.to_string()).chain(HotfixLane::GATES.map(str::to_owned)).collect();
    for (index, name) in lane.skips.iter().enumerate().filter(|(_, name)| !known.contains(name)) {
        let bytes = place.field("skips").item(index).bytes.clone();
        if name == "approve" {
            check.add_with_help(
                bytes,
                "a hotfix never skips an approval",
                "a smaller quorum for fewer people who are always there is what helps in a hurry",
            );
            continue;
        }
        let help = did_you_mean(name, known.iter().map(String::as_str))
            .unwrap_or_else(|| format!("there are: {}", known.join(", ")));
        check.add_with_help(bytes, format!("there is no gate `{name}` that a hotfix may skip"), help);
    }
}

/// The calendars and checks of a promotion.
pub(super) fn conditions(check: &mut Check<'_>, conditions: &Conditions, place: &Node) {
    let rules = check.rules;
    for (index, name) in conditions.holidays.iter().enumerate() {
        let bytes = &place.field("holidays").item(index).bytes;
        check.exists("calendar", name, rules.calendars.keys().map(String::as_str), bytes);
    }
    if !conditions.holidays.is_empty() && conditions.window.is_none() {
        check.add_with_help(
            place.key("holidays"),
            "holidays shut a window, and there is none",
            "add a `window`; `daily 00:00-24:00` is always open but on holidays",
        );
    }
    for (id, gate) in &conditions.checks {
        let at = place.field("checks");
        if PROMOTION_STEPS.contains(&id.as_str())
            || id.as_str().starts_with("check-")
            || id.as_str().starts_with("merge-")
        {
            check.add(at.key(id.as_str()), format!("`{id}` is a step of every promotion: name the check otherwise"));
        }
        let at = at.field(id.as_str());
        self::gate(check, gate, at, "a promotion");
        if !gate.command.is_empty() && gate.repository.is_none() {
            check.add_with_help(
                at.key("command"),
                "a promotion is of several repositories: from which does this command come?",
                "name it with `repository`",
            );
        }
        texts_of_context(check, gate, at);
    }
}

/// What is true of every check, in a rule or a promotion.
pub(super) fn gate(check: &mut Check<'_>, gate: &Gate, place: &Node, of: &str) {
    let web = |url: &str| ["http://", "https://", "{{"].iter().any(|start| url.starts_with(start));
    if gate.http.as_ref().is_some_and(|url| !web(url)) {
        check.add(place.field("http").bytes.clone(), "this URL does not begin with `http://` or `https://`");
    }
    if gate.status.is_some_and(|status| !(100..600).contains(&status)) {
        check.add(place.field("status").bytes.clone(), "an HTTP status is a number from 100 to 599");
    }
    for (field, is_there) in [("status", gate.status.is_some()), ("contains", gate.contains.is_some())] {
        if is_there && gate.http.is_none() {
            check.add(place.key(field), format!("`{field}` is about the answer to `http`, and there is none"));
        }
    }
    network_is_of_a_command(check, gate.network && gate.command.is_empty(), place);
    secrets::check(check, &gate.secrets, !gate.command.is_empty(), place);
    caches::check(check, &gate.caches, !gate.command.is_empty(), place);
    if let Some(repository) = &gate.repository {
        check.repository_exists(repository.as_str(), &place.field("repository").bytes);
    } else if gate.commit_status.is_some() && of == "a promotion" {
        check.add_with_help(
            place.key("commit_status"),
            "a promotion is of several repositories: of which commit is this status?",
            "name it with `repository`",
        );
    }
    for (field, span) in [("every", gate.every), ("within", gate.within)] {
        if span.is_some_and(|span| span.as_ms() < 1_000) {
            check.add(place.field(field).bytes.clone(), "a check is asked once a second at most");
        }
    }
    if gate.timeout.is_some_and(|timeout| timeout.as_ms() < 1_000) {
        check.add(place.field("timeout").bytes.clone(), "an answer takes a second at least");
    }
}

/// `network` opens the sandbox of a command: without one it says nothing, and whoever wrote it meant something.
pub(super) fn network_is_of_a_command(check: &mut Check<'_>, misplaced: bool, place: &Node) {
    if misplaced {
        check.add(place.key("network"), "`network` is about the sandbox of `command`, and there is none");
    }
}

/// The templates of a promotion's check know what is true of every run, and no steps.
fn texts_of_context(check: &mut Check<'_>, gate: &Gate, place: &Node) {
    let fields = [("http", gate.http.as_ref()), ("contains", gate.contains.as_ref())];
    let fields = fields.into_iter().filter_map(|(field, text)| Some((text?, place.field(field))));
    let words = gate.command.iter().enumerate().map(|(index, word)| (word, place.field("command").item(index)));
    for (text, at) in fields.chain(words) {
        let names = match template::names(text) {
            Ok(names) => names,
            Err(error) => {
                check.add(at.bytes.clone(), error.to_string());
                continue;
            }
        };
        for name in names.iter().map(|name| name.join(".")).filter(|name| !CONTEXT.contains(&name.as_str())) {
            check.add_with_help(
                at.bytes.clone(),
                format!("there is no `{name}` in a promotion"),
                format!("there are: {}", CONTEXT.join(", ")),
            );
        }
    }
}
