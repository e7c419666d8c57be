//! The four figures of delivery, from the log alone: lead time for changes, deployment frequency, change failure rate, and
//! time to restore. The exact definitions are in `docs/looking.md`.

mod whereabouts;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use whereabouts::{Arrival, Deployment, Stop, Whereabouts};

use super::ids::{Place, RunId, TargetKey};
use crate::rules::StageName;

/// A week in milliseconds.
pub const WEEK_MS: i64 = 7 * 24 * 60 * 60 * 1_000;
/// How long must have been looked at before a frequency says anything.
const LEAST_OBSERVED_MS: i64 = 24 * 60 * 60 * 1_000;

/// A stretch of time: milliseconds since 1970, UTC, both ends within it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Period {
    /// Its beginning.
    pub since_ms: i64,
    /// Its end.
    pub until_ms: i64,
}

impl Period {
    /// The part of it of which the log knows: it begins with the log where that is younger. `first_ms` is the time of the
    /// log's first event.
    #[must_use]
    pub fn known_since(self, first_ms: Option<i64>) -> Self {
        let since_ms = self.since_ms.max(first_ms.unwrap_or(self.since_ms)).min(self.until_ms);
        Self { since_ms, ..self }
    }

    const fn has(&self, at_ms: i64) -> bool {
        self.since_ms <= at_ms && at_ms <= self.until_ms
    }
}

/// The figures of one stage within a period.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StageStats {
    /// The stage.
    pub stage: StageName,
    /// How many deployments there were.
    pub deployments: usize,
    /// How many others were begun and put nothing into service: what ran before still ran.
    pub did_not_take_place: usize,
    /// How many deployments failed or were rolled back.
    pub failed: usize,
    /// `failed` of `deployments`, from 0 to 1; absent where there were none.
    pub change_failure_rate: Option<f64>,
    /// How many deployments there were per week; absent when less than a day has been looked at.
    pub per_week: Option<f64>,
    /// The deployments week by week, oldest first; the last week ends with the period, and the first may be shorter.
    pub weeks: Vec<Week>,
    /// From the moment at which a change was first seen in the first stage to the end of the first good run that deployed
    /// it here; absent where none arrived.
    pub lead_time: Option<Times>,
    /// From a failed deployment to the next good one of its target; absent where nothing was restored.
    pub time_to_restore: Option<Times>,
    /// What has not been restored yet.
    pub not_restored: Vec<Outage>,
}

/// The deployments of seven days.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Week {
    /// When it begins: milliseconds since 1970, UTC.
    pub from_ms: i64,
    /// How many deployments there were.
    pub deployments: usize,
    /// How many of them failed or were rolled back.
    pub failed: usize,
}

/// Lengths of time, summed up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Times {
    /// Of how many.
    pub count: usize,
    /// The one in the middle, or half way between the two in the middle: milliseconds.
    pub median_ms: i64,
    /// The shortest that at least nine of ten do not exceed: milliseconds.
    pub p90_ms: i64,
}

/// A failed deployment that no good one has followed: what it put into service is not as it must be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Outage {
    /// The target.
    pub target: TargetKey,
    /// The run that failed.
    pub run: RunId,
    /// When it failed: milliseconds since 1970, UTC.
    pub since_ms: i64,
}

/// The figures of each of these stages, which are in promotion order: changes begin in the first.
#[must_use]
pub fn of(whereabouts: &Whereabouts, stages: &[StageName], period: Period) -> Vec<StageStats> {
    let observed_ms = whereabouts.first_ms().map_or(0, |first| period.until_ms - first.max(period.since_ms));
    let period = period.known_since(whereabouts.first_ms());
    let lead_times = lead_times(whereabouts, stages, period);
    let restored = restored(whereabouts, period);
    let stats = stages.iter().map(|stage| {
        let here = |deployment: &&Deployment| deployment.stage == *stage && period.has(deployment.at_ms);
        let begun = whereabouts.deployments().iter().filter(here);
        let (deployments, others): (Vec<&Deployment>, Vec<_>) = begun.partition(|deployment| deployment.took_place);
        let failed = deployments.iter().filter(|deployment| is_failure(deployment)).count();
        let (times, not_restored) = restored.get(stage).cloned().unwrap_or_default();
        let long_enough = observed_ms >= LEAST_OBSERVED_MS;
        StageStats {
            stage: stage.clone(),
            deployments: deployments.len(),
            did_not_take_place: others.len(),
            failed,
            change_failure_rate: ratio(failed, deployments.len()),
            per_week: long_enough.then(|| deployments.len() as f64 * WEEK_MS as f64 / observed_ms as f64),
            weeks: weeks(&deployments, period),
            lead_time: Times::of(lead_times.get(stage).cloned().unwrap_or_default()),
            time_to_restore: Times::of(times),
            not_restored,
        }
    });
    stats.collect()
}

