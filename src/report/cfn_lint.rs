//! Reads what cfn-lint prints with `--format json`: a list of matches, each with its rule, level, message and location (facts
//! from its `JsonFormatter`; lines and columns count from 1).

use super::finding::{Finding, Level};
use super::sarif::Unreadable;
use serde::Deserialize;
use serde_json::Value;

/// The tool's name in findings.
pub const TOOL: &str = "cfn-lint";

/// The greatest output that is read.
pub const MAX_BYTES: usize = 32 * 1024 * 1024;

/// Reads the tool's output. Nothing at all means that it found nothing: it prints no list then in some versions.
/// What is not its output is an error.
pub fn read(text: &str) -> Result<Vec<Finding>, Unreadable> {
    if text.len() > MAX_BYTES {
        return Err(Unreadable::TooGreat { bytes: text.len(), limit: MAX_BYTES });
    }
    if text.trim().is_empty() {
        return Ok(vec![]);
    }
    let matches: Vec<Match> = serde_json::from_str(text)
        .map_err(|error| Unreadable::NotTheFormat { format: "cfn-lint's JSON", error: error.to_string() })?;
    Ok(matches.into_iter().map(Match::into_finding).collect())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Match {
    rule: Rule,
    level: Option<String>,
    message: String,
    #[serde(default)]
    filename: Option<String>,
    #[serde(default)]
    location: Option<Location>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Rule {
    id: String,
    #[serde(default)]
    short_description: Option<String>,
    #[serde(default)]
    source: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Location {
    start: Option<Position>,
    #[serde(default)]
    path: Option<Vec<Value>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Position {
    line_number: Option<u32>,
    column_number: Option<u32>,
}

impl Match {
    fn into_finding(self) -> Finding {
        let level = level(self.level.as_deref(), &self.rule.id);
        let file = self.filename.as_deref().unwrap_or_default();
        let mut finding = Finding::new(TOOL, &self.rule.id, level, file, self.message);
        let about = [self.rule.short_description, self.rule.source.map(|source| format!("see {source}"))];
        let hint = about.into_iter().flatten().filter(|text| !text.is_empty()).collect::<Vec<_>>().join("; ");
        finding.hint = Some(hint).filter(|hint| !hint.is_empty());
        if let Some(location) = self.location {
            let start = location.start.unwrap_or(Position { line_number: None, column_number: None });
            (finding.line, finding.column) = (start.line_number, start.column_number);
            finding.resource = match location.path.as_deref() {
                Some([Value::String(section), Value::String(id), ..]) if section == "Resources" => Some(id.clone()),
                _ => None,
            };
        }
        finding
    }
}

/// The level it names, or the one that the first letter of its rule's id stands for; what is unknown is an error.
fn level(name: Option<&str>, rule: &str) -> Level {
    match (name.map(str::to_ascii_lowercase).as_deref(), rule.chars().next()) {
        (Some("warning"), _) | (None, Some('W')) => Level::Warning,
        (Some("informational"), _) | (None, Some('I')) => Level::Note,
        _ => Level::Error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = r#"[
        {
            "Filename": "template.yaml", "Id": "5b1f7a0e-0000-0000-0000-000000000000", "Level": "Error",
            "Location": {
                "End": { "ColumnNumber": 14, "LineNumber": 7 }, "Path": ["Resources", "Bucket", "Properties", "Tags", 0],
                "Start": { "ColumnNumber": 7, "LineNumber": 6 }
            },
            "Message": "'Tags' is not a list", "ParentId": null,
            "Rule": { "Description": "d", "Id": "E3012", "ShortDescription": "Check types", "Source": "https://example.org/E3012" }
        },
        {
            "Filename": "template.yaml", "Level": "Informational", "Message": "m",
            "Location": { "End": {}, "Path": null, "Start": { "ColumnNumber": 1, "LineNumber": 1 } },
            "Rule": { "Id": "I1002" }
        },
        { "Level": null, "Message": "m", "Rule": { "Id": "W2001" } }
    ]"#;

    #[test]
    fn its_matches_become_findings() {
        let found = read(OUTPUT).expect("its output");
        assert_eq!(found.iter().map(|one| one.level).collect::<Vec<_>>(), [Level::Error, Level::Note, Level::Warning]);
        assert_eq!((found[0].line, found[0].column, found[0].resource.as_deref()), (Some(6), Some(7), Some("Bucket")));
        assert_eq!(found[0].hint.as_deref(), Some("Check types; see https://example.org/E3012"));
    }

    #[test]
    fn other_output_is_an_error_and_none_is_nothing_found() {
        assert_eq!(read(" \n"), Ok(vec![]));
        assert_eq!(read("[]"), Ok(vec![]));
        for other in ["Traceback (most recent call last):", "{}", "[1]", "[{\"Rule\": {}}]", &"[".repeat(100_000)] {
            assert!(read(other).is_err(), "{other:.20}");
        }
    }
}
