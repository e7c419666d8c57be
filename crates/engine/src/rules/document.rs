//! A YAML (or JSON) document as a tree in which every part knows its place in the text. Bounded in size, depth and what
//! aliases unfold to, whatever the text is.

use std::{
    collections::{BTreeMap, HashSet},
    ops::Range,
};

use saphyr::Scalar;
use saphyr_parser::{Event, Parser, ScanError, Span, StrInput};
use serde_json::{Number, Value};

use super::mistake::Findings;

/// The largest file in bytes; a large system's rules have a few hundred lines.
const LARGEST_FILE: usize = 1024 * 1024;
/// How deep lists and mappings may be nested; the walks over the tree recurse.
const DEEPEST: usize = 64;
/// What a part weighs besides its text: about what it takes in memory.
const PART: usize = 64;
/// What all parts together may weigh, so that aliases cannot unfold without end.
const HEAVIEST: usize = 16 * 1024 * 1024;

/// A part of the document and its place. A list or mapping is placed where its key is, a text where it stands itself.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) bytes: Range<usize>,
    pub(super) content: Content,
}

/// What a part is.
#[derive(Debug, Clone)]
pub(super) enum Content {
    /// Null, a boolean, a number or a text.
    Scalar(Value),
    /// A list.
    List(Vec<Node>),
    /// A mapping, in the order of the file, each key once.
    Map(Vec<(Key, Node)>),
}

/// A key of a mapping and its place.
#[derive(Debug, Clone)]
pub(super) struct Key {
    pub(super) bytes: Range<usize>,
    pub(super) name: String,
}

impl Node {
    /// The field of this name or, where there is none, this part itself: the nearest place there is.
    pub(super) fn field(&self, name: &str) -> &Self {
        self.get(name).unwrap_or(self)
    }

    /// The field of this name.
    pub(super) fn get(&self, name: &str) -> Option<&Self> {
        let Content::Map(fields) = &self.content else { return None };
        fields.iter().find(|(key, _)| key.name == name).map(|(_, node)| node)
    }

    /// The place of a key or, where there is none, of this part.
    pub(super) fn key(&self, name: &str) -> Range<usize> {
        let Content::Map(fields) = &self.content else { return self.bytes.clone() };
        let found = fields.iter().find(|(key, _)| key.name == name);
        found.map_or_else(|| self.bytes.clone(), |(key, _)| key.bytes.clone())
    }

    /// The item at an index or, where there is none, this part itself.
    pub(super) fn item(&self, index: usize) -> &Self {
        let Content::List(items) = &self.content else { return self };
        items.get(index).unwrap_or(self)
    }

    /// The value without its places.
    pub(super) fn to_value(&self) -> Value {
        match &self.content {
            Content::Scalar(value) => value.clone(),
            Content::List(items) => Value::Array(items.iter().map(Self::to_value).collect()),
            Content::Map(fields) => {
                Value::Object(fields.iter().map(|(key, node)| (key.name.clone(), node.to_value())).collect())
            }
        }
    }

    fn depth(&self) -> usize {
        1 + match &self.content {
            Content::Scalar(_) => 0,
            Content::List(items) => items.iter().map(Self::depth).max().unwrap_or(0),
            Content::Map(fields) => fields.iter().map(|(_, node)| node.depth()).max().unwrap_or(0),
        }
    }

    fn weight(&self) -> usize {
        PART + match &self.content {
            Content::Scalar(Value::String(text)) => text.len(),
            Content::Scalar(_) => 0,
            Content::List(items) => items.iter().map(Self::weight).sum(),
            Content::Map(fields) => fields.iter().map(|(key, node)| key.name.len() + node.weight()).sum(),
        }
    }
}

/// Parses one document. What is found wrong is added to the findings; there is a tree whenever the text is YAML.
pub(super) fn parse(text: &str, findings: &mut Findings) -> Option<Node> {
    if text.len() > LARGEST_FILE {
        findings.add(0..0, "the file is larger than 1 MiB, which no rules file should be");
        return None;
    }
    let mut reader = Reader::new(text);
    for event in Events(Parser::new_from_str(text)) {
        let step = match event {
            Ok((event, span)) => {
                let bytes = reader.bytes(span);
                reader.take(event, bytes, findings)
            }
            Err(error) => {
                let at = reader.byte(error.marker().index());
                Err((at..at, format!("this is not YAML: {}", error.info())))
            }
        };
        if let Err((bytes, message)) = step {
            findings.add(bytes, message);
            return None;
        }
    }
    if reader.root.is_none() {
        findings.add_with_help(0..0, "the file is empty", "a rules file begins with `version: 1` and `system: NAME`");
    }
    reader.root
}

type Refusal = (Range<usize>, String);

/// The parser's events up to the end or the first error.
struct Events<'text>(Parser<'text, StrInput<'text>>);

impl<'text> Iterator for Events<'text> {
    type Item = Result<(Event<'text>, Span), ScanError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next_event()
    }
}

/// A list or mapping that is not yet closed.
struct Open {
    bytes: Range<usize>,
    anchor: usize,
    content: OpenContent,
}

enum OpenContent {
    List(Vec<Node>),
    Map { fields: Vec<(Key, Node)>, seen: HashSet<String>, key: Option<Key> },
}

