//! Windows of time in which promotions may move: `Mon-Thu 09:00-16:00 Europe/Berlin`. Wall-clock times of a zone; the
//! clock itself is not read here.

use std::{fmt, str::FromStr};

use chrono::{Datelike, Duration, NaiveDate, NaiveTime, Timelike, Weekday};
use chrono_tz::Tz;

use super::{
    gates::Day,
    zone::{self, UnknownZone},
};

const DAY_MINUTES: u16 = 24 * 60;
const DAY_MS: i64 = 24 * 60 * 60 * 1_000;
/// How far ahead an opening is looked for: every day of the week, and one more for a day whose opening is left out.
const DAYS_AHEAD: i64 = 15;
/// How far ahead it is looked for where holidays may be in the way.
const DAYS_AHEAD_WITH_HOLIDAYS: i64 = 400;
/// The most stretches that one window may have.
const MOST_STRETCHES: usize = 32;

/// When something may happen: one or more stretches, separated by `;`. Each is days (`daily`, `Mon-Thu`, `Mon,Wed`),
/// times (`09:00-16:00`; `22:00-06:00` ends on the next day; `00:00-24:00` is the whole day) and a time zone, UTC when
/// it is left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    stretches: Vec<Stretch>,
    /// Days on which no stretch opens.
    holidays: Vec<Day>,
}

/// A text that is no window; its text says what is expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidWindow {
    /// It is not days, times and zone.
    #[error("`{0}` is not a window: write days, times and a time zone, as in `Mon-Thu 09:00-16:00 Europe/Berlin`")]
    Shape(String),
    /// Its days are not days.
    #[error("`{0}` names no days: write `daily`, or days as in `Mon-Thu` or `Mon,Wed`")]
    Days(String),
    /// Its times are not times.
    #[error("`{0}` is not a stretch of the day: write it as in `09:00-16:00`")]
    Times(String),
    /// It begins when it ends.
    #[error("`{0}` is empty: the whole day is `00:00-24:00`")]
    Empty(String),
    /// Its time zone is not one.
    #[error(transparent)]
    Zone(#[from] UnknownZone),
}

/// One stretch of some days of the week.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stretch {
    /// Monday first.
    days: [bool; 7],
    /// Minutes of the day.
    opens: u16,
    /// Minutes of the day, beyond it when the stretch ends on the next day.
    closes: u16,
    zone: Tz,
}

impl Window {
    /// Parses a window.
    ///
    /// # Errors
    /// When it is not days, times and a known time zone; the error says which part, and how it is written.
    pub fn parse(text: &str) -> Result<Self, InvalidWindow> {
        let parts: Vec<&str> = text.split(';').map(str::trim).filter(|part| !part.is_empty()).collect();
        if parts.is_empty() || parts.len() > MOST_STRETCHES {
            return Err(InvalidWindow::Shape(text.to_owned()));
        }
        Ok(Self { stretches: parts.into_iter().map(stretch).collect::<Result<_, _>>()?, holidays: Vec::new() })
    }

    /// The same window, shut on these days. A stretch that opened the day before still goes on after midnight.
    #[must_use]
    pub fn except(self, holidays: Vec<Day>) -> Self {
        Self { holidays, ..self }
    }

    /// Whether it is open at an instant (UTC milliseconds). It is open from its first minute to just before its last.
    #[must_use]
    pub fn contains(&self, at_ms: i64) -> bool {
        self.stretches.iter().any(|stretch| stretch.contains(at_ms, &self.holidays))
    }

    /// The first instant from `at_ms` on at which it is open: `at_ms` itself while it is. `None` when it does not open
    /// within two weeks, or 400 days where it has holidays.
    #[must_use]
    pub fn next_opening(&self, at_ms: i64) -> Option<i64> {
        if self.contains(at_ms) {
            return Some(at_ms);
        }
        self.stretches.iter().filter_map(|stretch| stretch.next_opening(at_ms, &self.holidays)).min()
    }

    /// Since when it is shut that opens at `opens_ms`: when it was open last. `None` when that is longer ago than an opening
    /// is looked for.
    #[must_use]
    pub fn shut_since(&self, opens_ms: i64) -> Option<i64> {
        let is_closing = |instant: &i64| self.contains(*instant - 1) && !self.contains(*instant);
        let last = |stretch: &Stretch| {
            let closings = stretch.closings(opens_ms, &self.holidays);
            closings.filter(|instant| *instant <= opens_ms).find(is_closing)
        };
        self.stretches.iter().filter_map(last).max()
    }
}

impl FromStr for Window {
    type Err = InvalidWindow;

    fn from_str(text: &str) -> Result<Self, InvalidWindow> {
        Self::parse(text)
    }
}

