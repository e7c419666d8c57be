//! The times of a [`Schedule`]: cron expressions on the wall clock of a time zone, with daylight saving right. A local
//! time that is left out in spring fires once, at the moment the clocks go forward; one that occurs twice in autumn
//! fires the first time only. The clock itself is not read here.

use std::str::FromStr;

use chrono::{DateTime, NaiveDateTime, Utc};
use chrono_tz::Tz;

use super::{
    trigger::Schedule,
    zone::{self, UnknownZone},
};

/// The most local times that are passed over because the clocks were put back: each second of a day and a half.
const MOST_REPEATED: usize = 36 * 60 * 60;

/// The times of a schedule.
#[derive(Debug, Clone)]
pub struct CronTimes {
    cron: cron::Schedule,
    zone: Tz,
}

/// A schedule that cannot be kept; its text says what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSchedule {
    /// The expression is not one.
    #[error("`{0}` is not a cron expression: {1}")]
    Cron(String, String),
    /// The time zone is not one.
    #[error(transparent)]
    Zone(#[from] UnknownZone),
}

impl CronTimes {
    /// Parses the expression and the time zone of a schedule.
    ///
    /// # Errors
    /// When the expression does not have six fields (seconds first) or one of them is wrong, when a day of the week is
    /// written as a number (which means Sunday to some crons and Monday to others), or when there is no such zone.
    pub fn parse(schedule: &Schedule) -> Result<Self, InvalidSchedule> {
        Ok(Self { cron: expression(&schedule.cron)?, zone: zone::zone(schedule.timezone.as_deref().unwrap_or("UTC"))? })
    }

    /// The first instant after `at_ms` (UTC milliseconds) that the schedule names; `None` when there is none up to
    /// the year 2100.
    #[must_use]
    pub fn next_after(&self, at_ms: i64) -> Option<i64> {
        // The crate sees wall-clock times only (as if they were UTC): it knows nothing of daylight saving, we do.
        let from = zone::local(self.zone, at_ms)?;
        self.local_times(from).take(MOST_REPEATED).find_map(|local| {
            let instant = zone::first_instant(self.zone, local)?;
            (instant > at_ms).then_some(instant)
        })
    }

    fn local_times(&self, from: NaiveDateTime) -> impl Iterator<Item = NaiveDateTime> {
        let from: DateTime<Utc> = from.and_utc();
        self.cron.after(&from).map(|time| time.naive_utc())
    }
}

