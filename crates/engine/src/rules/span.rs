//! Lengths of time as rules write them: `30s`, `90m`, `2h`, `3d`.

use std::{borrow::Cow, fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

const UNITS_MS: [(&str, i64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// How a length of time is written, as a regular expression for schemas.
pub(super) const SPAN_PATTERN: &str = "^[0-9]+(ms|s|m|h|d)$";

/// A length of time in whole milliseconds, written with one unit: `250ms`, `30s`, `90m`, `2h`, `3d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Span {
    milliseconds: i64,
}

/// A text that is no length of time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a length of time: write a whole number and one of ms, s, m, h, d, as in `30s` or `2h`")]
pub struct InvalidSpan(pub String);

impl Span {
    /// A span of so many milliseconds.
    #[must_use]
    pub const fn from_ms(milliseconds: i64) -> Self {
        Self { milliseconds }
    }

    /// A span of so many seconds.
    #[must_use]
    pub const fn from_secs(seconds: i64) -> Self {
        Self { milliseconds: seconds * 1_000 }
    }

    /// The span in milliseconds.
    #[must_use]
    pub const fn as_ms(self) -> i64 {
        self.milliseconds
    }
}

impl FromStr for Span {
    type Err = InvalidSpan;

    fn from_str(text: &str) -> Result<Self, InvalidSpan> {
        let invalid = || InvalidSpan(text.to_owned());
        let digits = text.find(|character: char| !character.is_ascii_digit()).ok_or_else(invalid)?;
        let (number, unit) = text.split_at(digits);
        let (_, unit_ms) = UNITS_MS.iter().find(|(name, _)| *name == unit).ok_or_else(invalid)?;
        let milliseconds = number.parse::<i64>().ok().and_then(|number| number.checked_mul(*unit_ms));
        Ok(Self { milliseconds: milliseconds.ok_or_else(invalid)? })
    }
}

impl fmt::Display for Span {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = UNITS_MS.iter().find(|(_, unit_ms)| self.milliseconds % unit_ms == 0 && self.milliseconds != 0);
        let (name, unit_ms) = whole.unwrap_or(&("s", 1_000));
        formatter.pad(&format!("{}{name}", self.milliseconds / unit_ms))
    }
}

impl TryFrom<String> for Span {
    type Error = InvalidSpan;

    fn try_from(text: String) -> Result<Self, InvalidSpan> {
        text.parse()
    }
}

impl From<Span> for String {
    fn from(span: Span) -> Self {
        span.to_string()
    }
}

impl JsonSchema for Span {
    fn schema_name() -> Cow<'static, str> {
        "Span".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": SPAN_PATTERN,
            "description": "A length of time: a whole number and a unit, as in 30s, 90m, 2h, 3d.",
        })
    }
}
