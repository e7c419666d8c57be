//! The lattice, drawn in text: repositories down, stages across, what is deployed at the bottom.

use super::holds;
use super::report::{HeadStatus, LiveRun, Past, StatusReport, TargetStatus};
use super::untold;
use crate::{
    cli::{
        output::{Tone, paint},
        words,
    },
    engine::explain,
};

/// A column's width: a commit, and who made it.
const COLUMN: usize = 27;
/// The width of the repositories' names.
const NAMES: usize = 15;

/// The whole of a system's status, as it is seen at `now_ms`.
pub(in crate::cli) fn of(report: &StatusReport, now_ms: i64) -> String {
    let mut lines: Vec<String> = report.past.iter().map(past).collect();
    lines.push(heading(report));
    for repository in &report.repositories {
        let cells = report.stages.iter().map(|stage| match repository.heads.get(stage) {
            Some(head) => head_lines(head, now_ms),
            None if repository.seen => ("– no such branch".to_owned(), String::new()),
            None => ("… not seen yet".to_owned(), String::new()),
        });
        let (first, second): (Vec<String>, Vec<String>) = cells.unzip();
        lines.push(row(&repository.repository, &first, Tone::Strong));
        lines.push(row("", &second, Tone::Quiet));
    }
    for target in targets(report) {
        let (first, second): (Vec<String>, Vec<String>) = target.1.iter().map(|target| target_lines(target)).unzip();
        lines.push(row("", &vec!["▼".to_owned(); report.stages.len()], Tone::Quiet));
        lines.push(row(target.0, &first, Tone::Strong));
        lines.push(row("", &second, Tone::Quiet));
    }
    lines.extend(holds::lines(&report.holds, now_ms));
    let (said, half_way) = report.versions.lines(now_ms);
    if !said.is_empty() {
        lines.push(format!("\n{}", paint("Decided", Tone::Strong)));
        lines.extend(said);
    }
    motion(report, now_ms, &mut lines);
    trouble(report, half_way, &mut lines);
    lines.push(String::new());
    lines.iter().map(|line| line.trim_end()).collect::<Vec<_>>().join("\n")
}

/// That this is not the present.
fn past(past: &Past) -> String {
    let (at, seq, event) = (explain::time(past.at_ms), past.seq, &past.event);
    let title = paint(&format!("The past: as it was at {at}, after event {seq}"), Tone::Busy);
    let last = format!("  {}: {event}", explain::time(past.event_ms));
    format!("{title}\n{}\n", paint(&last, Tone::Quiet))
}

fn heading(report: &StatusReport) -> String {
    let stages: String = report.stages.iter().map(|stage| format!("{stage:<COLUMN$}")).collect();
    paint(&format!("{:<NAMES$}{stages}", report.system), Tone::Strong)
}

/// One line of the lattice. Cells are cut to their column, so that columns stay straight.
fn row(name: &str, cells: &[String], tone: Tone) -> String {
    let fit = |cell: &String| {
        let cut: String = cell.chars().take(COLUMN - 2).collect();
        let cut = if cut.len() < cell.len() {
            format!("{}…", cut.chars().take(COLUMN - 3).collect::<String>())
        } else {
            cut
        };
        format!("{cut:<COLUMN$}")
    };
    let cells: String = cells.iter().map(fit).collect();
    let name = format!("{name:<NAMES$}");
    if tone == Tone::Quiet { paint(&format!("{name}{cells}"), tone) } else { format!("{name}{cells}") }
}

fn head_lines(head: &HeadStatus, now_ms: i64) -> (String, String) {
    let forced = if head.forced { " (forced)" } else { "" };
    let commit = head.commit.get(..10).unwrap_or(&head.commit);
    (format!("● {commit}{forced}"), format!("  {}, {}", head.by, words::before(now_ms, head.since_ms)))
}

fn target_lines(target: &TargetStatus) -> (String, String) {
    let verified = if target.verified && target.state != "BROKEN" { " ✓ verified" } else { "" };
    let first = match &target.deployed_by {
        Some(run) if target.state == "AVAILABLE" => format!("{run}{verified}"),
        _ => format!("{}{verified}", target.state),
    };
    (first, target.broken.clone().or_else(|| target.address.clone()).unwrap_or_default())
}

/// The targets by name, each over the stages in order.
fn targets(report: &StatusReport) -> Vec<(&str, Vec<&TargetStatus>)> {
    let mut names: Vec<&str> = report.targets.iter().map(|target| target.target.as_str()).collect();
    names.dedup();
    let of = |name: &str| report.targets.iter().filter(|target| target.target == name).collect();
    names.into_iter().map(|name| (name, of(name))).collect()
}

/// What moves, and what waits for whom.
fn motion(report: &StatusReport, now_ms: i64, lines: &mut Vec<String>) {
    let (waiting, moving): (Vec<&LiveRun>, Vec<&LiveRun>) = report.live.iter().partition(|run| run.waits);
    let waits = |run: &LiveRun| words::waits(&run.waiting_for, run.since_ms, run.until_ms, now_ms);
    if !moving.is_empty() {
        lines.push(format!("\n{}", paint("In motion", Tone::Strong)));
    }
    for run in moving {
        let (done, all) = run.steps_done;
        lines.push(format!("  {:<6}{:<13} {done}/{all} {}", run.stage, run.run, waits(run)));
    }
    if !waiting.is_empty() {
        lines.push(format!("\n{}", paint("Waiting", Tone::Strong)));
    }
    for run in waiting {
        lines.push(format!("  {:<6}{:<13} for {}", run.stage, run.run, waits(run)));
        lines.push(format!("  {:<20} {}", "", words::ended_by(&run.ended_by)));
        lines.extend(run.hotfix.iter().map(|hotfix| format!("  {:<20} hotfix by {hotfix}", "")));
    }
    if report.live.is_empty() {
        lines.push(format!("\n{}", paint("Nothing is in motion, and nothing waits.", Tone::Quiet)));
    }
}

fn trouble(report: &StatusReport, half_way: Vec<String>, lines: &mut Vec<String>) {
    let unreachable = report
        .repositories
        .iter()
        .filter_map(|repository| Some((&repository.repository, repository.unreachable.as_ref()?)));
    let failed = report.failed.iter().map(|run| {
        let hint = run.hint.as_ref().map_or_else(String::new, |hint| format!("\n{:<23}{hint}", ""));
        format!("  {:<6}{:<13} {} {}{hint}", run.stage, run.run, paint(&run.state, Tone::Bad), run.reason)
    });
    let unreachable =
        unreachable.map(|(name, error)| format!("  {name} {}: {error}", paint("cannot be reached", Tone::Bad)));
    let refused = report.refused_rules.iter().map(|mistakes| {
        format!("  {}; the last good ones stay in force\n{mistakes}", paint("the rules file was refused", Tone::Bad))
    });
    let untold = untold::lines(&report.untold, report.more_given_up);
    let trouble = half_way.into_iter().chain(failed).chain(unreachable).chain(refused).chain(untold);
    let trouble: Vec<String> = trouble.collect();
    if !trouble.is_empty() {
        lines.push(format!("\n{}", paint("Trouble", Tone::Strong)));
        lines.extend(trouble);
    }
}
