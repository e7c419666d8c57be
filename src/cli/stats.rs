//! `tidegate stats`: how well delivery goes, from the log: lead time, deployment frequency, change failure rate, and time to
//! restore. The definitions are in `docs/looking.md`.

use std::path::Path;

use anyhow::bail;
use clap::Args;
use serde::Serialize;

use super::{
    Asking, House, moment,
    output::{Output, Tone, paint, say},
    progress::Progress,
    words,
};
use crate::{
    driver::now_ms,
    engine::{
        explain,
        stats::Whereabouts,
        stats::{self, Period, StageStats, Times, Week},
    },
    rules::{Span, StageName, SystemName},
    store::replay,
};

/// Show how well delivery goes, from the log: lead time for changes, deployment frequency, change failure rate, and time to
/// restore, for each system and stage.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples: tidegate stats --since 90d\n          tidegate stats --stage main --since 2026-11-01"
)]
pub(super) struct Stats {
    /// From when on: `30d`, `2026-11-20 12:00` (UTC) or `2026-11-20T12:00:00Z`
    #[arg(long, value_name = "TIME", default_value = "30d", value_parser = since)]
    since: String,
    /// Only this stage
    #[arg(long)]
    stage: Option<StageName>,
    #[command(flatten)]
    asking: Asking,
}

/// How many weeks have a bar: half a year, which leaves room for the other columns on a terminal of 100 characters.
const MOST_BARS: usize = 26;

/// For the command line: the text, if it is a length of time or a moment.
fn since(text: &str) -> Result<String, String> {
    if text.parse::<Span>().is_ok() { Ok(text.to_owned()) } else { moment::as_typed(text) }
}

/// The figures of one system.
#[derive(Serialize)]
struct SystemStats {
    system: SystemName,
    #[serde(flatten)]
    period: Period,
    stages: Vec<StageStats>,
}

/// The heights of a bar of one character, from nothing to the most.
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

impl Stats {
    pub(super) async fn execute(self, config: &Path, output: Output) -> anyhow::Result<()> {
        let Some(house) = House::open_for(&self.asking, config).await? else { return output.nothing_yet() };
        let systems = house.systems_shown(&self.asking).await?;
        let until_ms = now_ms();
        // A length alone is so long ago.
        let since_ms = match self.since.parse::<Span>() {
            Ok(span) => until_ms.saturating_sub(span.as_ms()),
            Err(_) => moment::parse(&self.since, until_ms)?,
        };
        let period = Period { since_ms, until_ms };
        if period.since_ms > period.until_ms {
            bail!("{} has not come yet: `--since` is a moment of the past", explain::time(period.since_ms));
        }
        let mut all = Vec::new();
        for system in systems {
            all.push(self.of(&house, system, period).await?);
        }
        match output {
            Output::Json => output.json(&all),
            Output::Text if all.is_empty() => output.nothing_yet(),
            Output::Text => all.iter().try_for_each(|stats| say(&text(stats))),
        }
    }

    async fn of(&self, house: &House, system: SystemName, period: Period) -> anyhow::Result<SystemStats> {
        let store = house.ledger.store().as_ref();
        let last = store.last_seq(&system).await?;
        let progress = Progress::of(format!("reading {system}"));
        let mut whereabouts = Whereabouts::default();
        let state = replay(store, &system, None, |recorded, decision, state| {
            progress.tell(recorded.seq, last);
            whereabouts.take(recorded, decision, state);
        });
        let state = state.await?;
        drop(progress);
        let stages: Vec<StageName> = state.rules().iter().flat_map(|rules| rules.stages.keys().cloned()).collect();
        if let Some(stage) = self.stage.as_ref().filter(|stage| !stages.contains(stage)) {
            let there: Vec<&str> = stages.iter().map(StageName::as_str).collect();
            bail!("{system} has no stage `{stage}`; it has: {}", there.join(", "));
        }
        let period = period.known_since(whereabouts.first_ms());
        let mut stages = stats::of(&whereabouts, &stages, period);
        stages.retain(|stats| self.stage.as_ref().is_none_or(|stage| stats.stage == *stage));
        Ok(SystemStats { system, period, stages })
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