impl Times {
    /// Sums lengths of time up; `None` where there are none.
    #[must_use]
    pub fn of(mut times_ms: Vec<i64>) -> Option<Self> {
        times_ms.sort_unstable();
        let count = times_ms.len();
        let upper = *times_ms.get(count / 2)?;
        let lower = times_ms[(count - 1) / 2];
        let median_ms = lower + (upper - lower) / 2;
        // The nearest rank: the smallest number of them that is at least nine tenths of all.
        let p90_ms = times_ms[(count * 9).div_ceil(10) - 1];
        Some(Self { count, median_ms, p90_ms })
    }
}

const fn is_failure(deployment: &Deployment) -> bool {
    deployment.failed || deployment.rolled_back_ms.is_some()
}

fn ratio(part: usize, whole: usize) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// The weeks of a period, counted back from its end.
fn weeks(deployments: &[&Deployment], period: Period) -> Vec<Week> {
    let length_ms = (period.until_ms - period.since_ms).max(1);
    let back = (0..=(length_ms - 1) / WEEK_MS).rev();
    let week = |back: i64| {
        let to_ms = period.until_ms - back * WEEK_MS;
        let from_ms = (to_ms - WEEK_MS).max(period.since_ms);
        let within = deployments.iter().filter(|deployment| {
            let after_begin = deployment.at_ms > from_ms || (from_ms == period.since_ms && deployment.at_ms == from_ms);
            after_begin && deployment.at_ms <= to_ms
        });
        let failed = within.clone().filter(|deployment| is_failure(deployment)).count();
        Week { from_ms, deployments: within.count(), failed }
    };
    back.map(week).collect()
}

/// Per stage, how long each change took that arrived there within the period.
fn lead_times(whereabouts: &Whereabouts, stages: &[StageName], period: Period) -> BTreeMap<StageName, Vec<i64>> {
    let mut good: BTreeMap<&StageName, Vec<(i64, &Deployment)>> = BTreeMap::new();
    for deployment in whereabouts.deployments() {
        if let Some(good_ms) = deployment.good_ms {
            good.entry(&deployment.stage).or_default().push((good_ms, deployment));
        }
    }
    good.values_mut().for_each(|deployments| deployments.sort_by_key(|(good_ms, _)| *good_ms));
    let mut times: BTreeMap<StageName, Vec<i64>> = BTreeMap::new();
    for (place, stops) in whereabouts.stops().filter(|(place, _)| stages.first() == Some(&place.stage)) {
        for (position, stop) in stops.iter().enumerate().filter(|(_, stop)| stop.is_change) {
            for (stage, arrival) in whereabouts.arrivals(place, position) {
                let here = Place { repository: place.repository.clone(), stage };
                let deployments = good.get(&here.stage).map(Vec::as_slice).unwrap_or_default();
                let after = &deployments[deployments.partition_point(|(good_ms, _)| *good_ms < arrival.at_ms)..];
                let brings = |(_, deployment): &&(i64, &Deployment)| {
                    whereabouts.deployment_brings(deployment, &here, arrival.position)
                };
                if let Some((good_ms, _)) = after.iter().find(brings).filter(|(good_ms, _)| period.has(*good_ms)) {
                    times.entry(here.stage).or_default().push(good_ms - stop.at_ms);
                }
            }
        }
    }
    times
}

/// Per stage, how long it took to restore what was restored within the period, and what was not by its end. Failures of a
/// target that follow one another are one outage, from the first of them on.
fn restored(whereabouts: &Whereabouts, period: Period) -> BTreeMap<StageName, (Vec<i64>, Vec<Outage>)> {
    let mut targets: BTreeMap<(&StageName, &TargetKey), Vec<&Deployment>> = BTreeMap::new();
    let taken_place = whereabouts.deployments().iter().filter(|deployment| deployment.took_place);
    for deployment in taken_place.filter(|deployment| deployment.at_ms <= period.until_ms) {
        targets.entry((&deployment.stage, &deployment.target)).or_default().push(deployment);
    }
    let mut restored: BTreeMap<StageName, (Vec<i64>, Vec<Outage>)> = BTreeMap::new();
    for ((stage, target), deployments) in targets {
        let (times, open) = restored.entry(stage.clone()).or_default();
        let mut last_end = None;
        for failed in deployments.iter().filter(|deployment| is_failure(deployment)) {
            let end = if failed.failed { next_good(&deployments, failed) } else { failed.rolled_back_ms };
            let end = end.filter(|end_ms| *end_ms <= period.until_ms);
            if last_end == Some(end) {
                continue;
            }
            last_end = Some(end);
            match end {
                Some(end_ms) if period.has(end_ms) => times.push(end_ms - failed.at_ms),
                Some(_) => {}
                None if failed.failed => {
                    open.push(Outage { target: target.clone(), run: failed.run.clone(), since_ms: failed.at_ms });
                }
                // Rolled back only after the period: nobody knew yet.
                None => last_end = None,
            }
        }
    }
    restored
}

/// When the target was first good again after a failure.
fn next_good(deployments: &[&Deployment], failed: &Deployment) -> Option<i64> {
    deployments.iter().filter_map(|deployment| deployment.good_ms).filter(|good_ms| *good_ms >= failed.at_ms).min()
}
