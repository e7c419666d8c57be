//! Wall clocks and instants: which instant a local time means where clocks are put forward or back. Instants are UTC
//! milliseconds since 1970.

use chrono::{DateTime, Duration, LocalResult, NaiveDateTime, Offset, TimeZone, Timelike};
use chrono_tz::Tz;

/// The longest stretch of local time that a zone has ever left out, with room to spare: Samoa left out one day.
const LONGEST_GAP_MINUTES: i64 = 2 * 24 * 60;

/// A name that no time zone has; its text suggests one that looks like it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` is not a time zone{}", .like.map(|like| format!(": did you mean `{like}`?")).unwrap_or_else(|| ": write an IANA name, as in `Europe/Berlin` or `UTC`".to_owned()))]
pub struct UnknownZone {
    /// The name as it was given.
    pub name: String,
    /// A zone whose name looks like it.
    pub like: Option<&'static str>,
}

/// The zone of an IANA name.
pub(super) fn zone(name: &str) -> Result<Tz, UnknownZone> {
    name.parse::<Tz>().map_err(|_| {
        let likeness = |zone: &Tz| strsim::jaro_winkler(&zone.name().to_lowercase(), &name.to_lowercase());
        let best = chrono_tz::TZ_VARIANTS.iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
        let like = best.filter(|zone| likeness(zone) > 0.85).map(|zone| zone.name());
        UnknownZone { name: name.to_owned(), like }
    })
}

/// The wall clock of a zone at an instant; `None` only beyond the years that calendars reach.
pub(super) fn local(zone: Tz, at_ms: i64) -> Option<NaiveDateTime> {
    let instant = DateTime::from_timestamp_millis(at_ms)?;
    instant.naive_utc().checked_add_signed(offset(zone, at_ms)?)
}

/// The first instant at which the wall clock shows this time or, where it is left out, the moment that clocks are put
/// forward past it.
pub(super) fn first_instant(zone: Tz, local: NaiveDateTime) -> Option<i64> {
    if let Some(instant) = zone.from_local_datetime(&local).earliest() {
        return Some(instant.timestamp_millis());
    }
    let minute = local.with_second(0)?.with_nanosecond(0)?;
    (1..=LONGEST_GAP_MINUTES).find_map(|minutes| {
        let later = minute.checked_add_signed(Duration::minutes(minutes))?;
        zone.from_local_datetime(&later).earliest().map(|instant| instant.timestamp_millis())
    })
}

/// The second instant at which the wall clock shows this time, where clocks are put back over it.
pub(super) fn second_instant(zone: Tz, local: NaiveDateTime) -> Option<i64> {
    match zone.from_local_datetime(&local) {
        LocalResult::Ambiguous(_, second) => Some(second.timestamp_millis()),
        LocalResult::Single(_) | LocalResult::None => None,
    }
}

/// The moment within `(from_ms, to_ms]` at which clocks are put forward or back, when there is one. The stretch must be
/// short enough to hold no two of them.
pub(super) fn change_within(zone: Tz, from_ms: i64, to_ms: i64) -> Option<i64> {
    let before = offset(zone, from_ms)?;
    if offset(zone, to_ms)? == before {
        return None;
    }
    let (mut low, mut high) = (from_ms, to_ms);
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if offset(zone, middle)? == before {
            low = middle;
        } else {
            high = middle;
        }
    }
    Some(high)
}

fn offset(zone: Tz, at_ms: i64) -> Option<Duration> {
    let instant = DateTime::from_timestamp_millis(at_ms)?;
    Some(Duration::seconds(i64::from(zone.offset_from_utc_datetime(&instant.naive_utc()).fix().local_minus_utc())))
}