struct Reader {
    /// The byte at which each character begins; the parser counts characters.
    starts: Vec<usize>,
    open: Vec<Open>,
    anchors: BTreeMap<usize, Node>,
    weight: usize,
    documents: usize,
    root: Option<Node>,
}

impl Reader {
    fn new(text: &str) -> Self {
        let starts = text.char_indices().map(|(start, _)| start).chain([text.len()]).collect();
        Self { starts, open: Vec::new(), anchors: BTreeMap::new(), weight: 0, documents: 0, root: None }
    }

    fn byte(&self, character: usize) -> usize {
        self.starts.get(character).or(self.starts.last()).copied().unwrap_or(0)
    }

    fn bytes(&self, span: Span) -> Range<usize> {
        let (start, end) = (self.byte(span.start.index()), self.byte(span.end.index()));
        start..end.max(start)
    }

    fn take(&mut self, event: Event<'_>, bytes: Range<usize>, findings: &mut Findings) -> Result<(), Refusal> {
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 {
                    return Err((
                        bytes,
                        "a rules file is one document: put the other into a file of its own".to_owned(),
                    ));
                }
                Ok(())
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.weigh(PART + text.len(), &bytes)?;
                if let Some(Open { content: OpenContent::Map { key: key @ None, .. }, .. }) = self.open.last_mut() {
                    *key = Some(Key { bytes, name: text.into_owned() });
                    return Ok(());
                }
                let scalar = Scalar::parse_from_cow_and_metadata(text, style, tag.as_ref());
                let value = scalar.and_then(value_of).ok_or_else(|| {
                    (bytes.clone(), "this value is not what its tag says, or no finite number".to_owned())
                })?;
                self.add(Node { bytes, content: Content::Scalar(value) }, anchor, findings)
            }
            Event::SequenceStart(anchor, _) => self.begin(bytes, anchor, OpenContent::List(Vec::new())),
            Event::MappingStart(anchor, _) => {
                let content = OpenContent::Map { fields: Vec::new(), seen: HashSet::new(), key: None };
                self.begin(bytes, anchor, content)
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(open) = self.open.pop() else { return Ok(()) };
                let content = match open.content {
                    OpenContent::List(items) => Content::List(items),
                    OpenContent::Map { fields, .. } => Content::Map(fields),
                };
                self.add(Node { bytes: open.bytes, content }, open.anchor, findings)
            }
            Event::Alias(anchor) => {
                let Some(node) = self.anchors.get(&anchor).cloned() else {
                    return Err((bytes, "no value before this has that anchor".to_owned()));
                };
                self.weigh(node.weight(), &bytes)?;
                if self.open.len() + node.depth() > DEEPEST {
                    return Err((bytes, too_deep()));
                }
                self.add(node, 0, findings)
            }
        }
    }

    fn begin(&mut self, bytes: Range<usize>, anchor: usize, content: OpenContent) -> Result<(), Refusal> {
        if self.open.len() >= DEEPEST {
            return Err((bytes, too_deep()));
        }
        self.weigh(PART, &bytes)?;
        self.open.push(Open { bytes, anchor, content });
        Ok(())
    }

    fn weigh(&mut self, weight: usize, bytes: &Range<usize>) -> Result<(), Refusal> {
        self.weight += weight;
        if self.weight > HEAVIEST {
            return Err((
                bytes.clone(),
                "with what its aliases stand for, the file is larger than 16 MiB in memory".to_owned(),
            ));
        }
        Ok(())
    }

    /// Adds a finished part to what is open around it.
    fn add(&mut self, mut node: Node, anchor: usize, findings: &mut Findings) -> Result<(), Refusal> {
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        match self.open.last_mut().map(|open| &mut open.content) {
            None => {
                self.root.get_or_insert(node);
            }
            Some(OpenContent::List(items)) => {
                if let Content::Map(fields) = &node.content
                    && let Some((key, _)) = fields.first()
                {
                    node.bytes = key.bytes.clone();
                }
                items.push(node);
            }
            Some(OpenContent::Map { fields, seen, key }) => {
                let key = key.take().ok_or_else(|| (node.bytes.clone(), "a key must be a text".to_owned()))?;
                if !matches!(node.content, Content::Scalar(Value::Bool(_) | Value::Number(_) | Value::String(_))) {
                    node.bytes = key.bytes.clone();
                }
                if seen.insert(key.name.clone()) {
                    fields.push((key, node));
                } else {
                    let message = format!("`{}` is there twice", key.name);
                    findings.add_with_help(key.bytes, message, "keep one of them: a mapping has each key once");
                }
            }
        }
        Ok(())
    }
}

fn value_of(scalar: Scalar<'_>) -> Option<Value> {
    Some(match scalar {
        Scalar::Null => Value::Null,
        Scalar::Boolean(value) => Value::Bool(value),
        Scalar::Integer(value) => Value::Number(value.into()),
        Scalar::FloatingPoint(value) => Value::Number(Number::from_f64(value.into_inner())?),
        Scalar::String(text) => Value::String(text.into_owned()),
    })
}

fn too_deep() -> String {
    format!("lists and mappings are nested more than {DEEPEST} levels deep")
}
