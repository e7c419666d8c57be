//! JSON, also with comments and trailing commas: values are found by their ranges and replaced in the text.

use super::change::{Change, line_ending, splice};
use super::error::{EditError, UNTOUCHABLE_HINT, line_and_column};
use jsonc_parser::ast::{Array, Object, ObjectProp, Value as Node};
use jsonc_parser::common::Ranged;
use jsonc_parser::{CollectOptions, ParseOptions, parse_to_ast};
use serde_json::Value;

const OPTIONS: ParseOptions = ParseOptions {
    allow_comments: true,
    allow_loose_object_property_names: false,
    allow_trailing_commas: true,
    allow_missing_commas: false,
    allow_single_quoted_strings: false,
    allow_hexadecimal_numbers: false,
    allow_unary_plus_numbers: false,
    allow_bare_decimal_point_numbers: false,
    allow_non_finite_numbers: false,
    allow_extended_string_escapes: false,
};

/// The value of the whole text.
pub(super) fn parse(text: &str) -> Result<Value, EditError> {
    let node = parse_nodes(text)?;
    refuse_duplicates(text, &node)?;
    Ok(node.into())
}

/// The text after one change.
pub(super) fn apply(text: &str, change: &Change<'_>) -> Result<String, EditError> {
    let root = parse_nodes(text)?;
    let layout = Layout::of(text, &root);
    match change {
        Change::Replace(path, value) => {
            let node = find(&root, path)?;
            let rendered = layout.render(value, text, node.start(), spans_lines(text, &root));
            Ok(splice(text, node.start()..node.end(), &rendered))
        }
        Change::Insert(path, key, value) => {
            let object = find(&root, path)?.as_object().ok_or_else(lost)?;
            Ok(insert(text, &layout, object, key, value, spans_lines(text, &root)))
        }
        Change::Remove(path) => {
            let (key, parent) = path.split_last().ok_or_else(lost)?;
            let object = find(&root, parent)?.as_object().ok_or_else(lost)?;
            let index = object.properties.iter().position(|entry| entry.name.as_str() == key).ok_or_else(lost)?;
            remove(text, object, index)
        }
    }
}

fn parse_nodes(text: &str) -> Result<Node<'_>, EditError> {
    let hint = "correct the file on this branch; it has to be JSON (comments are allowed)";
    let parsed = parse_to_ast(text, &CollectOptions::default(), &OPTIONS).map_err(|error| {
        let (line, column) = line_and_column(text, error.range().start.min(text.len()));
        EditError::at(line, column, format!("not JSON: {}", error.kind()), hint)
    })?;
    parsed.value.ok_or_else(|| EditError::at(1, 1, "the file is empty, but an object is expected", "write {} into it"))
}

fn refuse_duplicates(text: &str, node: &Node<'_>) -> Result<(), EditError> {
    match node {
        Node::Object(Object { properties, .. }) => {
            let mut seen = std::collections::BTreeSet::new();
            for ObjectProp { name, value, range } in properties {
                if !seen.insert(name.as_str()) {
                    let (line, column) = line_and_column(text, range.start);
                    let problem = format!("the key '{}' is there twice", name.as_str());
                    return Err(EditError::at(line, column, problem, "remove one of the two"));
                }
                refuse_duplicates(text, value)?;
            }
            Ok(())
        }
        Node::Array(Array { elements, .. }) => elements.iter().try_for_each(|item| refuse_duplicates(text, item)),
        Node::StringLit(_) | Node::NumberLit(_) | Node::BooleanLit(_) | Node::NullKeyword(_) => Ok(()),
    }
}

fn find<'tree, 'text>(root: &'tree Node<'text>, path: &[String]) -> Result<&'tree Node<'text>, EditError> {
    path.iter().try_fold(root, |node, token| {
        match node {
            Node::Object(object) => {
                object.properties.iter().find(|entry| entry.name.as_str() == token).map(|entry| &entry.value)
            }
            Node::Array(list) => token.parse::<usize>().ok().and_then(|index| list.elements.get(index)),
            _ => None,
        }
        .ok_or_else(lost)
    })
}

fn lost() -> EditError {
    EditError::new("the pointer names no value that can be changed", UNTOUCHABLE_HINT)
}

fn spans_lines(text: &str, node: &impl Ranged) -> bool {
    text[node.start()..node.end()].contains('\n')
}

/// How this file is laid out, so that what is added looks like what is there.
struct Layout {
    /// One level of indentation.
    step: String,
    newline: &'static str,
    /// What stands between a key and its value.
    colon: &'static str,
}

impl Layout {
    fn of(text: &str, root: &Node<'_>) -> Self {
        let first = root.as_object().and_then(|object| object.properties.first());
        let step = first.map(|entry| indentation(text, entry.start())).filter(|step| !step.is_empty());
        let tight = first.is_some_and(|entry| text[entry.name.end()..entry.value.start()].ends_with(':'));
        Self {
            step: step.unwrap_or("  ").to_owned(),
            newline: line_ending(text),
            colon: if tight { ":" } else { ": " },
        }
    }

    /// The value as text, over several lines when `multiline`, for a place whose line has the indentation of
    /// the line of `offset`.
    fn render(&self, value: &Value, text: &str, offset: usize, multiline: bool) -> String {
        self.render_at(value, indentation(text, offset), multiline)
    }

