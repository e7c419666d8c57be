//! A YAML document as a tree of values that know where in the text they stand. Only what the editor needs:
//! one document, string keys, no guesses.

use super::change::line_ending;
use super::error::{EditError, UNTOUCHABLE_HINT, line_and_column};
use saphyr::Scalar;
use saphyr_parser::{Event, Parser, ScalarStyle, Span};
use serde_json::Value;
use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::ops::Range;

/// A bound on nesting, so that hostile input cannot exhaust the stack.
const DEEPEST_NESTING: usize = 100;
/// A bound on nodes with aliases resolved, so that a small text cannot grow without end.
const MOST_NODES: usize = 1_000_000;
/// How many bytes of texts may be taken over by anchors and aliases in all.
const MOST_SHARED_BYTES: usize = 16 << 20;
/// How much is parsed again because of tabs.
const MOST_REREAD_BYTES: usize = 16 << 20;

/// A parsed document and how it is laid out.
pub(super) struct Document<'text> {
    pub(super) text: &'text str,
    pub(super) root: Node,
    /// Columns per level of indentation.
    pub(super) step: usize,
    pub(super) newline: &'static str,
}

/// One value and the bytes it takes.
#[derive(Clone)]
pub(super) struct Node {
    pub(super) start: usize,
    pub(super) end: usize,
    /// Part of what an anchor or alias shares.
    pub(super) anchored: bool,
    /// The quotes around a quoted scalar.
    pub(super) quote: Option<char>,
    pub(super) content: Content,
}

/// What a value holds.
#[derive(Clone)]
pub(super) enum Content {
    Scalar(Value),
    Sequence(Vec<Node>),
    Mapping { entries: Vec<Entry>, flow: bool },
}

/// One `key: value` of a mapping.
#[derive(Clone)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) key_start: usize,
    /// The key's column, from 0.
    pub(super) column: usize,
    /// The byte after the colon.
    pub(super) colon_end: usize,
    pub(super) value: Node,
}

/// For a pointer or a construct that cannot be edited in place.
pub(super) fn lost() -> EditError {
    EditError::new("the pointer names a value that cannot be changed in place", UNTOUCHABLE_HINT)
}

impl<'text> Document<'text> {
    pub(super) fn parse(text: &'text str) -> Result<Self, EditError> {
        let root = root(text)?;
        let step = nested_step(&root).unwrap_or(2);
        Ok(Self { text, root, step, newline: line_ending(text) })
    }

    pub(super) fn find(&self, path: &[String]) -> Result<&Node, EditError> {
        path.iter().try_fold(&self.root, |node, token| {
            match &node.content {
                Content::Mapping { entries, .. } => {
                    entries.iter().find(|entry| entry.key == *token).map(|entry| &entry.value)
                }
                Content::Sequence(items) => token.parse::<usize>().ok().and_then(|index| items.get(index)),
                Content::Scalar(_) => None,
            }
            .ok_or_else(lost)
        })
    }
}

impl Node {
    pub(super) fn value(&self) -> Value {
        match &self.content {
            Content::Scalar(value) => value.clone(),
            Content::Sequence(items) => Value::Array(items.iter().map(Self::value).collect()),
            Content::Mapping { entries, .. } => {
                Value::Object(entries.iter().map(|entry| (entry.key.clone(), entry.value.value())).collect())
            }
        }
    }

    /// How many nodes it has, itself included, and how many bytes their texts.
    fn size(&self) -> (usize, usize) {
        let add = |(nodes, bytes): (usize, usize), (more, longer)| (nodes + more, bytes + longer);
        match &self.content {
            Content::Scalar(value) => (1, value.as_str().map_or(0, str::len)),
            Content::Sequence(items) => items.iter().map(Self::size).fold((1, 0), add),
            Content::Mapping { entries, .. } => {
                entries.iter().map(|entry| add(entry.value.size(), (0, entry.key.len()))).fold((1, 0), add)
            }
        }
    }

    fn mark_shared(&mut self) {
        self.anchored = true;
        match &mut self.content {
            Content::Scalar(_) => {}
            Content::Sequence(items) => items.iter_mut().for_each(Self::mark_shared),
            Content::Mapping { entries, .. } => entries.iter_mut().for_each(|entry| entry.value.mark_shared()),
        }
    }
}

