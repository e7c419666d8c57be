//! What rules say of gates beyond a window or a quorum: checks that are asked until they pass, calendars, delegates and the
//! hotfix lane.

use std::{fmt, str::FromStr};

use chrono::{Datelike, NaiveDate};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    names::{CacheName, RepositoryName, SecretName, StepId},
    span::Span,
    template::render,
};

/// How often a check is asked when its rule does not say.
pub const CHECK_EVERY: Span = Span::from_secs(30);
/// How long a check may take to pass when its rule does not say: a day outlasts a night's tests.
pub const CHECK_WITHIN: Span = Span::from_secs(86_400);

/// How long one run of a check's command may take when its rule does not say: one that hangs is asked again.
pub const CHECK_COMMAND_TIMEOUT: Span = Span::from_secs(600);
/// How long any other answer may take when its rule does not say.
pub const CHECK_ANSWER_TIMEOUT: Span = Span::from_secs(60);

/// The name by which `hotfix.skips` means freezes, which are not steps.
const FREEZES: &str = "freeze";

/// A gate that something outside opens: exactly one of `http`, `command` and `commit_status`. Until it passes it is asked
/// again; what it says meanwhile is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Check {
    /// A URL, a template, that must answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<String>,
    /// The status that `http` must answer with; 200 unless it says otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// A text, a template, that the answer to `http` must contain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contains: Option<String>,
    /// A command that must end with 0; its words are templates.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// Whether `command` may use the network; without it there is none in the sandbox.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub network: bool,
    /// The secrets of `tidegate.toml` that `command` is given, each as a file: `NPM_TOKEN_FILE` says where `npm-token` is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<SecretName>,
    /// The folders that outlive the step and `command` is` given, for this repository and stage alone: `npm` at `/cache/npm`, as
    /// `TIDEGATE_CACHE_NPM` says. `cargo`, `go`, `gradle`, `npm`, `pip`, `uv` and `yarn` find theirs by themselves.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub caches: Vec<CacheName>,
    /// The name of a commit's status, as in `ci/build`, that must be a success.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit_status: Option<String>,
    /// The repository whose commit `commit_status` and `command` are about; that of the rule unless it says otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<RepositoryName>,
    /// How often it is asked; every 30 s unless it says otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every: Option<Span>,
    /// How long it may take to pass before it fails; 1 d unless it says otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within: Option<Span>,
    /// How long one answer may take, or one run of the command, before it is asked again; 10 m for a command and 1 m
    /// otherwise, unless it says otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Span>,
}

impl Check {
    /// How long one answer may take.
    #[must_use]
    pub fn answer_timeout(&self) -> Span {
        let usual = if self.command.is_empty() { CHECK_ANSWER_TIMEOUT } else { CHECK_COMMAND_TIMEOUT };
        self.timeout.unwrap_or(usual)
    }

    /// The same check with its templates filled in; a text that uses a name that is not known yet stays as it is.
    #[must_use]
    pub fn rendered(&self, context: &serde_json::Value) -> Self {
        let rendered = |text: &String| render(text, context).unwrap_or_else(|_| text.clone());
        Self {
            http: self.http.as_ref().map(rendered),
            contains: self.contains.as_ref().map(rendered),
            command: self.command.iter().map(rendered).collect(),
            ..self.clone()
        }
    }

    /// What it asks, for people.
    #[must_use]
    pub fn question(&self) -> String {
        match (&self.http, &self.commit_status) {
            (Some(url), _) => format!("{url} to answer {}", self.status.unwrap_or(200)),
            (None, Some(name)) => format!("the commit status `{name}` to be a success"),
            (None, None) => format!("`{}` to succeed", self.command.join(" ")),
        }
    }
}

/// Somebody who may approve in another's place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Delegate {
    /// The person or group in whose place.
    pub of: String,
    /// The people and groups who may.
    pub to: Vec<String>,
    /// The last day on which they may, in UTC, as in `2026-12-31`; for ever unless it says otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
}

impl Delegate {
    /// Whether it holds at an instant: milliseconds since 1970, UTC.
    #[must_use]
    pub fn holds_at(&self, at_ms: i64) -> bool {
        let Some(until) = &self.until else { return true };
        let last = until.parse::<NaiveDate>().ok().and_then(|last| last.succ_opt());
        let end = last.and_then(|end| end.and_hms_opt(0, 0, 0));
        end.is_some_and(|end| at_ms < end.and_utc().timestamp_millis())
    }
}

