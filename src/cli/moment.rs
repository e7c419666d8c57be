//! Moments as people type them.

use std::str::FromStr;

use chrono::{DateTime, NaiveDate, NaiveDateTime};

use crate::{driver::now_ms, rules::Span};

/// A moment: milliseconds since 1970, UTC. Typed as `2026-11-20T12:00:00+01:00`, as `2026-11-20 12:00` or `2026-11-20`
/// (UTC), as `2h ago` or `2h`, or as `now`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moment(pub(super) i64);

/// The forms of a moment in UTC that have a time of day.
const TIMES: [&str; 4] = ["%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M"];

impl Moment {
    fn parse(text: &str, now_ms: i64) -> Option<Self> {
        let text = text.trim().trim_end_matches("UTC").trim_end();
        if text == "now" {
            return Some(Self(now_ms));
        }
        if let Ok(span) = text.trim_end_matches("ago").trim_end().parse::<Span>() {
            return now_ms.checked_sub(span.as_ms()).map(Self);
        }
        if let Ok(time) = DateTime::parse_from_rfc3339(text) {
            return Some(Self(time.timestamp_millis()));
        }
        let day = || NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?.and_hms_opt(0, 0, 0);
        let time = TIMES.iter().find_map(|form| NaiveDateTime::parse_from_str(text, form).ok()).or_else(day)?;
        Some(Self(time.and_utc().timestamp_millis()))
    }
}

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::parse(text, now_ms()).ok_or_else(|| {
            format!(
                "`{text}` is no moment: write it as `2026-11-20T12:00:00Z`, `2026-11-20 12:00` (UTC) or `2h ago` \
                 (a whole number and one of ms, s, m, h, d)"
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON_MS: i64 = 1_795_176_000_000;

    #[test]
    fn moments_are_read_as_people_type_them() {
        let hour_ms = 3_600_000;
        for (text, expected) in [
            ("2026-11-20T12:00:00Z", Some(NOON_MS)),
            ("2026-11-20T13:00:00+01:00", Some(NOON_MS)),
            ("2026-11-20 12:00", Some(NOON_MS)),
            ("2026-11-20 12:00:01 UTC", Some(NOON_MS + 1_000)),
            ("2026-11-20", Some(NOON_MS - 12 * hour_ms)),
            ("2h ago", Some(NOON_MS - 2 * hour_ms)),
            ("30d", Some(NOON_MS - 30 * 24 * hour_ms)),
            ("now", Some(NOON_MS)),
            ("yesterday", None),
            ("2026-13-20 12:00", None),
            ("", None),
            ("9223372036854775807d", None),
        ] {
            assert_eq!(Moment::parse(text, NOON_MS).map(|moment| moment.0), expected, "{text}");
        }
    }
}
