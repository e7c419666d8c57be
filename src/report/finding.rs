//! What a check found, and the verdict over all of it. Every reader and every report speaks in these types.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The name of our own checks in findings.
pub const TOOL: &str = "tidegate";

/// How many findings a report keeps: more than a person will read, few enough that a page still opens.
pub const MAX_FINDINGS: usize = 1_000;

/// How many characters of one text (a message, a hint, a path) are kept.
pub const MAX_TEXT_CHARACTERS: usize = 2_000;

/// A place in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The line, from 1.
    pub line: u32,
    /// The column, from 1, in characters.
    pub column: u32,
}

/// How grave a finding is. The order is that of a report: the gravest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Must be mended.
    Error,
    /// Should be mended.
    Warning,
    /// Worth knowing.
    Note,
}

impl Level {
    /// The level as SARIF and our JSON write it: `error`, `warning` or `note`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

/// One thing that a tool found. The fields' order is the report's order: the gravest first, then by place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Finding {
    /// How grave it is.
    pub level: Level,
    /// The file it is about, as the tool named it; relative to the repository where we choose.
    pub file: String,
    /// The line, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// The column, from 1, in characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<u32>,
    /// The logical id of the CloudFormation resource it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
    /// The tool that found it.
    pub tool: String,
    /// The tool's name for the rule.
    pub rule: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Finding {
    /// A finding about a whole file; place, resource and hint are added with the methods below.
    pub fn new(tool: &str, rule: &str, level: Level, file: &str, message: impl Into<String>) -> Self {
        Self {
            level,
            file: file.to_owned(),
            line: None,
            column: None,
            resource: None,
            tool: tool.to_owned(),
            rule: rule.to_owned(),
            message: message.into(),
            hint: None,
        }
    }

    /// The same finding with what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same finding at a place of its file, if one is known.
    #[must_use]
    pub fn at(mut self, place: Option<Place>) -> Self {
        if let Some(place) = place {
            self.line = Some(place.line);
            self.column = Some(place.column);
        }
        self
    }

    /// The same finding about a resource, named by its logical id.
    #[must_use]
    pub fn about(mut self, resource: &str) -> Self {
        self.resource = Some(resource.to_owned());
        self
    }

    /// The place in words: `template.yaml:12:5`, as far as it is known.
    pub fn place(&self) -> String {
        match (self.line, self.column) {
            (Some(line), Some(column)) => format!("{}:{line}:{column}", self.file),
            (Some(line), None) => format!("{}:{line}", self.file),
            (None, _) => self.file.clone(),
        }
    }

    fn tidied(self) -> Self {
        Self {
            level: self.level,
            file: tidy(&self.file),
            line: self.line.filter(|line| *line > 0),
            column: self.column.filter(|column| *column > 0),
            resource: self.resource.map(|text| tidy(&text)),
            tool: tidy(&self.tool),
            rule: tidy(&self.rule),
            message: tidy(&self.message),
            hint: self.hint.map(|text| tidy(&text)),
        }
    }
}

/// The logical id in a path that lies within a resource.
pub(super) fn resource_of(path: &str) -> Option<&str> {
    path.strip_prefix("/Resources/")?.split('/').next().filter(|id| !id.is_empty())
}

/// From which level on findings fail the lint step.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FailOn {
    /// Errors fail it.
    #[default]
    Error,
    /// Errors and warnings fail it.
    Warning,
    /// Nothing fails it: the report is for people only.
    Never,
}

impl FailOn {
    /// Whether a finding of this level fails the step.
    pub fn fails(self, level: Level) -> bool {
        match self {
            Self::Error => level == Level::Error,
            Self::Warning => level <= Level::Warning,
            Self::Never => false,
        }
    }
}

/// Findings in the order of a report, each once, and no more than [`MAX_FINDINGS`] of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Findings {
    /// The findings that were kept, the gravest first.
    pub list: Vec<Finding>,
    /// How many errors there were, those left out included.
    pub errors: usize,
    /// How many warnings there were, those left out included.
    pub warnings: usize,
    /// How many notes there were, those left out included.
    pub notes: usize,
    /// How many of them, the least grave, are not in the list.
    pub left_out: usize,
}

impl Findings {
    /// Orders, de-duplicates, counts and bounds what was found. Whatever order it comes in, the result is the same.
    pub fn new(found: impl IntoIterator<Item = Finding>) -> Self {
        let mut list: Vec<Finding> = found.into_iter().map(Finding::tidied).collect();
        list.sort();
        list.dedup();
        let count = |level| list.iter().filter(|finding| finding.level == level).count();
        let (errors, warnings, notes) = (count(Level::Error), count(Level::Warning), count(Level::Note));
        let left_out = list.len().saturating_sub(MAX_FINDINGS);
        list.truncate(MAX_FINDINGS);
        Self { list, errors, warnings, notes, left_out }
    }

