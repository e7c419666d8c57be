//! The lattice itself: repositories down, stages across, what is deployed at the bottom. Columns are as wide as what is in
//! them; where the terminal is narrower than that, they share it; where it is too narrow for that, the stages stand one
//! below the other. What is cut is cut where it tells least: an age, a mark and the end of an address stay.

use crate::{
    cli::{
        output::{Tone, paint},
        words,
    },
    view::status::{HeadStatus, RepositoryStatus, StatusReport, TargetStatus},
};

/// The mark of a head that what runs there does not have.
const TO_RUN: &str = "○";
/// Between two columns.
const GAP: usize = 2;
/// The narrowest column of a stage: a commit with its mark.
const NARROWEST: usize = 16;
/// Of the width, as much as names of repositories may take: a third.
const NAMES_SHARE: usize = 3;

/// What stands at one place, in one line.
#[derive(Debug, Clone, Default)]
struct Cell {
    text: String,
    /// What follows it and is not cut.
    tail: String,
    /// What follows it where the tail has no room.
    short_tail: String,
    /// Whether the end of the text tells more than its beginning.
    end_tells_more: bool,
}

impl Cell {
    fn of(text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }

    fn with_tail(text: impl Into<String>, tail: &str, short_tail: &str) -> Self {
        Self { tail: tail.to_owned(), short_tail: short_tail.to_owned(), ..Self::of(text) }
    }

    fn whole(&self) -> String {
        format!("{}{}", self.text, self.tail)
    }

    /// The cell in as many characters as there are at most.
    fn within(&self, width: usize) -> String {
        let Self { text, short_tail, end_tells_more, .. } = self;
        let whole = self.whole();
        if length(&whole) <= width {
            return whole;
        }
        let room = width.saturating_sub(length(short_tail));
        // An address is known without its scheme.
        let text = if *end_tells_more { text.split_once("://").map_or(text.as_str(), |(_, rest)| rest) } else { text };
        if length(text) <= room {
            return format!("{text}{short_tail}");
        }
        let kept = room.saturating_sub(1);
        let cut: String = if *end_tells_more {
            let skipped = length(text) - kept;
            format!("…{}", text.chars().skip(skipped).collect::<String>())
        } else {
            format!("{}…", text.chars().take(kept).collect::<String>())
        };
        // A tail that leaves no room for anything else is cut itself.
        format!("{cut}{short_tail}").chars().take(width).collect()
    }
}

/// One line of the lattice: a name, and a cell for each stage.
struct Row {
    name: String,
    cells: Vec<Cell>,
    tone: Tone,
    /// Whether it belongs to the picture only where the stages stand side by side.
    only_across: bool,
}

/// The lattice, for a terminal of this many columns; as wide as it must be, where there is none.
pub(super) fn lines(report: &StatusReport, now_ms: i64, width: Option<usize>) -> Vec<String> {
    let rows = rows(report, now_ms);
    let longest = rows.iter().map(|row| length(&row.name)).chain([length(&report.system)]).max().unwrap_or(0);
    let names = width.map_or(longest, |width| longest.min((width / NAMES_SHARE).max(NARROWEST)));
    let need = |stage: usize| {
        let cells = rows.iter().filter_map(|row| row.cells.get(stage)).map(|cell| length(&cell.whole()));
        cells.chain([length(&report.stages[stage])]).max().unwrap_or(0)
    };
    let needs: Vec<usize> = (0..report.stages.len()).map(need).collect();
    let mut lines = match width.map(|width| shared(&needs, width.saturating_sub(names))) {
        Some(None) => below(report, &rows, names, width.unwrap_or(usize::MAX)),
        Some(Some(widths)) => across(report, &rows, names, &widths),
        None => across(report, &rows, names, &needs),
    };
    let heads = report.repositories.iter().flat_map(|repository| repository.heads.values());
    if heads.into_iter().any(is_still_to_run) {
        let legend = Cell::of(format!("{TO_RUN} not in what runs there yet"));
        lines.push(paint(&legend.within(width.unwrap_or(usize::MAX)), Tone::Quiet));
    }
    lines
}

/// Whether what runs in its stage does not have it.
fn is_still_to_run(head: &HeadStatus) -> bool {
    head.runs == Some(false)
}

/// The widths of the columns in so much room, none wider than it needs to be; `None` when one would be too narrow.
fn shared(needs: &[usize], room: usize) -> Option<Vec<usize>> {
    let mut widths = vec![0; needs.len()];
    let mut left = room.checked_sub(GAP * needs.len())?;
    // The modest first: what they do not take is for the others.
    let mut order: Vec<usize> = (0..needs.len()).collect();
    order.sort_by_key(|stage| needs[*stage]);
    for (served, stage) in order.iter().enumerate() {
        widths[*stage] = needs[*stage].min(left / (needs.len() - served));
        left -= widths[*stage];
    }
    let is_wide_enough = |(width, need): (&usize, &usize)| *width >= NARROWEST.min(*need);
    widths.iter().zip(needs).all(is_wide_enough).then_some(widths)
}

