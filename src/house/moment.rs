//! Moments as people write them.

use anyhow::{Context, bail};
use chrono::{DateTime, NaiveDate, NaiveDateTime};

use crate::rules::Span;

/// Reads a moment: `2026-11-23T09:00:00+01:00`, `2026-11-23 09:00` or `2026-11-23` (both UTC), or, from now, `2h ago` and
/// `in 2h`. Milliseconds since 1970, UTC.
///
/// # Errors
/// When it is none of these.
pub(crate) fn parse(text: &str, now_ms: i64) -> anyhow::Result<i64> {
    let text = text.trim();
    if let Some(span) = text.strip_suffix(" ago") {
        return Ok(now_ms.saturating_sub(span.trim().parse::<Span>()?.as_ms()));
    }
    if let Some(span) = text.strip_prefix("in ") {
        return Ok(now_ms.saturating_add(span.trim().parse::<Span>()?.as_ms()));
    }
    if let Ok(moment) = DateTime::parse_from_rfc3339(text) {
        return Ok(moment.timestamp_millis());
    }
    let plain = text.trim_end_matches(" UTC").replace('T', " ");
    for shape in ["%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M"] {
        if let Ok(moment) = NaiveDateTime::parse_from_str(&plain, shape) {
            return Ok(moment.and_utc().timestamp_millis());
        }
    }
    let Ok(date) = plain.parse::<NaiveDate>() else {
        bail!(
            "`{text}` is not a time: write it as in `2026-11-23 09:00` (UTC), `2026-11-23T09:00:00+01:00`, `2h ago` or `in 2h`"
        )
    };
    let midnight = date.and_hms_opt(0, 0, 0).context("every day has a midnight in UTC")?;
    Ok(midnight.and_utc().timestamp_millis())
}

/// For the command line: the text, if it is a moment.
///
/// # Errors
/// When it is none.
pub(crate) fn as_typed(text: &str) -> Result<String, String> {
    parse(text, 0).map(|_| text.to_owned()).map_err(|error| error.to_string())
}

/// For the command line: the text, if it is a length of time or a moment.
///
/// # Errors
/// When it is neither.
pub(crate) fn since_as_typed(text: &str) -> Result<String, String> {
    if text.parse::<Span>().is_ok() { Ok(text.to_owned()) } else { as_typed(text) }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::parse;

    #[test]
    fn moments_are_read_as_people_write_them() {
        let now_ms = 1_795_176_000_000; // 2026-11-20 12:00 UTC
        for same in [
            "2026-11-20T13:00:00+01:00",
            "2026-11-20 12:00",
            "2026-11-20 12:00:00 UTC",
            "2026-11-20T12:00:00Z",
            "in 0s",
            "0s ago",
        ] {
            assert_eq!(parse(same, now_ms).unwrap(), now_ms, "{same}");
        }
        assert_eq!(parse("2026-11-20", now_ms).unwrap(), now_ms - 43_200_000);
        assert_eq!(parse("2h ago", now_ms).unwrap(), now_ms - 7_200_000);
        assert_eq!(parse("in 3d", now_ms).unwrap(), now_ms + 259_200_000);
        for bad in ["", "soon", "20.11.2026", "2 hours ago", "25:00"] {
            assert!(parse(bad, now_ms).is_err(), "{bad}");
        }
    }
}