    /// The verdict over all findings, those left out of the list included.
    pub fn verdict(&self, fail_on: FailOn) -> Verdict {
        let failing = [(Level::Error, self.errors), (Level::Warning, self.warnings), (Level::Note, self.notes)];
        Verdict {
            passed: !failing.iter().any(|(level, count)| *count > 0 && fail_on.fails(*level)),
            fail_on,
            errors: self.errors,
            warnings: self.warnings,
            notes: self.notes,
        }
    }
}

/// Whether a template passed, and the counts that say why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Verdict {
    /// Whether nothing of a failing level was found.
    pub passed: bool,
    /// From which level on findings fail.
    pub fail_on: FailOn,
    /// How many errors.
    pub errors: usize,
    /// How many warnings.
    pub warnings: usize,
    /// How many notes.
    pub notes: usize,
}

impl Verdict {
    /// The counts in words: `1 error, 2 warnings, no notes`.
    pub fn counts(&self) -> String {
        let count = |number: usize, noun: &str| match number {
            0 => format!("no {noun}s"),
            1 => format!("1 {noun}"),
            _ => format!("{number} {noun}s"),
        };
        [count(self.errors, "error"), count(self.warnings, "warning"), count(self.notes, "note")].join(", ")
    }
}

/// One tool or rule set that looked at the template, whether or not it found something.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Checked {
    /// The tool.
    pub tool: String,
    /// The rules that it evaluated, as far as it told; ordered.
    pub rules: Vec<String>,
}

impl Checked {
    pub(super) fn tidied(self) -> Self {
        let mut rules: Vec<String> = self.rules.iter().map(|rule| tidy(rule)).collect();
        rules.sort();
        rules.dedup();
        Self { tool: tidy(&self.tool), rules }
    }
}

/// A text that is safe to show: control and direction-changing characters replaced, ends trimmed, length bounded.
pub(super) fn tidy(text: &str) -> String {
    let mut tidy = String::new();
    for (count, character) in text.trim().chars().enumerate() {
        if count == MAX_TEXT_CHARACTERS {
            tidy.push('…');
            break;
        }
        let misleading = matches!(character, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}');
        let control = character.is_control() && !matches!(character, '\n' | '\t');
        tidy.push(if misleading || control { '\u{FFFD}' } else { character });
    }
    tidy
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(level: Level, file: &str, line: u32) -> Finding {
        let mut finding = Finding::new("tool", "rule", level, file, "message");
        finding.line = Some(line);
        finding
    }

    #[test]
    fn the_order_does_not_depend_on_the_order_of_arrival() {
        let there = [
            finding(Level::Note, "a", 1),
            finding(Level::Error, "b", 10),
            finding(Level::Error, "b", 9),
            finding(Level::Error, "b", 9),
        ];
        let back: Vec<Finding> = there.iter().rev().cloned().collect();
        let findings = Findings::new(there);
        assert_eq!(findings, Findings::new(back));
        assert_eq!((findings.errors, findings.notes, findings.list[0].line), (2, 1, Some(9)));
    }

    #[test]
    fn what_is_left_out_still_counts() {
        let many = (1..=1_500).map(|line| finding(Level::Error, "a", line)).chain([finding(Level::Warning, "a", 1)]);
        let findings = Findings::new(many);
        assert_eq!((findings.list.len(), findings.left_out), (MAX_FINDINGS, 501));
        assert_eq!((findings.errors, findings.warnings), (1_500, 1));
    }

    #[test]
    fn the_verdict_follows_the_threshold() {
        let findings = Findings::new([finding(Level::Warning, "a", 1)]);
        assert!(findings.verdict(FailOn::Error).passed);
        assert!(!findings.verdict(FailOn::Warning).passed);
        assert!(findings.verdict(FailOn::Never).passed);
        assert_eq!(findings.verdict(FailOn::Error).counts(), "no errors, 1 warning, no notes");
    }

    #[test]
    fn texts_are_bounded_and_cannot_mislead() {
        assert_eq!(tidy(" a\u{0}b\u{202E}c\n"), "a\u{FFFD}b\u{FFFD}c");
        assert_eq!(tidy(&"x".repeat(5_000)).chars().count(), MAX_TEXT_CHARACTERS + 1);
    }
}