fn expression(text: &str) -> Result<cron::Schedule, InvalidSchedule> {
    let invalid = |reason: &str| InvalidSchedule::Cron(text.to_owned(), reason.to_owned());
    let fields: Vec<&str> = text.split_whitespace().collect();
    match fields.as_slice() {
        [_, _, _, _, _] => {
            return Err(invalid(&format!(
                "it has five fields, and here seconds come first: write `0 {}`",
                fields.join(" ")
            )));
        }
        [_, _, _, _, _, days, ..] if days.contains(|character: char| character.is_ascii_digit()) => {
            return Err(invalid(
                "write days of the week by name, as in `Mon-Fri`: their numbers differ from cron to cron",
            ));
        }
        [_, _, _, _, _, _] => {}
        _ => {
            return Err(invalid(
                "write six fields: seconds, minutes, hours, day of month, month, day of week, as in `0 0 3 * * *`",
            ));
        }
    }
    cron::Schedule::from_str(text).map_err(|_| {
        invalid("one of its fields (seconds, minutes, hours, day of month, month, day of week) is malformed or out of range")
    })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::{super::trigger::MissedPolicy, *};

    fn times(cron: &str, timezone: &str) -> CronTimes {
        CronTimes::parse(&schedule(cron, timezone)).unwrap()
    }

    fn schedule(cron: &str, timezone: &str) -> Schedule {
        Schedule {
            cron: cron.to_owned(),
            timezone: Some(timezone.to_owned()),
            stages: None,
            only_if_changed: false,
            missed: MissedPolicy::default(),
        }
    }

    fn ms(instant: &str) -> i64 {
        DateTime::parse_from_rfc3339(instant).unwrap().timestamp_millis()
    }

    /// The next times after an instant, in UTC.
    fn after(times: &CronTimes, instant: &str, count: usize) -> Vec<String> {
        let mut at_ms = ms(instant);
        let mut found = Vec::new();
        for _ in 0..count {
            at_ms = times.next_after(at_ms).unwrap();
            found.push(DateTime::from_timestamp_millis(at_ms).unwrap().format("%Y-%m-%dT%H:%MZ").to_string());
        }
        found
    }

    #[test]
    fn an_instant_of_the_schedule_is_not_after_itself() {
        let nightly = times("0 0 3 * * *", "UTC");
        assert_eq!(after(&nightly, "2026-01-01T03:00:00Z", 1), ["2026-01-02T03:00Z"]);
        assert_eq!(after(&nightly, "2026-01-01T02:59:59.999Z", 1), ["2026-01-01T03:00Z"]);
    }

    #[test]
    fn berlin_in_spring_fires_a_skipped_time_once_when_the_gap_ends() {
        let found = after(&times("0 30 2 * * *", "Europe/Berlin"), "2026-03-28T00:00:00Z", 3);
        assert_eq!(found, ["2026-03-28T01:30Z", "2026-03-29T01:00Z", "2026-03-30T00:30Z"]);
        let found = after(&times("0 */20 2,3 * * *", "Europe/Berlin"), "2026-03-29T00:59:00Z", 4);
        assert_eq!(found, ["2026-03-29T01:00Z", "2026-03-29T01:20Z", "2026-03-29T01:40Z", "2026-03-30T00:00Z"]);
    }

    #[test]
    fn berlin_in_autumn_fires_a_repeated_time_once() {
        let found = after(&times("0 30 2 * * *", "Europe/Berlin"), "2026-10-24T00:00:00Z", 3);
        assert_eq!(found, ["2026-10-24T00:30Z", "2026-10-25T00:30Z", "2026-10-26T01:30Z"]);
        // From within the second pass of the hour, too.
        let found = after(&times("0 30 2 * * *", "Europe/Berlin"), "2026-10-25T01:10:00Z", 1);
        assert_eq!(found, ["2026-10-26T01:30Z"]);
        let found = after(&times("* * * * * *", "Europe/Berlin"), "2026-10-25T01:10:00Z", 1);
        assert_eq!(found, ["2026-10-25T02:00Z"]);
    }

    #[test]
    fn new_york_in_spring_and_autumn() {
        let nightly = times("0 30 2 * * *", "America/New_York");
        let found = after(&nightly, "2026-03-07T08:00:00Z", 2);
        assert_eq!(found, ["2026-03-08T07:00Z", "2026-03-09T06:30Z"]);
        let early = times("0 30 1 * * *", "America/New_York");
        let found = after(&early, "2026-10-31T06:00:00Z", 2);
        assert_eq!(found, ["2026-11-01T05:30Z", "2026-11-02T06:30Z"]);
    }

    #[test]
    fn lord_howe_changes_by_half_an_hour() {
        // 2026-10-04 02:00 +10:30 becomes 02:30 +11; 2026-04-05 02:00 +11 becomes 01:30 +10:30.
        let skipped = after(&times("0 15 2 * * *", "Australia/Lord_Howe"), "2026-10-03T00:00:00Z", 2);
        assert_eq!(skipped, ["2026-10-03T15:30Z", "2026-10-04T15:15Z"]);
        let repeated = after(&times("0 45 1 * * *", "Australia/Lord_Howe"), "2026-04-04T00:00:00Z", 2);
        assert_eq!(repeated, ["2026-04-04T14:45Z", "2026-04-05T15:15Z"]);
    }

    #[test]
    fn a_day_that_never_comes_has_no_instant() {
        assert_eq!(times("0 0 0 30 Feb *", "UTC").next_after(ms("2026-01-01T00:00:00Z")), None);
        assert_eq!(times("0 0 0 * * *", "UTC").next_after(i64::MAX), None);
        assert_eq!(times("0 0 0 * * *", "UTC").next_after(ms("2101-01-01T00:00:00Z")), None);
    }

    #[test]
    fn errors_say_what_to_write() {
        let error = |cron: &str, zone: &str| CronTimes::parse(&schedule(cron, zone)).unwrap_err().to_string();
        assert!(error("0 3 * * *", "UTC").ends_with("write `0 0 3 * * *`"));
        assert!(error("0 0 3 * * 1-5", "UTC").contains("`Mon-Fri`"));
        assert!(error("0 0 25 * * *", "UTC").contains("out of range"));
        assert!(error("", "UTC").contains("six fields"));
        assert_eq!(
            error("0 0 3 * * *", "Europe/Belrin"),
            "`Europe/Belrin` is not a time zone: did you mean `Europe/Berlin`?"
        );
    }
}