/// The columns between a block mapping's keys and those of the first block mapping in it.
fn nested_step(node: &Node) -> Option<usize> {
    let Content::Mapping { entries, flow: false } = &node.content else { return None };
    entries.iter().find_map(|entry| match &entry.value.content {
        Content::Mapping { entries: inner, flow: false } => {
            inner.first().and_then(|first| first.column.checked_sub(entry.column)).filter(|step| *step > 0)
        }
        _ => None,
    })
}

/// The root of a text. The parser takes no tab between a colon and a plain value, which YAML 1.2 allows: it is given spaces
/// there, which take as many bytes.
fn root(text: &str) -> Result<Node, EditError> {
    let mut spaced = Cow::Borrowed(text);
    for _ in 0..=MOST_REREAD_BYTES / text.len().max(1) {
        let offsets = spaced.char_indices().map(|(offset, _)| offset).chain([spaced.len()]).collect();
        let events = Parser::new_from_str(&spaced);
        let mut builder = Builder {
            text: &spaced,
            offsets,
            events,
            anchors: BTreeMap::new(),
            nodes: 0,
            shared_bytes: 0,
            refused_tabs: None,
        };
        let root = builder.document();
        let Some(tabs) = builder.refused_tabs.take() else { return root };
        let spaces = " ".repeat(tabs.len());
        spaced.to_mut().replace_range(tabs, &spaces);
    }
    Err(EditError::new("there are too many tabs between keys and values", "write spaces there"))
}

struct Builder<'text> {
    text: &'text str,
    /// Tabs between a colon and a value at which the parser gave up.
    refused_tabs: Option<Range<usize>>,
    /// The byte offset of every character.
    offsets: Vec<usize>,
    events: Parser<'text, saphyr_parser::StrInput<'text>>,
    anchors: BTreeMap<usize, Node>,
    nodes: usize,
    shared_bytes: usize,
}

