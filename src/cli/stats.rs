//! `tidegate stats`: how well delivery goes, from the log: lead time, deployment frequency, change failure rate, and time to
//! restore. The definitions are in `docs/looking.md`.

use clap::Args;

use super::{
    Asking, Source,
    output::{Output, Tone, paint, say},
    progress::Progress,
    words,
};
use crate::{
    driver::now_ms,
    engine::{
        explain,
        stats::{StageStats, Times, Week},
    },
    house::{moment::since_as_typed, questions::period_since},
    rules::StageName,
    view::stats::SystemStats,
};

/// Show how well delivery goes, from the log: lead time for changes, deployment frequency, change failure rate, and time to
/// restore, for each system and stage.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples: tidegate stats --since 90d\n          tidegate stats --stage main --since 2026-11-01"
)]
pub(super) struct Stats {
    /// From when on: `30d`, `2026-11-20 12:00` (UTC) or `2026-11-20T12:00:00Z`
    #[arg(long, value_name = "TIME", default_value = "30d", value_parser = since_as_typed)]
    since: String,
    /// Only this stage
    #[arg(long)]
    stage: Option<StageName>,
    #[command(flatten)]
    asking: Asking,
}

/// How many weeks have a bar: half a year, which leaves room for the other columns on a terminal of 100 characters.
const MOST_BARS: usize = 26;

/// The heights of a bar of one character, from nothing to the most.
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

impl Stats {
    pub(super) async fn execute(self, source: &Source, output: Output) -> anyhow::Result<()> {
        let Some(answers) = source.open_for(&self.asking.asked()).await? else { return output.nothing_yet() };
        let systems = answers.systems_shown(&self.asking.asked()).await?;
        let period = period_since(&self.since, now_ms())?;
        let mut all = Vec::new();
        for system in systems {
            let progress = Progress::of(format!("reading {system}"));
            let tell = |seq, last| progress.tell(seq, last);
            all.push(answers.stats(&system, (&self.since, period), self.stage.as_ref(), tell).await?);
        }
        match output {
            Output::Json => output.json(&all),
            Output::Text if all.is_empty() => output.nothing_yet(),
            Output::Text => all.iter().try_for_each(|stats| say(&text(stats))),
        }
    }
}

fn text(stats: &SystemStats) -> String {
    let since = explain::time(stats.period.since_ms);
    let mut lines = vec![paint(&format!("{}, since {since}", stats.system), Tone::Strong)];
    if stats.stages.iter().all(|stage| stage.deployments == 0 && stage.lead_time.is_none()) {
        lines.push("  nothing has been deployed in this time".to_owned());
    } else {
        let head = ["stage", "deployments", "per week", "by week", "failed", "lead time", "restored in"];
        let mut rows = vec![head.map(str::to_owned)];
        rows.extend(stats.stages.iter().map(cells));
        lines.extend(table(&rows));
    }
    for stage in &stats.stages {
        let (name, attempts) = (&stage.stage, stage.did_not_take_place);
        let more =
            (attempts > 0).then(|| format!("  {name}: {attempts} more did not take place: what ran before still ran"));
        lines.extend(more);
        lines.extend(stage.not_restored.iter().map(|outage| {
            let since = words::ago(outage.since_ms);
            let words = format!("{} has not been restored since {} failed, {since}", outage.target, outage.run);
            format!("  {}", paint(&words, Tone::Bad))
        }));
    }
    lines.push(paint("  times: median / nine of ten within", Tone::Quiet));
    lines.push(String::new());
    lines.join("\n")
}

fn cells(stage: &StageStats) -> [String; 7] {
    let none = || "–".to_owned();
    let failed =
        stage.change_failure_rate.map_or_else(none, |rate| format!("{} ({:.0} %)", stage.failed, rate * 100.0));
    [
        stage.stage.to_string(),
        stage.deployments.to_string(),
        stage.per_week.map_or_else(none, |per_week| format!("{per_week:.1}")),
        bars(&stage.weeks),
        failed,
        stage.lead_time.as_ref().map_or_else(none, times),
        stage.time_to_restore.as_ref().map_or_else(none, times),
    ]
}

fn times(times: &Times) -> String {
    format!("{} / {}", words::duration(times.median_ms), words::duration(times.p90_ms))
}

/// One character per week, as high as there were deployments; of many weeks the last.
fn bars(weeks: &[Week]) -> String {
    let cut = weeks.len().saturating_sub(MOST_BARS);
    let (more, weeks) = (if cut > 0 { "…" } else { "" }, &weeks[cut..]);
    let most = weeks.iter().map(|week| week.deployments).max().unwrap_or(0).max(1);
    let bar = |week: &Week| match week.deployments {
        0 => ' ',
        some => BARS[(some * BARS.len()).div_ceil(most) - 1],
    };
    more.chars().chain(weeks.iter().map(bar)).collect()
}

/// Rows as columns that are as wide as they must be; the first row is the heading.
fn table(rows: &[[String; 7]]) -> Vec<String> {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..7).map(width).collect();
    let line = |row: &[String; 7]| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        format!("  {}", cells.collect::<Vec<_>>().join("  ")).trim_end().to_owned()
    };
    let lines = rows.iter().enumerate();
    lines.map(|(index, row)| if index == 0 { paint(&line(row), Tone::Quiet) } else { line(row) }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_as_high_as_its_week() {
        let weeks = [0, 1, 4, 8].map(|deployments| Week { from_ms: 0, deployments, failed: 0 });
        assert_eq!(bars(&weeks), " ▁▄█");
        assert_eq!(bars(&[]), "");
    }

    #[test]
    fn of_many_weeks_the_last_have_bars() {
        let weeks: Vec<Week> = (0..900).map(|number| Week { from_ms: 0, deployments: number, failed: 0 }).collect();
        let bars = bars(&weeks);
        assert!(bars.starts_with('…') && bars.ends_with('█'), "{bars}");
        assert_eq!(bars.chars().count(), MOST_BARS + 1);
    }
}
