//! A CloudFormation template's text (JSON, or YAML with short intrinsics such as `!Ref`), parsed into one JSON value,
//! with the place of every key and item. The parser reads events with a stack of its own: depth and size are bounded,
//! so that no input can exhaust the thread's stack, and equal keys are seen.

mod json;

use super::finding::{Finding, Level};
use saphyr_parser::{Event, Parser, ScalarStyle, Span, Tag};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// The name of our own checks in findings.
pub const TOOL: &str = "tidegate";

/// The greatest template that CloudFormation takes from an S3 object (its quotas, "Template body size in an Amazon S3
/// object": 1 MB). What is greater is not parsed.
pub const MAX_TEMPLATE_BYTES: usize = 1_000_000;

/// How deep a template may nest: several times what real templates do, and safe for every recursive reader after us.
pub const MAX_DEPTH: usize = 64;

/// How long the paths of all values may be together. A long name above many values is repeated in the path of each, here and in
/// the evaluator, so that a small text could take gigabytes; real templates stay below a tenth of this.
const MAX_PATH_BYTES: usize = 32 * 1024 * 1024;

/// A place in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The line, from 1.
    pub line: u32,
    /// The column, from 1, in characters.
    pub column: u32,
}

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
        Builder::new(file).build(text)
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

struct Builder<'text> {
    file: &'text str,
    frames: Vec<Frame>,
    places: BTreeMap<String, Place>,
    duplicates: Vec<Finding>,
    value: Option<Value>,
    documents: usize,
    path_bytes: usize,
}

struct Frame {
    path: String,
    intrinsic: Option<String>,
    content: Content,
}

enum Content {
    Object(Map<String, Value>, Option<String>),
    Array(Vec<Value>),
}

impl<'text> Builder<'text> {
    fn new(file: &'text str) -> Self {
        Self {
            file,
            frames: vec![],
            places: BTreeMap::new(),
            duplicates: vec![],
            value: None,
            documents: 0,
            path_bytes: 0,
        }
    }

    fn build(mut self, text: &str) -> Result<Document, Box<Finding>> {
        if !json::read(&mut self, text)? {
            self.read_yaml(text)?;
        }
        let start = Place { line: 1, column: 1 };
        let Some(value) = self.value.take() else {
            return Err(self.refused("template_syntax", start, "the template is empty", "write a Resources section"));
        };
        let (file, bytes) = (self.file.to_owned(), text.len());
        Ok(Document { file, bytes, value, duplicates: self.duplicates, places: self.places })
    }

    fn read_yaml(&mut self, text: &str) -> Result<(), Box<Finding>> {
        let mut parser = Parser::new_from_str(text);
        while let Some(next) = parser.next_event() {
            let (event, span) = next.map_err(|error| {
                let place = Place { line: number(error.marker().line()), column: number(error.marker().col() + 1) };
                let too_deep = error.info().contains("recursion limit");
                let rule = if too_deep { "template_depth" } else { "template_syntax" };
                let hint = "mend the text at this place; an indentation, a quote or a bracket is the usual reason";
                self.refused(rule, place, format!("not YAML or JSON: {}", error.info()), hint)
            })?;
            self.take(event, place_of(span))?;
        }
        Ok(())
    }