/// The stages side by side.
fn across(report: &StatusReport, rows: &[Row], names: usize, widths: &[usize]) -> Vec<String> {
    let line = |name: &str, cells: Vec<String>| {
        let cells = cells.iter().zip(widths).map(|(cell, width)| format!("{:GAP$}{}", "", padded(cell, *width)));
        format!("{}{}", padded(&Cell::of(name).within(names), names), cells.collect::<String>()).trim_end().to_owned()
    };
    let stages = report.stages.iter().zip(widths).map(|(stage, width)| Cell::of(stage).within(*width));
    let mut lines = vec![paint(&line(&report.system, stages.collect()), Tone::Strong)];
    for Row { name, cells, tone, .. } in rows {
        let cells = cells.iter().zip(widths).map(|(cell, width)| cell.within(*width)).collect();
        let line = line(name, cells);
        lines.push(if *tone == Tone::Quiet { paint(&line, *tone) } else { line });
    }
    lines
}

/// The stages one below the other.
fn below(report: &StatusReport, rows: &[Row], names: usize, width: usize) -> Vec<String> {
    let mut lines = vec![paint(&Cell::of(&report.system).within(width), Tone::Strong)];
    let room = width.saturating_sub(names + 2 * GAP);
    for (index, stage) in report.stages.iter().enumerate() {
        lines.push(paint(&Cell::of(stage).within(width), Tone::Strong));
        for row in rows.iter().filter(|row| !row.only_across) {
            let Some(cell) = row.cells.get(index) else { continue };
            let name = padded(&Cell::of(&row.name).within(names), names);
            let line = format!("{:GAP$}{name}{:GAP$}{}", "", "", cell.within(room)).trim_end().to_owned();
            if !line.is_empty() {
                lines.push(if row.tone == Tone::Quiet { paint(&line, row.tone) } else { line });
            }
        }
    }
    lines
}

fn rows(report: &StatusReport, now_ms: i64) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut two = |name: &str, cells: Vec<(Cell, Cell)>| {
        let (first, second): (Vec<Cell>, Vec<Cell>) = cells.into_iter().unzip();
        rows.push(Row { name: name.to_owned(), cells: first, tone: Tone::Strong, only_across: false });
        rows.push(Row { name: String::new(), cells: second, tone: Tone::Quiet, only_across: false });
    };
    for repository in &report.repositories {
        let cells = report.stages.iter().map(|stage| repository_cells(repository, stage, now_ms));
        two(&repository.repository, cells.collect());
    }
    for (name, targets) in targets(report) {
        two(name, targets.into_iter().map(target_cells).collect());
    }
    with_arrows(rows, report)
}

/// An arrow above each target.
fn with_arrows(rows: Vec<Row>, report: &StatusReport) -> Vec<Row> {
    let arrows = || Row {
        name: String::new(),
        cells: vec![Cell::of("▼"); report.stages.len()],
        tone: Tone::Quiet,
        only_across: true,
    };
    let mut drawn = Vec::new();
    for (index, row) in rows.into_iter().enumerate() {
        if index >= 2 * report.repositories.len() && index % 2 == 0 {
            drawn.push(arrows());
        }
        drawn.push(row);
    }
    drawn
}

fn repository_cells(repository: &RepositoryStatus, stage: &str, now_ms: i64) -> (Cell, Cell) {
    match repository.heads.get(stage) {
        Some(head) => head_cells(head, now_ms),
        None if repository.seen => (Cell::of("– no such branch"), Cell::default()),
        None => (Cell::of("… not seen yet"), Cell::default()),
    }
}

fn head_cells(head: &HeadStatus, now_ms: i64) -> (Cell, Cell) {
    let (forced, short) = if head.forced { (" (forced)", " !") } else { ("", "") };
    let commit = head.commit.get(..10).unwrap_or(&head.commit);
    let age = format!(", {}", words::before(now_ms, head.since_ms));
    let mark = if is_still_to_run(head) { TO_RUN } else { "●" };
    (Cell::with_tail(format!("{mark} {commit}"), forced, short), Cell::with_tail(format!("  {}", head.by), &age, &age))
}

fn target_cells(target: &TargetStatus) -> (Cell, Cell) {
    let (verified, short) =
        if target.verified && target.state != "BROKEN" { (" ✓ verified", " ✓") } else { ("", "") };
    let first = match &target.deployed_by {
        Some(run) if target.state == "AVAILABLE" => run,
        _ => &target.state,
    };
    let second = match (&target.broken, &target.address) {
        (Some(broken), _) => Cell::of(broken),
        (None, Some(address)) => Cell { end_tells_more: true, ..Cell::of(address) },
        (None, None) => Cell::default(),
    };
    (Cell::with_tail(first, verified, short), second)
}

/// The targets by name, each over the stages in order.
fn targets(report: &StatusReport) -> Vec<(&str, Vec<&TargetStatus>)> {
    let mut names: Vec<&str> = report.targets.iter().map(|target| target.target.as_str()).collect();
    names.dedup();
    let of = |name: &str| report.targets.iter().filter(|target| target.target == name).collect();
    names.into_iter().map(|name| (name, of(name))).collect()
}

fn padded(text: &str, width: usize) -> String {
    format!("{text}{:pad$}", "", pad = width.saturating_sub(length(text)))
}

fn length(text: &str) -> usize {
    text.chars().count()
}

#[cfg(test)]
mod tests;
