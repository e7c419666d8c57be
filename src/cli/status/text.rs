//! A system's status in text: the lattice, and below it what moves, what waits for whom, and what went wrong.

use super::{lattice, releases, remotes, untold, versions};
use crate::{
    cli::{
        output::{Tone, paint, width},
        words,
    },
    engine::{CommitId, explain},
    view::status::{HoldStatus, LiveRun, Past, RulesCommit, RulesStatus, StatusReport},
};

/// How wide the columns of the lists are: as wide as what is in them.
#[derive(Debug, Clone, Copy)]
struct Columns {
    /// Of stages.
    stage: usize,
    /// Of runs and holds.
    name: usize,
}

impl Columns {
    fn of(report: &StatusReport) -> Self {
        let names = report.live.iter().map(|run| &run.run).chain(report.failed.iter().map(|run| &run.run));
        let names = names.chain(report.holds.iter().map(|hold| &hold.name));
        let widest = |width: usize, text: &String| width.max(text.chars().count());
        Self { stage: report.stages.iter().fold(5, widest), name: names.fold(12, widest) }
    }

    /// As many spaces as stand before what follows a stage and a name.
    const fn indent(self) -> usize {
        2 + self.stage + 1 + self.name + 1
    }
}

/// The whole of a system's status, as it is seen at `now_ms`.
pub(in crate::cli) fn of(report: &StatusReport, now_ms: i64) -> String {
    if let Some(error) = &report.unreadable {
        return format!("{}\n  {} {error}\n", report.system, paint("cannot be read:", Tone::Bad));
    }
    if !report.is_there() {
        return not_there(report);
    }
    let mut lines: Vec<String> = report.past.iter().map(past).collect();
    let columns = Columns::of(report);
    lines.extend(lattice::lines(report, now_ms, width()));
    let made = report.targets.iter().filter_map(|target| Some((target, target.made_here.as_ref()?)));
    lines.extend(made.map(|(target, made)| {
        let runs = format!("what runs in {} on {} was {made}", target.stage, target.target);
        paint(&runs, Tone::Quiet)
    }));
    lines.extend(report.rules.iter().filter_map(|rules| rules_line(rules, now_ms)));
    lines.extend(held(&report.holds, columns, now_ms));
    let (said, half_way) = versions::lines(&report.versions, columns.stage, now_ms);
    if !said.is_empty() {
        lines.push(format!("\n{}", paint("Decided", Tone::Strong)));
        lines.extend(said);
    }
    motion(report, columns, now_ms, &mut lines);
    trouble(report, columns, (half_way, words::ahead_of_clock(report.last_event_ms, now_ms)), &mut lines);
    lines.push(String::new());
    lines.iter().map(|line| line.trim_end()).collect::<Vec<_>>().join("\n")
}

/// Why a system is not there, and what to do.
fn not_there(report: &StatusReport) -> String {
    let StatusReport { system, rules, refused_rules, .. } = report;
    let source = rules.as_ref().map_or("", |rules| rules.source.as_str());
    let (name, what) = match system.as_str() {
        "" => (source, "gives no system its rules".to_owned()),
        system => (system, format!("is not there yet: {source} has never been without mistakes")),
    };
    let mistakes = refused_rules.as_deref().unwrap_or_default();
    let hint = "mend it: `tidegate serve` reads it again within seconds";
    format!("{} {}\n{mistakes}\n{}\n", paint(name, Tone::Strong), paint(&what, Tone::Bad), paint(hint, Tone::Quiet))
}

/// Which commit brought the rules.
fn rules_line(rules: &RulesStatus, now_ms: i64) -> Option<String> {
    let RulesCommit { commit, author, subject, .. } = rules.commit.as_ref()?;
    let (source, commit) = (&rules.source, CommitId::new(commit.as_str()));
    let since = words::before(now_ms, rules.since_ms?);
    let line = format!("rules: {source} at {} \"{subject}\" by {author}, since {since}", commit.short());
    Some(paint(&line, Tone::Quiet))
}

/// That this is not the present.
fn past(past: &Past) -> String {
    let (at, seq, event) = (explain::time(past.at_ms), past.seq, &past.event);
    let title = paint(&format!("The past: as it was at {at}, after event {seq}"), Tone::Busy);
    let last = format!("  {}: {event}", explain::time(past.event_ms));
    format!("{title}\n{}\n", paint(&last, Tone::Quiet))
}

/// What holds the system by hand.
fn held(holds: &[HoldStatus], columns: Columns, now_ms: i64) -> Vec<String> {
    let (mut lines, Columns { stage: stages, name: names }) = (Vec::new(), columns);
    if !holds.is_empty() {
        lines.push(format!("\n{}", paint("Held", Tone::Strong)));
    }
    for hold in holds {
        let until = hold.until_ms.map_or_else(String::new, |until| format!(", until {}", explain::time(until)));
        let (stage, since) = (hold.stage.as_deref().unwrap_or("all"), words::before(now_ms, hold.since_ms));
        let name = paint(&format!("{:<names$}", hold.name), Tone::Busy);
        lines.push(format!("  {stage:<stages$} {name} {}: {}, since {since}{until}", hold.by, hold.reason));
        lines.extend(
            hold.passed_by.iter().map(|passed| format!("{:indent$}but for {passed}", "", indent = columns.indent())),
        );
    }
    lines
}

