//! YAML (and so JSON) as JSON values, for documents that were written for other programs: Image Builder components
//! and CloudFormation templates, whose short tags (`!Ref x`) become the long form (`{"Ref": "x"}`). Bounded in size, depth and
//! in what aliases make of it; read from events with a stack of its own, so that no depth of a text is one of ours.

use std::{borrow::Cow, collections::BTreeMap};

use saphyr::Scalar;
use saphyr_parser::{Event, Parser, ScalarStyle, Tag};
use serde_json::{Map, Value};

use crate::providers::Fault;

/// The largest document in bytes: CloudFormation takes 1 MB, Image Builder 64 kB.
const LARGEST: usize = 4 * 1024 * 1024;
/// How deep lists and mappings may be nested.
const DEEPEST: usize = 64;
/// How many values a document may have when all aliases are written out.
const MOST_VALUES: usize = 200_000;
/// How many bytes its texts may have when all aliases are written out.
const MOST_BYTES: usize = 16 * 1024 * 1024;

/// The one document in `text`; `what` names it in errors.
pub(crate) fn parse(what: &str, text: &str) -> Result<Value, Fault> {
    let wrong = |problem: String| Fault::fail(format!("{what}{problem}"), "correct the document");
    if text.len() > LARGEST {
        return Err(wrong(format!(" has {} bytes; {LARGEST} at most are read", text.len())));
    }
    let (mut parser, mut reader) = (Parser::new_from_str(text), Reader::default());
    while let Some(next) = parser.next_event() {
        let (event, span) = next.map_err(|error| wrong(format!(" is not valid YAML: {error}")))?;
        reader.take(event).map_err(|problem| wrong(format!(", line {}: {problem}", span.start.line())))?;
    }
    match <[Value; 1]>::try_from(reader.documents) {
        Ok([document]) => Ok(document),
        Err(other) => Err(Fault::fail(format!("{what} holds {} YAML documents", other.len()), "give exactly one")),
    }
}

/// How much a value is, when all aliases are written out.
#[derive(Debug, Clone, Copy, Default)]
struct Size {
    values: usize,
    bytes: usize,
}

impl Size {
    fn plus(self, other: Self) -> Self {
        Self { values: self.values + other.values, bytes: self.bytes + other.bytes }
    }
}

/// A list or mapping that is not closed yet.
struct Open {
    content: Content,
    anchor: usize,
    tag: Option<String>,
    size: Size,
}

enum Content {
    List(Vec<Value>),
    /// With the name that has no value yet.
    Map(Map<String, Value>, Option<String>),
}

#[derive(Default)]
struct Reader {
    open: Vec<Open>,
    documents: Vec<Value>,
    anchors: BTreeMap<usize, (Value, Size)>,
    all: Size,
}

impl Reader {
    fn take(&mut self, event: Event<'_>) -> Result<(), String> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let size = Size { values: 1, bytes: text.len() };
                let value = function_of(tag.as_deref(), scalar(text, style, tag.as_ref())?);
                self.read(value, anchor, size)
            }
            Event::SequenceStart(anchor, tag) => self.begin(Content::List(Vec::new()), anchor, tag.as_deref()),
            Event::MappingStart(anchor, tag) => self.begin(Content::Map(Map::new(), None), anchor, tag.as_deref()),
            Event::SequenceEnd | Event::MappingEnd => {
                let Open { content, anchor, tag, size } =
                    self.open.pop().ok_or("a list or mapping that never began")?;
                let value = match content {
                    Content::List(items) => Value::Array(items),
                    Content::Map(map, _) => Value::Object(map),
                };
                self.read(function(tag.as_deref(), value), anchor, size)
            }
            Event::Alias(anchor) => {
                let (_, size) = self.anchors.get(&anchor).ok_or("an alias of what is not finished yet")?;
                let size = *size;
                self.counted(size)?;
                let (value, _) = self.anchors[&anchor].clone();
                self.put(value, size)
            }
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) | Event::DocumentEnd => {
                Ok(())
            }
        }
    }

    fn begin(&mut self, content: Content, anchor: usize, tag: Option<&Tag>) -> Result<(), String> {
        if self.open.len() >= DEEPEST {
            return Err(format!("lists and mappings are nested more than {DEEPEST} levels deep"));
        }
        let one = Size { values: 1, bytes: 0 };
        self.counted(one)?;
        self.open.push(Open { content, anchor, tag: tag.and_then(name_of), size: one });
        Ok(())
    }

    /// A value whose parts were counted, but not itself if it is a scalar.
    fn read(&mut self, value: Value, anchor: usize, size: Size) -> Result<(), String> {
        if !value.is_array() && !value.is_object() {
            self.counted(size)?;
        }
        if anchor > 0 {
            self.anchors.insert(anchor, (value.clone(), size));
        }
        self.put(value, size)
    }

    fn counted(&mut self, more: Size) -> Result<(), String> {
        self.all = self.all.plus(more);
        if self.all.values > MOST_VALUES || self.all.bytes > MOST_BYTES {
            return Err(format!("more than {MOST_VALUES} values or {MOST_BYTES} bytes, with all aliases written out"));
        }
        Ok(())
    }

    fn put(&mut self, value: Value, size: Size) -> Result<(), String> {
        let Some(open) = self.open.last_mut() else {
            self.documents.push(value);
            return Ok(());
        };
        open.size = open.size.plus(size);
        match &mut open.content {
            Content::List(items) => items.push(value),
            Content::Map(map, name) => match name.take() {
                Some(name) => drop(map.insert(name, value)),
                None => *name = Some(key(value)?),
            },
        }
        Ok(())
    }
}

