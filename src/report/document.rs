//! A CloudFormation template's text (JSON, or YAML with short intrinsics such as `!Ref`), parsed into one JSON value,
//! with the place of every key and item. The parser reads events with a stack of its own: depth and size are bounded,
//! so that no input can exhaust the thread's stack, and equal keys are seen.

mod builder;
mod json;
mod yaml;

use std::collections::BTreeMap;

use serde_json::Value;

use self::builder::{Builder, Built};
use super::finding::{Finding, Level, Place, TOOL};

pub use self::builder::MAX_DEPTH;

/// The greatest template that CloudFormation takes from an S3 object (its quotas, "Template body size in an Amazon S3
/// object": 1 MB). What is greater is not parsed.
pub const MAX_TEMPLATE_BYTES: usize = 1_000_000;

/// A parsed template.
#[derive(Debug, Clone)]
pub struct Document {
    /// The file's name, for findings.
    pub file: String,
    /// The length of the text in bytes.
    pub bytes: usize,
    /// The template with every short intrinsic in its long form (`!Ref X` is `{"Ref": "X"}`).
    pub value: Value,
    /// One error for each key that was given twice; the last one is in `value`.
    pub duplicates: Vec<Finding>,
    places: BTreeMap<String, Place>,
}

impl Document {
    /// Parses a template. What is not YAML or JSON, has more than one document, an alias, a tag that CloudFormation does
    /// not know, or is too great or too deep, comes back as the finding that says so, with its place.
    pub fn parse(file: &str, text: &str) -> Result<Self, Box<Finding>> {
        if text.len() > MAX_TEMPLATE_BYTES {
            let message = format!("the template has {} bytes; CloudFormation takes {MAX_TEMPLATE_BYTES}", text.len());
            let hint = "split it into nested stacks, or move inline code and scripts to objects of their own";
            return Err(Box::new(Finding::new(TOOL, "template_size", Level::Error, file, message).hint(hint)));
        }
        let mut builder = Builder::new(file);
        if !json::read(&mut builder, text)? {
            yaml::read(&mut builder, text)?;
        }
        let Built { value, duplicates, places } = builder.finish()?;
        Ok(Self { file: file.to_owned(), bytes: text.len(), value, duplicates, places })
    }

    /// The place of a path such as `/Resources/Bucket/Properties`, or of its nearest ancestor that has one.
    pub fn place(&self, path: &str) -> Option<Place> {
        let mut path = path;
        loop {
            if let Some(place) = self.places.get(path) {
                return Some(*place);
            }
            path = &path[..path.rfind('/')?];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn refusal(text: &str) -> Finding {
        *Document::parse("template.yaml", text).expect_err("the text is refused")
    }

    #[test]
    fn short_intrinsics_become_long_ones() {
        let text = "A: !Ref X\nB: !GetAtt X.Y.Z\nC: !Sub '${A}'\nD: !If [c, !Ref 'AWS::NoValue', !Not [!Condition d]]\nE: !GetAZs\n";
        let expected = json!({
            "A": { "Ref": "X" }, "B": { "Fn::GetAtt": ["X", "Y.Z"] }, "C": { "Fn::Sub": "${A}" },
            "D": { "Fn::If": ["c", { "Ref": "AWS::NoValue" }, { "Fn::Not": [{ "Condition": "d" }] }] }, "E": { "Fn::GetAZs": null },
        });
        assert_eq!(Document::parse("t", text).expect("good").value, expected);
    }

    #[test]
    fn numbers_stay_as_they_were_written() {
        let text = "{a: 012345678901, b: 1.10, c: 12, d: 1.5, e: 2012-10-17, f: '1', g: !!str 1, h: yes, i: true, j: -3, k: 1e400}";
        let expected = json!({
            "a": "012345678901", "b": "1.10", "c": 12, "d": 1.5, "e": "2012-10-17", "f": "1", "g": "1", "h": "yes", "i": true, "j": -3,
            "k": "1e400",
        });
        assert_eq!(Document::parse("t", text).expect("good").value, expected);
    }

    #[test]
    fn json_is_read_whatever_its_white_space_and_escapes() {
        let text = "{\n\t\"Resources\": {\n\t\t\"A\": {\"Type\":\"T\", \"U\": \"\\/ \\u00e9 \\ud83d\\ude00\"}\n\t}\n}";
        let document = Document::parse("t", text).expect("good");
        assert_eq!(document.value, serde_json::from_str::<Value>(text).expect("good"));
        assert_eq!(document.place("/Resources/A/Type/none"), Some(Place { line: 3, column: 9 }));
    }

    #[test]
    fn what_cannot_be_read_is_said_with_its_place() {
        for (text, rule, line) in [
            ("Resources:\n  A: [1, 2\n", "template_syntax", 3),
            ("", "template_syntax", 1),
            ("a: 1\n---\nb: 1\n", "template_syntax", 2),
            ("a: &x 1\nb: *x\n", "template_syntax", 2),
            ("a: 1\nb: !Reff x\n", "template_syntax", 2),
            ("a: 1\n? [1]\n: 2\n", "template_syntax", 2),
        ] {
            let finding = refusal(text);
            assert_eq!((finding.rule.as_str(), finding.line), (rule, Some(line)), "{text}: {}", finding.message);
        }
    }

    #[test]
    fn depth_and_size_are_bounded() {
        assert_eq!(refusal(&"[".repeat(100_000)).rule, "template_depth");
        assert_eq!(refusal(&"{a: ".repeat(100_000)).rule, "template_depth");
        assert_eq!(refusal(&"- ".repeat(100_000)).rule, "template_depth");
        let long_name = format!("{}: [{}]", "a".repeat(900), "1,".repeat(300_000));
        assert_eq!(refusal(&long_name).rule, "template_size");
        assert_eq!(refusal(&"a".repeat(MAX_TEMPLATE_BYTES + 1)).rule, "template_size");
    }

    #[test]
    fn equal_keys_are_found() {
        let document = Document::parse("t", "Resources:\n  A: {Type: x}\n  B: {Type: x, Type: y}\n  A: {Type: z}\n")
            .expect("good");
        let found: Vec<_> =
            document.duplicates.iter().map(|one| (one.line, one.column, one.resource.as_deref())).collect();
        assert_eq!(found, [(Some(3), Some(16), Some("B")), (Some(4), Some(3), Some("A"))]);
        assert_eq!(document.value["Resources"]["A"]["Type"], "z");
    }
}
