//! Tag patterns, as in `pattern: '\d+\.\d+\.\d+'`: regular expressions for the whole name of a tag. They are compiled to
//! automata, so a match takes time in proportion to the name.

use std::{borrow::Cow, sync::OnceLock};

use regex::{Regex, RegexBuilder};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

/// The longest pattern in bytes.
const LONGEST_PATTERN: usize = 1_024;
/// The most memory that a compiled pattern takes, in bytes.
const MOST_COMPILED: usize = 1 << 20;

/// A regular expression for the names of tags, compiled when it is first asked. To all else it is its text.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TagPattern {
    text: String,
    #[serde(skip)]
    compiled: OnceLock<Option<Regex>>,
}

/// A text that is no pattern for tags.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{pattern}` is not a regular expression for tags: {reason}")]
pub struct InvalidTagPattern {
    /// The pattern as it was given.
    pub pattern: String,
    /// What is wrong with it.
    pub reason: String,
}

impl TagPattern {
    /// The pattern as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the whole of a tag's name matches. What cannot be compiled was refused when the rules were loaded; here it
    /// matches nothing.
    #[must_use]
    pub fn matches(&self, tag: &str) -> bool {
        self.compiled.get_or_init(|| compile(&self.text).ok()).as_ref().is_some_and(|regex| regex.is_match(tag))
    }

    /// Checks that it can be compiled.
    ///
    /// # Errors
    /// When it is empty, too long, no regular expression, or too large an automaton.
    pub(super) fn check(&self) -> Result<(), InvalidTagPattern> {
        let reason = match self.text.len() {
            0 => "it is empty; without `pattern` every tag matches".to_owned(),
            length if length > LONGEST_PATTERN => format!("it is longer than {LONGEST_PATTERN} bytes"),
            _ => match compile(&self.text) {
                Ok(_) => return Ok(()),
                Err(error) => error,
            },
        };
        Err(InvalidTagPattern { pattern: self.text.clone(), reason })
    }
}

impl From<&str> for TagPattern {
    fn from(text: &str) -> Self {
        Self { text: text.to_owned(), compiled: OnceLock::new() }
    }
}

impl PartialEq for TagPattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for TagPattern {}

impl JsonSchema for TagPattern {
    fn schema_name() -> Cow<'static, str> {
        "TagPattern".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        String::json_schema(generator)
    }

    fn inline_schema() -> bool {
        true
    }
}

/// Compiled as it was written first, so that a mistake is shown in what was written.
fn compile(text: &str) -> Result<Regex, String> {
    let build = |text: &str| RegexBuilder::new(text).size_limit(MOST_COMPILED).build();
    let said = |error: regex::Error| match error {
        regex::Error::CompiledTooBig(_) => "it is too large to be compiled; repeat less".to_owned(),
        // The last line says what is wrong; those before draw it.
        error => error.to_string().lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned(),
    };
    build(text).map_err(said)?;
    build(&format!("^(?:{text})$")).map_err(said)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_name_matches() {
        for (pattern, tag, expected) in [
            (r"^\d+\.\d+\.\d+$", "1.0.3", true),
            (r"^\d+\.\d+\.\d+$", "1.0.3-rc.1", false),
            (r"\d+\.\d+\.\d+", "1.0.3-rc.1", false),
            ("v1|v2", "v2", true),
            ("v1|v2", "v22", false),
            ("release/.*", "release/a\nb", false),
        ] {
            assert_eq!(TagPattern::from(pattern).matches(tag), expected, "{pattern} on {tag}");
        }
    }

    #[test]
    fn what_is_no_pattern_is_refused_with_the_reason() {
        for (pattern, reason) in [
            ("", "it is empty"),
            ("(", "unclosed group"),
            ("a{9999}{9999}", "too large"),
            (r"(?=a)", "look-around"),
            (&"a".repeat(2_000), "longer than 1024 bytes"),
        ] {
            let error = TagPattern::from(pattern).check().expect_err("it is refused");
            assert!(error.reason.contains(reason), "{pattern}: {}", error.reason);
            assert!(!TagPattern::from(pattern).matches("a"), "{pattern}");
        }
    }

    #[test]
    fn a_hostile_pattern_takes_no_longer() {
        assert!(!TagPattern::from("(a|aa)+$").matches(&("a".repeat(50_000) + "b")));
    }
}