/// The lane for what cannot wait. A change that is marked as a hotfix skips the gates that are named here, and carries
/// the mark for ever. It never skips an approval.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HotfixLane {
    /// People and groups who may mark a change; whoever has the permission when it is empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub from: Vec<String>,
    /// What a hotfix skips: `soak`, `window`, `freeze`, and checks by their name.
    pub skips: Vec<String>,
}

impl HotfixLane {
    /// Whether a hotfix skips a gate of this name.
    #[must_use]
    pub fn skips(&self, gate: &StepId) -> bool {
        self.skips.iter().any(|name| name == gate.as_str())
    }

    /// Whether a hotfix passes freezes.
    #[must_use]
    pub fn skips_freezes(&self) -> bool {
        self.skips.iter().any(|name| name == FREEZES)
    }

    /// The gates that every hotfix lane may name, besides checks.
    pub(super) const GATES: [&'static str; 3] = ["soak", "window", FREEZES];
}

/// A day of a calendar: one day (`2026-12-24`) or the same day of every year (`12-25`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub enum Day {
    /// Of one year.
    Once(NaiveDate),
    /// Of every year: month and day.
    Yearly(u32, u32),
}

/// A text that is no day.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a day: write it as in `2026-12-24`, or `12-25` for every year")]
pub struct InvalidDay(String);

impl Day {
    /// Whether a date is this day.
    #[must_use]
    pub fn is(self, date: NaiveDate) -> bool {
        match self {
            Self::Once(day) => day == date,
            Self::Yearly(month, day) => (date.month(), date.day()) == (month, day),
        }
    }
}

impl FromStr for Day {
    type Err = InvalidDay;

    fn from_str(text: &str) -> Result<Self, InvalidDay> {
        let invalid = || InvalidDay(text.to_owned());
        if text.len() == "2026-12-24".len() {
            return text.parse().map(Self::Once).map_err(|_| invalid());
        }
        // 2024 has every day that a year can have.
        let date: NaiveDate = format!("2024-{text}").parse().map_err(|_| invalid())?;
        if text.len() == "12-25".len() { Ok(Self::Yearly(date.month(), date.day())) } else { Err(invalid()) }
    }
}

impl fmt::Display for Day {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Once(date) => date.fmt(formatter),
            Self::Yearly(month, day) => write!(formatter, "{month:02}-{day:02}"),
        }
    }
}

impl TryFrom<String> for Day {
    type Error = InvalidDay;

    fn try_from(text: String) -> Result<Self, InvalidDay> {
        text.parse()
    }
}

impl From<Day> for String {
    fn from(day: Day) -> Self {
        day.to_string()
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use chrono::DateTime;

    use super::*;

    fn ms(instant: &str) -> i64 {
        DateTime::parse_from_rfc3339(instant).unwrap().timestamp_millis()
    }

    #[test]
    fn a_day_is_one_day_or_one_of_every_year() {
        let date = |text: &str| text.parse::<NaiveDate>().unwrap();
        let once: Day = "2026-12-24".parse().unwrap();
        assert!(once.is(date("2026-12-24")) && !once.is(date("2027-12-24")));
        let yearly: Day = "12-25".parse().unwrap();
        assert!(yearly.is(date("2026-12-25")) && yearly.is(date("2027-12-25")) && !yearly.is(date("2026-12-26")));
        assert_eq!("02-29".parse::<Day>().unwrap().to_string(), "02-29");
        for bad in ["", "tomorrow", "2026-13-01", "02-30", "1-2", "2026-2-3", "24.12.2026"] {
            assert!(bad.parse::<Day>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_delegate_may_until_the_end_of_the_last_day() {
        let delegate = |until: Option<&str>| Delegate {
            of: "grace".to_owned(),
            to: vec!["linus".to_owned()],
            until: until.map(str::to_owned),
        };
        assert!(delegate(None).holds_at(ms("2999-01-01T00:00:00Z")));
        assert!(delegate(Some("2026-11-30")).holds_at(ms("2026-11-30T23:59:59Z")));
        assert!(!delegate(Some("2026-11-30")).holds_at(ms("2026-12-01T00:00:00Z")));
    }
}
