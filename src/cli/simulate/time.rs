//! Moments as people type them.

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta};

use crate::rules::Span;

/// A moment, absolute or from now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli) enum Moment {
    /// Milliseconds since 1970, UTC.
    At(i64),
    /// The next time that the clock shows this, in UTC.
    Next(NaiveTime),
    /// So long from now.
    In(Span),
}

impl Moment {
    /// The moment, in milliseconds since 1970, UTC.
    pub(super) fn after(&self, now_ms: i64) -> i64 {
        match self {
            Self::At(at_ms) => *at_ms,
            Self::In(span) => now_ms.saturating_add(span.as_ms()),
            Self::Next(time) => {
                let Some(now) = DateTime::from_timestamp_millis(now_ms) else { return now_ms };
                let today = now.date_naive().and_time(*time);
                let next = if today > now.naive_utc() { today } else { today + TimeDelta::days(1) };
                next.and_utc().timestamp_millis()
            }
        }
    }
}

/// Reads a moment.
pub(super) fn parse(text: &str) -> Result<Moment, String> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Ok(Moment::At(time.timestamp_millis()));
    }
    for format in ["%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"] {
        if let Ok(time) = NaiveDateTime::parse_from_str(text, format) {
            return Ok(Moment::At(time.and_utc().timestamp_millis()));
        }
    }
    if let Ok(day) = NaiveDate::parse_from_str(text, "%Y-%m-%d") {
        return Ok(Moment::At(day.and_time(NaiveTime::MIN).and_utc().timestamp_millis()));
    }
    if let Ok(time) = NaiveTime::parse_from_str(text, "%H:%M") {
        return Ok(Moment::Next(time));
    }
    let wrong = "it is `2026-08-01`, `2026-08-01 03:00`, `03:00`, RFC 3339, or how long from now: `36h`";
    text.trim_start_matches('+').parse::<Span>().map(Moment::In).map_err(|_| wrong.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_as_people_type_them() {
        // 2026-11-20 12:00 UTC
        let noon_ms = 1_795_176_000_000;
        let hours = |hours: i64| noon_ms + hours * 3_600_000;
        for (text, expected) in [
            ("2026-11-20 13:00", hours(1)),
            ("2026-11-21", hours(12)),
            ("2026-11-20T14:00:00+01:00", hours(1)),
            ("13:00", hours(1)),
            ("11:00", hours(23)),
            ("36h", hours(36)),
            ("+2h", hours(2)),
        ] {
            assert_eq!(parse(text).unwrap().after(noon_ms), expected, "{text}");
        }
        assert!(parse("tomorrow").is_err());
    }
}