    fn take(&mut self, event: Event<'_>, place: Place) -> Result<(), Box<Finding>> {
        match event {
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 {
                    let message = "a second YAML document begins here; a template is one document";
                    return Err(self.refused("template_syntax", place, message, "remove the `---` and what follows"));
                }
            }
            Event::Alias(_) => {
                let message = "a YAML alias; CloudFormation does not support aliases";
                return Err(self.refused("template_syntax", place, message, "write the value out, or use Mappings"));
            }
            Event::Scalar(text, style, _, tag) => {
                if self.expects_key() {
                    self.key(text.into_owned(), place);
                    return Ok(());
                }
                let forced_text = tag.as_deref().is_some_and(|tag| tag.is_yaml_core_schema() && tag.suffix == "str");
                let plain = style == ScalarStyle::Plain && !forced_text;
                let value = if plain { plain_scalar(&text) } else { Value::String(text.into_owned()) };
                self.leaf(value, tag.as_deref(), place)?;
            }
            Event::SequenceStart(_, tag) => self.open(Content::Array(vec![]), tag.as_deref(), place)?,
            Event::MappingStart(_, tag) => self.open(Content::Object(Map::new(), None), tag.as_deref(), place)?,
            Event::SequenceEnd | Event::MappingEnd => self.close(),
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
        }
        Ok(())
    }

    fn expects_key(&self) -> bool {
        matches!(self.frames.last(), Some(Frame { content: Content::Object(_, None), .. }))
    }

    fn leaf(&mut self, value: Value, tag: Option<&Tag>, place: Place) -> Result<(), Box<Finding>> {
        self.next_path(place)?;
        let intrinsic = self.intrinsic(tag, place)?;
        self.put(wrapped(intrinsic, value));
        Ok(())
    }

    fn close(&mut self) {
        let frame = self.frames.pop().expect("the parser ends only what it began");
        let value = match frame.content {
            Content::Object(map, _) => Value::Object(map),
            Content::Array(items) => Value::Array(items),
        };
        self.put(wrapped(frame.intrinsic, value));
    }

    fn open(&mut self, content: Content, tag: Option<&Tag>, place: Place) -> Result<(), Box<Finding>> {
        if self.frames.len() >= MAX_DEPTH {
            let message = format!("nested deeper than {MAX_DEPTH} levels");
            return Err(self.refused(
                "template_depth",
                place,
                message,
                "move deeply nested text to an object of its own",
            ));
        }
        let path = self.next_path(place)?;
        let intrinsic = self.intrinsic(tag, place)?;
        self.frames.push(Frame { path, intrinsic, content });
        Ok(())
    }

    /// The path of the value that begins here; the place of an array's item is noted on the way.
    fn next_path(&mut self, place: Place) -> Result<String, Box<Finding>> {
        let Some(frame) = self.frames.last() else { return Ok(String::new()) };
        let (path, item) = match &frame.content {
            Content::Object(_, Some(key)) => (format!("{}/{key}", frame.path), false),
            Content::Array(items) => (format!("{}/{}", frame.path, items.len()), true),
            Content::Object(_, None) => {
                let message = "a key that is not a text";
                return Err(self.refused("template_syntax", place, message, "keys of a template are plain texts"));
            }
        };
        self.path_bytes += path.len();
        if self.path_bytes > MAX_PATH_BYTES {
            let message = "very long names with very many values beneath them";
            return Err(self.refused("template_size", place, message, "shorten the names, or split the template"));
        }
        if item {
            self.places.insert(path.clone(), place);
        }
        Ok(path)
    }

    fn key(&mut self, key: String, place: Place) {
        let Some(Frame { path, content: Content::Object(map, next_key), .. }) = self.frames.last_mut() else { return };
        let path = format!("{path}/{key}");
        let duplicate = map.contains_key(&key);
        let message = format!("the key `{key}` is given twice; only the last one counts");
        *next_key = Some(key);
        if duplicate {
            let mut finding = self.refused("template_duplicate_key", place, message, "remove or rename one of them");
            finding.resource = resource_of(&path).map(str::to_owned);
            self.duplicates.push(*finding);
        }
        self.places.insert(path, place);
    }

    fn put(&mut self, value: Value) {
        match self.frames.last_mut() {
            None => self.value = Some(value),
            Some(Frame { content: Content::Array(items), .. }) => items.push(value),
            Some(Frame { content: Content::Object(map, key), .. }) => {
                map.insert(key.take().expect("a value follows its key"), value);
            }
        }
    }

    fn intrinsic(&self, tag: Option<&Tag>, place: Place) -> Result<Option<String>, Box<Finding>> {
        let non_specific = |tag: &Tag| tag.handle.is_empty() && tag.suffix == "!";
        let Some(tag) = tag.filter(|tag| !(tag.is_yaml_core_schema() || non_specific(tag))) else { return Ok(None) };
        match tag.suffix.as_str() {
            "Ref" | "Condition" => Ok(Some(tag.suffix.clone())),
            "And" | "Base64" | "Cidr" | "Equals" | "FindInMap" | "GetAtt" | "GetAZs" | "If" | "ImportValue"
            | "Join" | "Length" | "Not" | "Or" | "Select" | "Split" | "Sub" | "ToJsonString" | "Transform" => {
                Ok(Some(format!("Fn::{}", tag.suffix)))
            }
            _ => {
                let message = format!("the tag `{tag}` is not one of CloudFormation's intrinsic functions");
                Err(self.refused("template_syntax", place, message, "check its spelling, as in `!Ref` or `!GetAtt`"))
            }
        }
    }

    fn refused(&self, rule: &str, place: Place, message: impl Into<String>, hint: &str) -> Box<Finding> {
        Box::new(Finding::new(TOOL, rule, Level::Error, self.file, message).at(Some(place)).hint(hint))
    }
}

/// The logical id in a path that lies within a resource.
pub(super) fn resource_of(path: &str) -> Option<&str> {
    path.strip_prefix("/Resources/")?.split('/').next().filter(|id| !id.is_empty())
}

fn wrapped(intrinsic: Option<String>, value: Value) -> Value {
    let Some(name) = intrinsic else { return value };
    let value = match value {
        Value::String(text) if name == "Fn::GetAtt" => match text.split_once('.') {
            Some((id, attribute)) => Value::from(vec![id, attribute]),
            None => Value::String(text),
        },
        other => other,
    };
    Value::Object(Map::from_iter([(name, value)]))
}

/// A plain scalar is a number only when it is written as JSON writes that number: `0123` and `1.10` stay texts, so that
/// account ids and versions are shown as they were written.
fn plain_scalar(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        _ => {}
    }
    if !text.starts_with(|first: char| first.is_ascii_digit() || first == '-') {
        return Value::String(text.to_owned());
    }
    let number = serde_json::from_str::<Value>(text).ok().filter(Value::is_number);
    let written = number.as_ref().map(Value::to_string);
    number.filter(|_| written.as_deref() == Some(text)).unwrap_or_else(|| Value::String(text.to_owned()))
}

fn place_of(span: Span) -> Place {
    Place { line: number(span.start.line()), column: number(span.start.col() + 1) }
}

fn number(position: usize) -> u32 {
    u32::try_from(position).unwrap_or(u32::MAX)
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
