//! Builds the value of a template from what a parser reads, with the place of every key and item. Its stack is its own, and
//! bounded in depth and size.

use std::collections::BTreeMap;

use saphyr_parser::Tag;
use serde_json::{Map, Value};

use crate::report::finding::{Finding, Level, Place, TOOL, resource_of};

/// How deep a template may nest: several times what real templates do, and safe for every recursive reader after us.
pub const MAX_DEPTH: usize = 64;

/// How long the paths of all values may be together. A long name above many values is repeated in the path of each, here and in
/// the evaluator, so that a small text could take gigabytes; real templates stay below a tenth of this.
const MAX_PATH_BYTES: usize = 32 * 1024 * 1024;

/// A template that has been read whole.
pub(super) struct Built {
    pub(super) value: Value,
    /// One error for each key that was given twice.
    pub(super) duplicates: Vec<Finding>,
    pub(super) places: BTreeMap<String, Place>,
}

/// What has been read of a template so far.
pub(super) struct Builder<'text> {
    file: &'text str,
    frames: Vec<Frame>,
    places: BTreeMap<String, Place>,
    duplicates: Vec<Finding>,
    value: Option<Value>,
    path_bytes: usize,
}

struct Frame {
    path: String,
    intrinsic: Option<String>,
    content: Content,
}

/// What a collection holds; of an object, also the key whose value comes next.
pub(super) enum Content {
    Object(Map<String, Value>, Option<String>),
    Array(Vec<Value>),
}

impl<'text> Builder<'text> {
    pub(super) fn new(file: &'text str) -> Self {
        Self { file, frames: vec![], places: BTreeMap::new(), duplicates: vec![], value: None, path_bytes: 0 }
    }

    /// The template, when all of it has been read.
    pub(super) fn finish(mut self) -> Result<Built, Box<Finding>> {
        let start = Place { line: 1, column: 1 };
        let Some(value) = self.value.take() else {
            return Err(self.refused("template_syntax", start, "the template is empty", "write a Resources section"));
        };
        Ok(Built { value, duplicates: self.duplicates, places: self.places })
    }

    pub(super) fn expects_key(&self) -> bool {
        matches!(self.frames.last(), Some(Frame { content: Content::Object(_, None), .. }))
    }

    pub(super) fn leaf(&mut self, value: Value, tag: Option<&Tag>, place: Place) -> Result<(), Box<Finding>> {
        self.next_path(place)?;
        let intrinsic = self.intrinsic(tag, place)?;
        self.put(wrapped(intrinsic, value));
        Ok(())
    }

    pub(super) fn close(&mut self) {
        let frame = self.frames.pop().expect("the parser ends only what it began");
        let value = match frame.content {
            Content::Object(map, _) => Value::Object(map),
            Content::Array(items) => Value::Array(items),
        };
        self.put(wrapped(frame.intrinsic, value));
    }

    pub(super) fn open(&mut self, content: Content, tag: Option<&Tag>, place: Place) -> Result<(), Box<Finding>> {
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

    pub(super) fn key(&mut self, key: String, place: Place) {
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

    pub(super) fn refused(&self, rule: &str, place: Place, message: impl Into<String>, hint: &str) -> Box<Finding> {
        Box::new(Finding::new(TOOL, rule, Level::Error, self.file, message).at(Some(place)).hint(hint))
    }
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

/// A line or column as places have it.
pub(super) fn number(position: usize) -> u32 {
    u32::try_from(position).unwrap_or(u32::MAX)
}
