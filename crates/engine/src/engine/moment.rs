//! Moments, in words.

/// A moment as people read it, in UTC to the second.
#[must_use]
pub fn time(at_ms: i64) -> String {
    chrono::DateTime::from_timestamp_millis(at_ms)
        .map_or_else(|| at_ms.to_string(), |time| time.format("%Y-%m-%d %H:%M:%S UTC").to_string())
}