impl fmt::Display for Window {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, stretch) in self.stretches.iter().enumerate() {
            if index > 0 {
                formatter.write_str("; ")?;
            }
            write!(formatter, "{stretch}")?;
        }
        Ok(())
    }
}

impl Stretch {
    fn contains(&self, at_ms: i64, holidays: &[Day]) -> bool {
        let Some(local) = zone::local(self.zone, at_ms) else { return false };
        let minute = u16::try_from(local.hour() * 60 + local.minute()).unwrap_or(u16::MAX);
        let today = local.weekday();
        let opens_on = |date: Option<NaiveDate>| date.is_some_and(|date| !holidays.iter().any(|day| day.is(date)));
        let opened_today = self.is_on(today) && (self.opens..self.closes).contains(&minute);
        let opened_yesterday = self.is_on(today.pred()) && minute + DAY_MINUTES < self.closes;
        let (opened_today, opened_yesterday) =
            (opened_today && opens_on(Some(local.date())), opened_yesterday && opens_on(local.date().pred_opt()));
        opened_today || opened_yesterday
    }

    /// The stretch opens when the clock shows its time, or when clocks are put forward or back into it.
    fn next_opening(&self, at_ms: i64, holidays: &[Day]) -> Option<i64> {
        let today = zone::local(self.zone, at_ms)?.date();
        let opens = NaiveTime::from_num_seconds_from_midnight_opt(u32::from(self.opens) * 60, 0)?;
        (-1..days_looked_at(holidays))
            .flat_map(|days| {
                let opening = today.checked_add_signed(Duration::days(days)).map(|date| date.and_time(opens));
                [
                    opening.and_then(|opening| zone::first_instant(self.zone, opening)),
                    opening.and_then(|opening| zone::second_instant(self.zone, opening)),
                    zone::change_within(self.zone, at_ms + days * DAY_MS, at_ms + (days + 1) * DAY_MS),
                ]
            })
            .flatten()
            .filter(|instant| *instant > at_ms && self.contains(*instant, holidays))
            .min()
    }

    /// The instants at which the clock shows that it ends, the latest first.
    fn closings(&self, at_ms: i64, holidays: &[Day]) -> impl Iterator<Item = i64> {
        let (zone, closes) = (self.zone, Duration::minutes(i64::from(self.closes)));
        let today = zone::local(zone, at_ms).map(|local| local.date());
        (-1..days_looked_at(holidays)).flat_map(move |ago| {
            let day = today.and_then(|today| today.checked_sub_signed(Duration::days(ago)));
            let closing = day.map(|day| day.and_time(NaiveTime::MIN) + closes);
            let instants = [
                closing.and_then(|closing| zone::second_instant(zone, closing)),
                closing.and_then(|closing| zone::first_instant(zone, closing)),
            ];
            instants.into_iter().flatten()
        })
    }

    const fn is_on(&self, day: Weekday) -> bool {
        self.days[day.num_days_from_monday() as usize]
    }
}

impl fmt::Display for Stretch {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.days == [true; 7] {
            formatter.write_str("daily")?;
        } else {
            formatter.write_str(&days_shown(&self.days))?;
        }
        let closes = if self.closes > DAY_MINUTES { self.closes - DAY_MINUTES } else { self.closes };
        let (opens, zone) = (self.opens, self.zone.name());
        write!(formatter, " {:02}:{:02}-{:02}:{:02} {zone}", opens / 60, opens % 60, closes / 60, closes % 60)
    }
}

/// How many days ahead, or back, it is looked for.
const fn days_looked_at(holidays: &[Day]) -> i64 {
    if holidays.is_empty() { DAYS_AHEAD } else { DAYS_AHEAD_WITH_HOLIDAYS }
}

/// Days in ranges: `Mon-Wed,Fri`.
fn days_shown(days: &[bool; 7]) -> String {
    let mut ranges: Vec<(Weekday, Weekday)> = Vec::new();
    for day in (0_u8..7).filter(|day| days[usize::from(*day)]).filter_map(|day| Weekday::try_from(day).ok()) {
        match ranges.last_mut() {
            Some((_, last)) if last.succ() == day => *last = day,
            _ => ranges.push((day, day)),
        }
    }
    let shown =
        ranges.iter().map(|(first, last)| if first == last { first.to_string() } else { format!("{first}-{last}") });
    shown.collect::<Vec<_>>().join(",")
}

fn stretch(text: &str) -> Result<Stretch, InvalidWindow> {
    let mut parts = text.split_whitespace();
    let (Some(days), Some(times), zone, None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        return Err(InvalidWindow::Shape(text.to_owned()));
    };
    let days = parse_days(days)?;
    let (opens, closes) = parse_times(times)?;
    Ok(Stretch { days, opens, closes, zone: zone::zone(zone.unwrap_or("UTC"))? })
}