/// What moves, and what waits for whom.
fn motion(report: &StatusReport, columns: Columns, now_ms: i64, lines: &mut Vec<String>) {
    let (Columns { stage, name }, indent) = (columns, columns.indent());
    let (waiting, moving): (Vec<&LiveRun>, Vec<&LiveRun>) = report.live.iter().partition(|run| run.waits);
    let waits = |run: &LiveRun| words::waits(&run.waiting_for, run.since_ms, run.until_ms, now_ms);
    if !moving.is_empty() {
        lines.push(format!("\n{}", paint("In motion", Tone::Strong)));
    }
    for run in moving {
        let (done, all) = run.steps_done;
        lines.push(format!("  {:<stage$} {:<name$} {done}/{all} {}", run.stage, run.run, waits(run)));
    }
    if !waiting.is_empty() {
        lines.push(format!("\n{}", paint("Waiting", Tone::Strong)));
    }
    for run in waiting {
        lines.push(format!("  {:<stage$} {:<name$} for {}", run.stage, run.run, waits(run)));
        lines.push(format!("{:indent$}{}", "", words::ended_by(&run.ended_by)));
        lines.extend(run.hotfix.iter().map(|hotfix| format!("{:indent$}hotfix by {hotfix}", "")));
        lines.extend(run.changes.iter().map(|change| format!("{:indent$}- {change}", "")));
    }
    lines.extend(report.waits_for_place.iter().map(|waits| format!("  {}", paint(waits, Tone::Busy))));
    if !report.remotes.is_empty() {
        lines.push(format!("\n{}", paint("At remotes", Tone::Strong)));
        lines.extend(remotes::lines(&report.remotes, now_ms));
    }
    if report.live.is_empty() && report.remotes.is_empty() {
        lines.push(format!("\n{}", paint("Nothing is in motion, and nothing waits.", Tone::Quiet)));
    }
}

/// That the newest rules are not in force, or cannot be seen.
fn rules(report: &StatusReport) -> impl Iterator<Item = String> {
    let refused = report.refused_rules.iter().map(|mistakes| {
        format!(
            "  {}; the last good ones stay in force\n{mistakes}",
            paint("a change of the rules was refused", Tone::Bad)
        )
    });
    let unseen = report.rules.iter().filter_map(|rules| rules.trouble.as_ref());
    let unseen = unseen.map(|trouble| {
        format!("  {}; those in force stay: {trouble}", paint("the rules cannot be looked at", Tone::Bad))
    });
    refused.chain(unseen)
}

fn trouble(
    report: &StatusReport,
    columns: Columns,
    (half_way, ahead): (Vec<String>, Option<String>),
    lines: &mut Vec<String>,
) {
    let (Columns { stage, name }, indent) = (columns, columns.indent());
    let unreachable = report
        .repositories
        .iter()
        .filter_map(|repository| Some((&repository.repository, repository.unreachable.as_ref()?)));
    let failed = report.failed.iter().map(|run| {
        let hint = run.hint.as_ref().map_or_else(String::new, |hint| format!("\n{:indent$}{hint}", ""));
        format!(
            "  {:<stage$} {:<name$} {} {}{hint}",
            run.stage,
            run.run,
            paint(&run.state, Tone::Bad),
            words::first_line(&run.reason)
        )
    });
    let unreachable = unreachable.map(|(name, error)| {
        format!("  {name} {}: {}", paint("cannot be reached", Tone::Bad), words::first_line(error))
    });
    let unread = report.repositories.iter().flat_map(|repository| {
        let name = &repository.repository;
        repository.unread.iter().map(move |(at, unread)| {
            let commit = unread.commit.get(..7).unwrap_or(&unread.commit);
            let what = paint("cannot be read", Tone::Bad);
            format!("  {at:<stage$} {name} {commit} {what}: {}", words::first_line(&unread.error))
        })
    });
    let tags = report.repositories.iter().filter_map(|repository| {
        let (name, error) = (&repository.repository, repository.tags_unread.as_ref()?);
        Some(format!("  {name} {}: {}", paint("tags are not taken in", Tone::Bad), words::first_line(error)))
    });
    let untold = untold::lines(&report.untold, report.more_given_up);
    let half_way = half_way.into_iter().chain(releases::lines(&report.half_released));
    let ahead = ahead.map(|ahead| format!("  {ahead}"));
    let unboxed = report.unboxed.then(|| {
        let none = paint("no sandbox", Tone::Bad);
        format!(
            "  {none}: commands of repositories can do all that Tidegate can (`sandbox = \"none\"` in tidegate.toml)"
        )
    });
    let trouble = ahead
        .into_iter()
        .chain(half_way)
        .chain(unboxed)
        .chain(failed)
        .chain(unreachable)
        .chain(unread)
        .chain(tags)
        .chain(targets(report, stage))
        .chain(rules(report))
        .chain(untold);
    let trouble: Vec<String> = trouble.collect();
    if !trouble.is_empty() {
        lines.push(format!("\n{}", paint("Trouble", Tone::Strong)));
        lines.extend(trouble);
    }
}

/// The targets that cannot be looked at, and those that another hand changed.
fn targets(report: &StatusReport, stage: usize) -> impl Iterator<Item = String> {
    report.targets.iter().flat_map(move |target| {
        let place = format!("  {:<stage$} {}", target.stage, target.target);
        let unseen = target
            .unseen
            .as_ref()
            .map(|why| format!("{place} {}: {}", paint("cannot be looked at", Tone::Bad), words::first_line(why)));
        let drift = (!target.drift.is_empty()).then(|| {
            let changed = paint("changed by another hand", Tone::Bad);
            format!("{place} {changed}: {} (`tidegate target show`)", target.drift.join(", "))
        });
        unseen.into_iter().chain(drift)
    })
}
