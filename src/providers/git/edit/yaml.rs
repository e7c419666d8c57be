//! YAML: values are found by their place in the text and replaced there. What cannot be told apart safely
//! (several documents, anchored values, explicit keys) is refused rather than guessed.

use super::change::{Change, splice};
use super::error::{EditError, line_and_column};
use super::yaml_tree::{Content, Document, Node, lost};
use saphyr::Scalar;
use serde_json::Value;

/// The value of the whole text (YAML 1.2 core schema; aliases are resolved).
pub(super) fn parse(text: &str) -> Result<Value, EditError> {
    Ok(Document::parse(text)?.root.value())
}

/// The text after one change.
pub(super) fn apply(text: &str, change: &Change<'_>) -> Result<String, EditError> {
    let document = Document::parse(text)?;
    match change {
        Change::Replace(path, value) => replace(&document, path, value),
        Change::Insert(path, key, value) => insert(&document, document.find(path)?, key, value),
        Change::Remove(path) => {
            let (key, parent) = path.split_last().ok_or_else(lost)?;
            remove(text, document.find(parent)?, key)
        }
    }
}

fn replace(document: &Document<'_>, path: &[String], value: &Value) -> Result<String, EditError> {
    let text = document.text;
    let node = document.find(path)?;
    if node.anchored {
        let (line, column) = line_and_column(text, node.start);
        let hint = "write the value out where the alias or anchor stands, and try again";
        return Err(EditError::at(line, column, "this value is shared through an anchor or alias", hint));
    }
    let (key, parent) = path.split_last().ok_or_else(lost)?;
    let parent = document.find(parent)?;
    let Content::Mapping { entries, flow, .. } = &parent.content else {
        return Ok(splice(text, node.start..node.end, &inline(value, node.quote)));
    };
    let entry = entries.iter().find(|entry| entry.key == *key).ok_or_else(lost)?;
    let block = !flow && matches!(value, Value::Object(fields) if !fields.is_empty());
    let rendered = if block {
        let indent = entry.column + document.step;
        block_lines(value, indent, document.step, document.newline)
    } else {
        format!(" {}", inline(value, node.quote))
    };
    // A value on the key's line keeps the white space before it; all others are rewritten from the colon.
    let whole = node.start == node.end || node.start == entry.colon_end || block;
    let own_line = text[entry.colon_end..node.end].contains('\n') || whole;
    let (start, rendered) =
        if own_line { (entry.colon_end, rendered.as_str()) } else { (node.start, rendered.trim_start_matches(' ')) };
    Ok(splice(text, start..node.end.max(start), rendered))
}

fn insert(document: &Document<'_>, parent: &Node, key: &str, value: &Value) -> Result<String, EditError> {
    let text = document.text;
    let Content::Mapping { entries, flow } = &parent.content else { return Err(lost()) };
    if parent.anchored {
        return Err(lost());
    }
    let key = scalar(key, None);
    let Some(last) = entries.last() else {
        if !flow {
            return Ok(begin(document, &key, value));
        }
        let inside = parent.start + 1..parent.end - 1;
        return Ok(splice(text, inside, &format!("{key}: {}", inline(value, None))));
    };
    let end = last.value.end.max(last.colon_end);
    if *flow {
        return Ok(splice(text, end..end, &format!(", {key}: {}", inline(value, None))));
    }
    let newline = document.newline;
    let rendered = entry_value(document, value, last.column);
    let line_end = line_end(text, end);
    let indent = " ".repeat(last.column);
    Ok(splice(text, line_end..line_end, &format!("{newline}{indent}{key}:{rendered}")))
}

/// The first entry of a file that has none, below what is there.
fn begin(document: &Document<'_>, key: &str, value: &Value) -> String {
    let Document { text, newline, .. } = document;
    let rendered = entry_value(document, value, 0);
    let (before, after) = if text.is_empty() || text.ends_with('\n') { ("", *newline) } else { (*newline, "") };
    format!("{text}{before}{key}:{rendered}{after}")
}