fn scalar(text: Cow<'_, str>, style: ScalarStyle, tag: Option<&Cow<'_, Tag>>) -> Result<Value, String> {
    let shown = text.clone();
    match Scalar::parse_from_cow_and_metadata(text, style, tag) {
        Some(Scalar::Null) => Ok(Value::Null),
        Some(Scalar::Boolean(boolean)) => Ok(Value::Bool(boolean)),
        Some(Scalar::Integer(integer)) => Ok(Value::from(integer)),
        Some(Scalar::FloatingPoint(float)) => Ok(Value::from(float.into_inner())),
        Some(Scalar::String(text)) => Ok(Value::from(text.into_owned())),
        None => Err(format!("`{shown}` is not of the type that its tag names")),
    }
}

/// The name of a short tag: `!Ref` → `Ref`.
fn name_of(tag: &Tag) -> Option<String> {
    (tag.handle == "!").then(|| tag.suffix.to_string())
}

fn function_of(tag: Option<&Tag>, inner: Value) -> Value {
    function(tag.and_then(name_of).as_deref(), inner)
}

/// The long form of a value with a short tag.
fn function(tag: Option<&str>, inner: Value) -> Value {
    let one = |name: String, inner: Value| Value::Object(Map::from_iter([(name, inner)]));
    match tag {
        None => inner,
        Some(name @ ("Ref" | "Condition")) => one(name.to_owned(), inner),
        Some("GetAtt") => {
            let parts = inner.as_str().and_then(|text| text.split_once('.'));
            let inner = parts.map(|(resource, name)| Value::from(vec![resource, name])).unwrap_or(inner);
            one("Fn::GetAtt".to_owned(), inner)
        }
        Some(name) => one(format!("Fn::{name}"), inner),
    }
}

fn key(name: Value) -> Result<String, String> {
    match name {
        Value::String(text) => Ok(text),
        scalar @ (Value::Bool(_) | Value::Number(_)) => Ok(scalar.to_string()),
        other => Err(format!("{other} is not a name")),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn short_tags_become_functions() {
        let value =
            parse("t", "a: !Ref B\nc: !Sub '${B}/x'\nd: !FindInMap [m, !Ref r, 'true']\ne: [1, 2.5, true, ~]\n");
        assert_eq!(
            value.unwrap(),
            serde_json::json!({
                "a": {"Ref": "B"}, "c": {"Fn::Sub": "${B}/x"},
                "d": {"Fn::FindInMap": ["m", {"Ref": "r"}, "true"]}, "e": [1, 2.5, true, null],
            })
        );
    }

    #[test]
    fn what_cannot_be_read_is_said() {
        assert!(parse("the template", "a: [1").unwrap_err().to_string().starts_with("the template is not valid YAML"));
        assert!(parse("t", "a: 1\n---\nb: 2\n").is_err());
    }

    #[test]
    fn no_depth_and_no_alias_is_more_than_is_read() {
        for deep in ["- ".repeat(100_000), "[".repeat(100_000), "{a: ".repeat(100_000), "? ".repeat(100_000)] {
            assert!(parse("t", &deep).is_err());
        }
        let long = "x".repeat(100_000);
        let aliases = format!("a: &a {long}\nb: [{}]\n", "*a, ".repeat(10_000));
        assert!(parse("t", &aliases).unwrap_err().to_string().contains("with all aliases written out"));
        let mut laughs = "a0: &a0 [x, x]\n".to_owned();
        for level in 1..60 {
            laughs.push_str(&format!("a{level}: &a{level} [*a{0}, *a{0}]\n", level - 1));
        }
        assert!(parse("t", &laughs).unwrap_err().to_string().contains("with all aliases written out"));
        assert_eq!(parse("t", "a: &a {b: 1}\nc: *a\n").unwrap()["c"]["b"], 1);
        assert!(parse("t", "a: &a [*a]\n").is_err(), "of itself");
        assert!(parse("t", &"# \n".repeat(LARGEST)).unwrap_err().to_string().contains("at most are read"));
    }
}