fn parse_days(text: &str) -> Result<[bool; 7], InvalidWindow> {
    if text.eq_ignore_ascii_case("daily") {
        return Ok([true; 7]);
    }
    let invalid = || InvalidWindow::Days(text.to_owned());
    let mut days = [false; 7];
    for range in text.split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (mut day, last): (Weekday, Weekday) =
            (first.parse().map_err(|_| invalid())?, last.parse().map_err(|_| invalid())?);
        loop {
            days[day.num_days_from_monday() as usize] = true;
            if day == last {
                break;
            }
            day = day.succ();
        }
    }
    Ok(days)
}

fn parse_times(text: &str) -> Result<(u16, u16), InvalidWindow> {
    let invalid = || InvalidWindow::Times(text.to_owned());
    let (opens, closes) = text.split_once('-').ok_or_else(invalid)?;
    let (opens, closes) = (minute_of_day(opens).ok_or_else(invalid)?, minute_of_day(closes).ok_or_else(invalid)?);
    if opens == DAY_MINUTES {
        return Err(invalid());
    }
    if opens == closes {
        return Err(InvalidWindow::Empty(text.to_owned()));
    }
    Ok((opens, if closes < opens { closes + DAY_MINUTES } else { closes }))
}

/// `HH:MM` as minutes of the day, up to and with `24:00`.
fn minute_of_day(text: &str) -> Option<u16> {
    let (hours, minutes) = text.split_once(':')?;
    let two_digits = |part: &str| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
    if !two_digits(hours) || !two_digits(minutes) {
        return None;
    }
    let (hours, minutes): (u16, u16) = (hours.parse().ok()?, minutes.parse().ok()?);
    let minute = hours * 60 + minutes;
    (minutes < 60 && minute <= DAY_MINUTES).then_some(minute)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use chrono::DateTime;

    use super::*;

    fn ms(instant: &str) -> i64 {
        DateTime::parse_from_rfc3339(instant).unwrap().timestamp_millis()
    }

    fn open(window: &str, instant: &str) -> bool {
        Window::parse(window).unwrap().contains(ms(instant))
    }

    fn next(window: &str, instant: &str) -> String {
        let opening = Window::parse(window).unwrap().next_opening(ms(instant)).unwrap();
        DateTime::from_timestamp_millis(opening).unwrap().format("%Y-%m-%dT%H:%MZ").to_string()
    }

    const OFFICE: &str = "Mon-Thu 09:00-16:00 Europe/Berlin";

    #[test]
    fn it_is_open_from_its_first_minute_to_just_before_its_last() {
        // 2026-11-19 is a Thursday; Berlin is at +1.
        assert!(open(OFFICE, "2026-11-19T08:00:00Z"));
        assert!(open(OFFICE, "2026-11-19T14:59:59.999Z"));
        assert!(!open(OFFICE, "2026-11-19T15:00:00Z"));
        assert!(!open(OFFICE, "2026-11-20T10:00:00Z"));
        assert_eq!(next(OFFICE, "2026-11-19T15:00:00Z"), "2026-11-23T08:00Z");
        assert_eq!(next(OFFICE, "2026-11-19T10:00:00Z"), "2026-11-19T10:00Z");
    }

    #[test]
    fn it_may_reach_over_midnight() {
        let night = "Fri 22:00-06:00 America/New_York";
        assert!(open(night, "2026-11-21T03:00:00Z"));
        assert!(open(night, "2026-11-21T10:59:00Z"));
        assert!(!open(night, "2026-11-21T11:00:00Z"));
        assert!(!open(night, "2026-11-20T10:00:00Z"));
        assert_eq!(next(night, "2026-11-21T11:00:00Z"), "2026-11-28T03:00Z");
    }

    #[test]
    fn it_may_have_several_stretches_with_zones_of_their_own() {
        let window = "Mon,Wed 09:00-10:00 UTC; Sat-Sun 00:00-24:00";
        assert!(open(window, "2026-11-18T09:30:00Z"));
        assert!(!open(window, "2026-11-17T09:30:00Z"));
        assert!(open(window, "2026-11-22T23:59:59Z"));
        assert!(!open(window, "2026-11-23T00:00:00Z"));
        assert_eq!(next(window, "2026-11-18T10:00:00Z"), "2026-11-21T00:00Z");
    }

    #[test]
    fn it_opens_when_clocks_are_put_into_it() {
        // 02:15 is left out on 2026-03-29, so the window opens at 03:00.
        assert_eq!(next("daily 02:15-04:00 Europe/Berlin", "2026-03-29T00:30:00Z"), "2026-03-29T01:00Z");
        // The whole window is left out: the next day's counts.
        assert_eq!(next("daily 02:15-02:45 Europe/Berlin", "2026-03-29T00:30:00Z"), "2026-03-30T00:15Z");
        // On 2026-10-25 clocks go from 03:00 back to 02:00, into the window again.
        assert_eq!(next("daily 01:30-02:45 Europe/Berlin", "2026-10-25T00:50:00Z"), "2026-10-25T01:00Z");
        assert_eq!(next("daily 01:45-02:00 Australia/Lord_Howe", "2026-04-04T15:10:00Z"), "2026-04-04T15:15Z");
    }

    #[test]
    fn it_stays_shut_on_holidays() {
        let days = ["12-25", "2026-11-23", "2026-11-24"].iter().map(|day| day.parse().unwrap()).collect();
        let window = Window::parse(OFFICE).unwrap().except(days);
        assert!(window.contains(ms("2026-11-19T10:00:00Z")));
        assert!(!window.contains(ms("2026-11-23T10:00:00Z")));
        assert_eq!(window.next_opening(ms("2026-11-19T15:00:00Z")), Some(ms("2026-11-25T08:00:00Z")));
        // A night that began before the holiday goes on into it; the holiday's own night does not begin.
        let night = Window::parse("daily 22:00-06:00 UTC").unwrap().except(vec!["12-25".parse().unwrap()]);
        assert!(night.contains(ms("2026-12-25T05:59:00Z")));
        assert!(!night.contains(ms("2026-12-25T22:00:00Z")));
        assert!(!night.contains(ms("2026-12-26T05:59:00Z")));
        // Shut for good: it is looked for no longer than it takes.
        let never = Window::parse("Wed 10:00-11:00 UTC").unwrap();
        let wednesdays =
            (0..80).map(|week| Day::Once(NaiveDate::from_ymd_opt(2026, 11, 25).unwrap() + Duration::weeks(week)));
        assert_eq!(never.except(wednesdays.collect()).next_opening(ms("2026-11-19T15:00:00Z")), None);
    }

    #[test]
    fn it_is_shut_since_it_was_open_last() {
        let since = |window: &str, opens: &str| {
            let since = Window::parse(window).unwrap().shut_since(ms(opens)).unwrap();
            DateTime::from_timestamp_millis(since).unwrap().format("%Y-%m-%dT%H:%MZ").to_string()
        };
        assert_eq!(since(OFFICE, "2026-11-23T08:00:00Z"), "2026-11-19T15:00Z");
        assert_eq!(since("Fri 22:00-06:00 America/New_York", "2026-11-28T03:00:00Z"), "2026-11-21T11:00Z");
        assert_eq!(since("Mon,Wed 09:00-10:00; Sat-Sun 00:00-24:00", "2026-11-21T00:00:00Z"), "2026-11-18T10:00Z");
        assert_eq!(since("daily 09:00-12:00; daily 12:00-13:00", "2026-11-21T09:00:00Z"), "2026-11-20T13:00Z");
        let days = vec!["2026-11-19".parse().unwrap(), "2026-11-18".parse().unwrap()];
        let window = Window::parse(OFFICE).unwrap().except(days);
        assert_eq!(window.shut_since(ms("2026-11-23T08:00:00Z")), Some(ms("2026-11-17T15:00:00Z")));
    }

    #[test]
    fn it_is_shown_as_it_is_parsed() {
        for text in [OFFICE, "daily 22:00-06:00 UTC", "Mon-Wed,Fri 00:00-24:00 UTC; Sun 10:00-11:00 Europe/Berlin"] {
            let window = Window::parse(text).unwrap();
            assert_eq!(window.to_string(), text);
        }
        assert_eq!(Window::parse("sat-mon 9:00-10:00").unwrap_err(), InvalidWindow::Times("9:00-10:00".to_owned()));
        assert_eq!(Window::parse("monday,WED 09:00-10:00").unwrap().to_string(), "Mon,Wed 09:00-10:00 UTC");
    }

    #[test]
    fn errors_say_what_is_expected() {
        let error = |text: &str| Window::parse(text).unwrap_err().to_string();
        assert!(error("").contains("days, times and a time zone"));
        assert!(error("Mon-Thu").contains("as in `Mon-Thu 09:00-16:00 Europe/Berlin`"));
        assert!(error("Mon-Tho 09:00-16:00 UTC").contains("`Mon-Tho` names no days"));
        assert!(error("Mon 09:00-25:00 UTC").contains("not a stretch of the day"));
        assert!(error("Mon 09:00-09:00 UTC").contains("00:00-24:00"));
        assert!(error("Mon 09:00-16:00 Berlin").contains("time zone"));
        assert!(error("Mon 09:00-16:00 UTC please").contains("not a window"));
    }
}