/// What stands behind the colon of a new key in a block mapping at this column.
fn entry_value(document: &Document<'_>, value: &Value, column: usize) -> String {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            block_lines(value, column + document.step, document.step, document.newline)
        }
        other => format!(" {}", inline(other, None)),
    }
}

fn remove(text: &str, parent: &Node, key: &str) -> Result<String, EditError> {
    let Content::Mapping { entries, flow } = &parent.content else { return Err(lost()) };
    let index = entries.iter().position(|entry| entry.key == *key).ok_or_else(lost)?;
    let entry = &entries[index];
    let end = entry.value.end.max(entry.colon_end);
    if *flow {
        return Ok(match entries.get(index + 1) {
            Some(next) => splice(text, entry.key_start..next.key_start, ""),
            None => {
                let previous = &entries[index.checked_sub(1).ok_or_else(lost)?];
                splice(text, previous.value.end.max(previous.colon_end)..end, "")
            }
        });
    }
    let line_start = text[..entry.key_start].rfind('\n').map_or(0, |at| at + 1);
    if !text[line_start..entry.key_start].trim().is_empty() {
        return match entries.get(index + 1) {
            Some(next) => Ok(splice(text, entry.key_start..next.key_start, "")),
            None => Err(lost()),
        };
    }
    let line_end = line_end(text, end);
    match text[line_end..].find('\n') {
        Some(newline) => Ok(splice(text, line_start..line_end + newline + 1, "")),
        None => Ok(splice(text, text[..line_start].trim_end_matches(['\r', '\n']).len()..line_end, "")),
    }
}

/// Where the line of `offset` ends, before its line ending.
fn line_end(text: &str, offset: usize) -> usize {
    let end = text[offset..].find('\n').map_or(text.len(), |at| offset + at);
    if text[offset..end].ends_with('\r') { end - 1 } else { end }
}

/// An object as lines of their own, each after a newline.
fn block_lines(value: &Value, indent: usize, step: usize, newline: &str) -> String {
    let Value::Object(fields) = value else { return String::new() };
    let lines = fields.iter().map(|(key, value)| {
        let rendered = match value {
            Value::Object(inner) if !inner.is_empty() => block_lines(value, indent + step, step, newline),
            other => format!(" {}", inline(other, None)),
        };
        format!("{newline}{}{}:{rendered}", " ".repeat(indent), scalar(key, None))
    });
    lines.collect()
}

/// A value on one line.
fn inline(value: &Value, quote: Option<char>) -> String {
    match value {
        Value::String(text) => scalar(text, quote),
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(|item| inline(item, Some('"'))).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(fields) => {
            let fields: Vec<_> = fields
                .iter()
                .map(|(key, value)| format!("{}: {}", Value::from(key.as_str()), inline(value, Some('"'))))
                .collect();
            format!("{{{}}}", fields.join(", "))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

/// A string as it was quoted before; without quotes only where no reader, old or new, takes it for
/// something else.
fn scalar(text: &str, quote: Option<char>) -> String {
    match quote {
        Some('\'') if !text.contains(char::is_control) => format!("'{}'", text.replace('\'', "''")),
        None if is_plain(text) => text.to_owned(),
        _ => Value::from(text).to_string(),
    }
}

fn is_plain(text: &str) -> bool {
    /// Words that YAML 1.1 readers take for booleans or null.
    const OLD_WORDS: [&str; 9] = ["y", "n", "yes", "no", "on", "off", "true", "false", "null"];
    text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '/')
        && !text.ends_with(':')
        && text.chars().all(|each| each.is_ascii_alphanumeric() || "_-./:@+".contains(each))
        && !OLD_WORDS.contains(&text.to_ascii_lowercase().as_str())
        && matches!(Scalar::parse_from_cow(text.into()), Scalar::String(_))
}