impl<'text> Builder<'text> {
    fn next(&mut self) -> Result<(Event<'text>, Span), EditError> {
        let hint = "correct the file on this branch";
        match self.events.next_event() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => {
                let marker = error.marker();
                if error.info().starts_with("':' must be followed by a valid YAML whitespace") {
                    let end = self.offset(marker.index());
                    let start = self.text[..end].trim_end_matches(['\t', ' ']).len();
                    self.refused_tabs = Some(start..end).filter(|_| self.text[start..end].contains('\t'));
                }
                let problem = format!("not YAML: {}", error.info());
                Err(EditError::at(marker.line().max(1), marker.col() + 1, problem, hint))
            }
            None => Err(EditError::new("not YAML: the file ends too early", hint)),
        }
    }

    fn offset(&self, character: usize) -> usize {
        self.offsets.get(character).copied().unwrap_or(self.text.len())
    }

    fn refuse<T>(&self, span: Span, problem: impl Into<String>, hint: &str) -> Result<T, EditError> {
        let (line, column) = line_and_column(self.text, self.offset(span.start.index()));
        Err(EditError::at(line, column, problem, hint))
    }

    /// The one document that says something; others may be there that are empty, say behind a last `---`. A file that says
    /// nothing is a mapping without entries, which get their place at its end.
    fn document(&mut self) -> Result<Node, EditError> {
        let mut root = None;
        let mut begun = None;
        loop {
            match self.next()? {
                (Event::StreamEnd, _) => break,
                (Event::DocumentStart(_), span) => begun = Some(span),
                (Event::StreamStart | Event::DocumentEnd | Event::Nothing, _) => {}
                (event, span) => {
                    let node = self.node(event, span, 0)?;
                    if node.start == node.end && node.content_is_null() {
                        continue;
                    }
                    if root.replace(node).is_some() {
                        let problem = "the file holds more than one YAML document";
                        return self.refuse(begun.unwrap_or(span), problem, "keep one document in the file");
                    }
                }
            }
        }
        let (start, end) = (self.text.len(), self.text.len());
        let content = Content::Mapping { entries: Vec::new(), flow: false };
        Ok(root.unwrap_or(Node { start, end, anchored: false, quote: None, content }))
    }

    fn node(&mut self, event: Event<'text>, span: Span, depth: usize) -> Result<Node, EditError> {
        self.nodes += 1;
        if depth > DEEPEST_NESTING || self.nodes > MOST_NODES {
            return self.refuse(span, "the file is nested too deeply or too large", "split the file");
        }
        let start = self.offset(span.start.index());
        let (anchor, mut node) = match event {
            Event::Alias(id) => {
                let Some(size) = self.anchors.get(&id).map(Node::size) else {
                    return self.refuse(span, "an alias inside its own anchor", UNTOUCHABLE_HINT);
                };
                self.share(size, span)?;
                let mut node = self.anchors[&id].clone();
                node.mark_shared();
                (node.start, node.end) = (start, self.offset(span.end.index()));
                return Ok(node);
            }
            Event::Scalar(value, style, anchor, tag) => (anchor, self.scalar(value, style, tag, span)?),
            Event::SequenceStart(anchor, _) => (anchor, self.sequence(start, depth)?),
            Event::MappingStart(anchor, _) => (anchor, self.mapping(start, depth)?),
            _ => return Err(lost()),
        };
        if anchor > 0 {
            self.share((0, node.size().1), span)?;
            node.mark_shared();
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    /// Counts what is about to be there once more.
    fn share(&mut self, (nodes, bytes): (usize, usize), span: Span) -> Result<(), EditError> {
        self.nodes += nodes;
        self.shared_bytes += bytes;
        if self.nodes > MOST_NODES || self.shared_bytes > MOST_SHARED_BYTES {
            return self.refuse(span, "the file is too large with its aliases written out", "split the file");
        }
        Ok(())
    }

    fn scalar(
        &self,
        value: std::borrow::Cow<'text, str>,
        style: ScalarStyle,
        tag: Option<std::borrow::Cow<'text, saphyr_parser::Tag>>,
        span: Span,
    ) -> Result<Node, EditError> {
        let mut start = self.offset(span.start.index());
        let mut end = self.offset(span.end.index()).max(start);
        let quote = match style {
            ScalarStyle::SingleQuoted => Some('\''),
            ScalarStyle::DoubleQuoted => Some('"'),
            _ => None,
        };
        let empty = style == ScalarStyle::Plain && value.is_empty() && tag.is_none();
        match quote {
            Some(mark) => end = start + quoted_length(&self.text[start..], mark).unwrap_or(end - start),
            None if empty && !self.text[start..].starts_with('&') => end = start,
            None => end = start + self.text[start..end].trim_end().len(),
        }
        if matches!(style, ScalarStyle::Literal | ScalarStyle::Folded) {
            (start, end) = self.block_scalar(start, end, value.trim().is_empty());
        }
        let resolved = match Scalar::parse_from_cow_and_metadata(value.clone(), style, tag.as_ref()) {
            Some(Scalar::Null) => Value::Null,
            Some(Scalar::Boolean(flag)) => Value::from(flag),
            Some(Scalar::Integer(number)) => Value::from(number),
            Some(Scalar::FloatingPoint(number)) => serde_json::Number::from_f64(number.into_inner())
                .map_or_else(|| Value::from(value.as_ref()), Value::Number),
            Some(Scalar::String(text)) => Value::from(text.as_ref()),
            None => Value::from(value.as_ref()),
        };
        Ok(Node { start, end, anchored: false, quote, content: Content::Scalar(resolved) })
    }

    /// Where a block scalar is, from its header on. The parser says where its text is, and of one without text what comes next;
    /// blank lines that the header keeps (`|+`, `>2+`) are its own.
    fn block_scalar(&self, start: usize, end: usize, blank: bool) -> (usize, usize) {
        let from_header = blank && self.text[start..end].starts_with(['|', '>']);
        let header_end = if from_header { end } else { self.text[..start].trim_end().len() };
        let (start, end) = if blank { (start.min(header_end), header_end) } else { (start, end) };
        let line = self.text[..header_end].rfind('\n').map_or(0, |at| at + 1);
        let Some(mark) = header_mark(&self.text[line..header_end]).map(|at| line + at) else { return (start, end) };
        if !self.text[mark..header_end].split('#').next().unwrap_or_default().contains('+') {
            return (mark, end);
        }
        let rest = &self.text[end..];
        let own = &rest[..rest.len() - rest.trim_start().len()];
        (mark, end + own[..own.rfind('\n').unwrap_or(0)].trim_end_matches('\r').len())
    }

    fn sequence(&mut self, start: usize, depth: usize) -> Result<Node, EditError> {
        let mut items: Vec<Node> = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if event == Event::SequenceEnd {
                let flow = self.text[start..].starts_with('[');
                let last = items.last().map(|item| item.end);
                let end = self.collection_end(flow, start, last, span);
                let content = Content::Sequence(items);
                return Ok(Node { start, end, anchored: false, quote: None, content });
            }
            items.push(self.node(event, span, depth + 1)?);
        }
    }

    fn mapping(&mut self, start: usize, depth: usize) -> Result<Node, EditError> {
        let (mut entries, mut keys): (Vec<Entry>, HashSet<String>) = Default::default();
        loop {
            let (event, span) = self.next()?;
            if event == Event::MappingEnd {
                let flow = self.text[start..].starts_with('{');
                let last = entries.last().map(|entry| entry.value.end.max(entry.colon_end));
                let end = self.collection_end(flow, start, last, span);
                let content = Content::Mapping { entries, flow };
                return Ok(Node { start, end, anchored: false, quote: None, content });
            }
            let entry = self.entry(event, span, depth)?;
            if !keys.insert(entry.key.clone()) {
                return self.refuse(span, format!("the key '{}' is there twice", entry.key), "remove one of the two");
            }
            entries.push(entry);
        }
    }

    fn entry(&mut self, event: Event<'text>, span: Span, depth: usize) -> Result<Entry, EditError> {
        let Event::Scalar(key, ..) = &event else {
            return self.refuse(span, "a key that is not a scalar", UNTOUCHABLE_HINT);
        };
        let (key, column) = (key.clone().into_owned(), span.start.col());
        let key_node = self.node(event, span, depth + 1)?;
        let after_key = self.text[key_node.end..].trim_start_matches([' ', '\t']);
        let colon = self.text.len() - after_key.len();
        let colon_end = if after_key.starts_with(':') { colon + 1 } else { key_node.end };
        let (event, span) = self.next()?;
        let block_scalar = matches!(event, Event::Scalar(_, ScalarStyle::Literal | ScalarStyle::Folded, ..));
        let mut value = self.node(event, span, depth + 1)?;
        if block_scalar {
            // The text begins after the header (`|`, `>-`), which belongs to the value, too.
            let header = self.text[colon_end..].find('\n').map_or(self.text.len(), |at| colon_end + at);
            value.start = colon_end;
            value.end = value.end.max(colon_end + self.text[colon_end..header].trim_end().len());
        } else if value.start < colon_end || (value.start == value.end && value.content_is_null()) {
            (value.start, value.end) = (colon_end, colon_end);
        }
        Ok(Entry { key, key_start: key_node.start, column, colon_end, value })
    }

    /// The end of the last thing in a block collection, or of the bracket of a flow collection.
    fn collection_end(&self, flow: bool, start: usize, last: Option<usize>, span: Span) -> usize {
        if flow { self.offset(span.end.index()) } else { last.unwrap_or(start) }
    }
}

impl Node {
    fn content_is_null(&self) -> bool {
        matches!(self.content, Content::Scalar(Value::Null))
    }
}

/// Where in its line a block scalar's header (`|`, `>2+`) begins.
fn header_mark(line: &str) -> Option<usize> {
    line.rmatch_indices(['|', '>']).map(|(at, _)| at).find(|at| {
        let rest = line[at + 1..].trim_start_matches(|each: char| each.is_ascii_digit() || "+-".contains(each)).trim();
        rest.is_empty() || rest.starts_with('#')
    })
}

/// The length of the quoted scalar that `text` begins with (a tag or anchor may stand before it).
fn quoted_length(text: &str, quote: char) -> Option<usize> {
    let open = text.find(quote)?;
    let mut characters = text[open + 1..].char_indices().peekable();
    while let Some((at, character)) = characters.next() {
        match character {
            '\\' if quote == '"' => {
                characters.next();
            }
            _ if character != quote => {}
            _ if quote == '\'' && matches!(characters.peek(), Some((_, '\''))) => {
                characters.next();
            }
            _ => return Some(open + 1 + at + 1),
        }
    }
    None
}