    fn render_at(&self, value: &Value, indent: &str, multiline: bool) -> String {
        let deeper = format!("{indent}{}", self.step);
        let (open, close, items): (_, _, Vec<String>) = match value {
            Value::Object(entries) if !entries.is_empty() => {
                let entry = |(key, value): (&String, &Value)| self.entry(key, value, &deeper, multiline);
                ("{", "}", entries.iter().map(entry).collect())
            }
            Value::Array(items) if !items.is_empty() => {
                ("[", "]", items.iter().map(|item| self.render_at(item, &deeper, multiline)).collect())
            }
            scalar => return scalar.to_string(),
        };
        if !multiline {
            return format!("{open}{}{close}", items.join(if self.colon == ":" { "," } else { ", " }));
        }
        let newline = self.newline;
        format!("{open}{newline}{deeper}{}{newline}{indent}{close}", items.join(&format!(",{newline}{deeper}")))
    }

    fn entry(&self, key: &str, value: &Value, indent: &str, multiline: bool) -> String {
        format!("{}{}{}", Value::from(key), self.colon, self.render_at(value, indent, multiline))
    }
}

/// The white space that begins the line of `offset`.
fn indentation(text: &str, offset: usize) -> &str {
    let line_start = text[..offset].rfind('\n').map_or(0, |at| at + 1);
    let line = &text[line_start..offset];
    &line[..line.len() - line.trim_start_matches([' ', '\t']).len()]
}

fn insert(text: &str, layout: &Layout, object: &Object<'_>, key: &str, value: &Value, multiline_file: bool) -> String {
    let newline = layout.newline;
    let Some(last) = object.properties.last() else {
        let outer = indentation(text, object.start());
        // Only comments can stand in an object without entries; they stay before the first one.
        let inside = text[object.start() + 1..object.end() - 1].trim_end();
        let position = object.start() + 1 + inside.len();
        if !multiline_file && inside.is_empty() && !text.contains('\n') {
            let entry = layout.entry(key, value, "", false);
            return splice(text, position..object.end() - 1, &entry);
        }
        let indent = format!("{outer}{}", layout.step);
        let entry = layout.entry(key, value, &indent, true);
        return splice(text, position..object.end() - 1, &format!("{newline}{indent}{entry}{newline}{outer}"));
    };
    let rest = &text[last.end()..object.end() - 1];
    let (before_comma, after_comma) = split_at_comma(rest);
    let (comma, tail_start) = match after_comma {
        Some(_) => ("", last.end() + before_comma + 1),
        None => (",", last.end()),
    };
    if !spans_lines(text, object) {
        let space = if layout.colon == ":" { "" } else { " " };
        let entry = layout.entry(key, value, "", false);
        return splice(text, tail_start..tail_start, &format!("{comma}{space}{entry}"));
    }
    let indent = indentation(text, last.start());
    let entry = layout.entry(key, value, indent, true);
    // The new entry goes below what else stands on the last entry's line, say a comment.
    let tail = &text[tail_start..object.end() - 1];
    let mut line_end = tail_start + end_of_line(tail);
    if !text[line_end..object.end() - 1].contains('\n') {
        line_end = tail_start;
    }
    let trailing_comma = if after_comma.is_some() { "," } else { "" };
    let with_entry = splice(text, line_end..line_end, &format!("{newline}{indent}{entry}{trailing_comma}"));
    splice(&with_entry, last.end()..last.end(), comma)
}

/// Where a comma stands in what follows an entry, comments aside: the length before it, and what is after.
fn split_at_comma(rest: &str) -> (usize, Option<&str>) {
    let mut position = 0;
    while position < rest.len() {
        let here = &rest[position..];
        if let Some(after) = here.strip_prefix(',') {
            return (position, Some(after));
        }
        position += skip(here);
    }
    (rest.len(), None)
}

/// How far the first newline is that is not inside a comment.
fn end_of_line(tail: &str) -> usize {
    let mut position = 0;
    while position < tail.len() && !tail[position..].starts_with(['\n', '\r']) {
        position += skip(&tail[position..]);
    }
    position
}

/// The length of the comment that begins here (a line comment without its newline), or of one character.
fn skip(here: &str) -> usize {
    if here.starts_with("//") {
        return here.find(['\n', '\r']).unwrap_or(here.len());
    }
    if here.starts_with("/*") {
        return here.find("*/").map_or(here.len(), |at| at + 2);
    }
    here.chars().next().map_or(1, char::len_utf8)
}

/// Removes one of several entries, with its line when it has one to itself.
fn remove(text: &str, object: &Object<'_>, index: usize) -> Result<String, EditError> {
    let entries = &object.properties;
    let entry = &entries[index];
    let (before_comma, after_comma) = split_at_comma(&text[entry.end()..object.end() - 1]);
    let end = entry.end() + after_comma.map_or(0, |_| before_comma + 1);
    let line_start = entry.start() - indentation(text, entry.start()).len();
    let line_end = end + end_of_line(&text[end..object.end() - 1]);
    let starts_line = text[..line_start].ends_with('\n');
    let next_on_line = entries.get(index + 1).is_some_and(|next| next.start() < line_end);
    let range = match text[line_end..].find('\n').filter(|_| starts_line && !next_on_line) {
        Some(newline) if text[line_end..line_end + newline].trim().is_empty() => line_start..line_end + newline + 1,
        _ => match entries.get(index + 1) {
            Some(next) => entry.start()..next.start(),
            None => entry.start()..end,
        },
    };
    let removed = splice(text, range, "");
    if after_comma.is_some() {
        return Ok(removed);
    }
    // The entry before is the last one now, and has to lose its comma.
    let previous = index.checked_sub(1).map(|before| &entries[before]).ok_or_else(lost)?;
    let (before_comma, _) = split_at_comma(&text[previous.end()..entry.start()]);
    let comma = previous.end() + before_comma;
    Ok(splice(&removed, comma..comma + 1, ""))
}
