//! Edits of one value in a file by JSON pointer, in place: every byte that does not belong to the changed
//! value stays (formatting, comments, key order, line endings, the last newline or its absence). Pure: text
//! in, text out. Every edit is checked before it is returned: the edited text, parsed again, must equal the
//! original with the value set, or else nothing is returned but an error.

mod change;
mod error;
mod json;
mod toml;
mod yaml;
mod yaml_tree;

pub use error::EditError;

use change::Change;
use error::UNTOUCHABLE_HINT;
use serde_json::{Map, Value};

/// How a file is written, known from its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Json,
    Yaml,
    Toml,
}

impl Format {
    fn of(path: &str) -> Result<Self, EditError> {
        match path.rsplit_once('.').map(|(_, extension)| extension) {
            Some("json" | "jsonc") => Ok(Self::Json),
            Some("yaml" | "yml") => Ok(Self::Yaml),
            Some("toml") => Ok(Self::Toml),
            _ => Err(EditError::new(
                "only JSON, YAML and TOML files can be edited by pointer",
                "name a file that ends in .json, .jsonc, .yaml, .yml or .toml",
            )),
        }
    }

    fn parse(self, text: &str) -> Result<Value, EditError> {
        match self {
            Self::Json => json::parse(text),
            Self::Yaml => yaml::parse(text),
            Self::Toml => toml::parse(text),
        }
    }

    fn apply(self, text: &str, change: &Change<'_>) -> Result<String, EditError> {
        match self {
            Self::Json => json::apply(text, change),
            Self::Yaml => yaml::apply(text, change),
            Self::Toml => toml::apply(text, change),
        }
    }
}

/// The bytes of the file `path` with every `(pointer, value)` of `changes` set, in order; `None` when the
/// file says all of it already. Objects over objects touch only the entries that differ; what is missing on
/// the way to a pointer is created; an index names an existing element of a list.
pub fn set(path: &str, bytes: &[u8], changes: &[(String, Value)]) -> Result<Option<Vec<u8>>, EditError> {
    let format = Format::of(path)?;
    let (mark, text) = decode(bytes)?;
    let mut state = format.parse(text)?;
    let mut edited = text.to_owned();
    for (pointer, value) in changes {
        let path = parse_pointer(pointer)?;
        edited = assign(format, edited, &mut state, &path, value)?;
    }
    if edited == text {
        return Ok(None);
    }
    match format.parse(&edited) {
        Ok(parsed) if parsed == state => Ok(Some([mark.as_bytes(), edited.as_bytes()].concat())),
        _ => Err(EditError::new("this value cannot be changed in place without changing others", UNTOUCHABLE_HINT)),
    }
}

/// The value that `pointer` names in the file, or `None` when the file has no such value.
pub fn get(path: &str, bytes: &[u8], pointer: &str) -> Result<Option<Value>, EditError> {
    let (_, text) = decode(bytes)?;
    parse_pointer(pointer)?;
    Ok(Format::of(path)?.parse(text)?.pointer(pointer).cloned())
}

/// The byte order mark, if there is one, and the text after it.
fn decode(bytes: &[u8]) -> Result<(&'static str, &str), EditError> {
    const BYTE_ORDER_MARK: &str = "\u{feff}";
    let text = std::str::from_utf8(bytes)
        .map_err(|error| EditError::new(format!("not UTF-8: {error}"), "store the file as UTF-8"))?;
    Ok(match text.strip_prefix(BYTE_ORDER_MARK) {
        Some(rest) => (BYTE_ORDER_MARK, rest),
        None => ("", text),
    })
}

/// The reference tokens of a JSON pointer (RFC 6901).
fn parse_pointer(pointer: &str) -> Result<Vec<String>, EditError> {
    let hint = "write it as /key/key, for example /software/tag";
    let rest = pointer
        .strip_prefix('/')
        .ok_or_else(|| EditError::new(format!("'{pointer}' is not a pointer to a value in the file"), hint))?;
    Ok(rest.split('/').map(|token| token.replace("~1", "/").replace("~0", "~")).collect())
}

/// Sets one value: finds out how much of its path exists, and makes the one change that is needed.
fn assign(
    format: Format,
    text: String,
    state: &mut Value,
    path: &[String],
    value: &Value,
) -> Result<String, EditError> {
    let present = present_depth(state, path)?;
    if present == path.len() {
        let mut prefix = path.to_vec();
        let existing = at_mut(state, path);
        let edited = reconcile(format, text, &mut prefix, existing, value)?;
        *existing = value.clone();
        return Ok(edited);
    }
    let (parent, missing) = path.split_at(present);
    let wrapped = missing[1..].iter().rev().fold(value.clone(), |inner, key| {
        let mut object = Map::new();
        object.insert(key.clone(), inner);
        Value::Object(object)
    });
    let container = at_mut(state, parent);
    match container {
        Value::Object(entries) => {
            let edited = format.apply(&text, &Change::Insert(parent, &missing[0], &wrapped))?;
            entries.insert(missing[0].clone(), wrapped);
            Ok(edited)
        }
        _ => {
            let object = Value::Object(Map::from_iter([(missing[0].clone(), wrapped)]));
            let edited = format.apply(&text, &Change::Replace(parent, &object))?;
            *container = object;
            Ok(edited)
        }
    }
}

/// How many tokens of `path` name something that is there. A null on the way counts as a value yet to be
/// given; a list or scalar where an object is needed is an error.
fn present_depth(state: &Value, path: &[String]) -> Result<usize, EditError> {
    let mut current = state;
    for (depth, token) in path.iter().enumerate() {
        let next = match current {
            Value::Object(entries) => entries.get(token),
            Value::Array(items) => Some(element(items, token).ok_or_else(|| {
                misfit(path, depth, &format!("is a list of {} and has no element '{token}'", items.len()))
            })?),
            Value::Null if depth > 0 => None,
            Value::Null => return Err(misfit(path, depth, "is empty, but an object is expected")),
            Value::Bool(_) | Value::Number(_) | Value::String(_) => {
                return Err(misfit(path, depth, "is a scalar, but an object is expected"));
            }
        };
        match next {
            Some(value) => current = value,
            None => return Ok(depth),
        }
    }
    Ok(path.len())
}

fn misfit(path: &[String], depth: usize, what: &str) -> EditError {
    let place = if depth == 0 { "the file".to_owned() } else { format!("/{}", path[..depth].join("/")) };
    EditError::new(
        format!("{place} {what}"),
        format!("make {place} an object, or correct the pointer /{}", path.join("/")),
    )
}

fn element<'a>(items: &'a [Value], token: &str) -> Option<&'a Value> {
    let canonical = token == "0" || !token.starts_with(['0', '+']);
    items.get(token.parse::<usize>().ok().filter(|_| canonical)?)
}

fn at_mut<'a>(state: &'a mut Value, path: &[String]) -> &'a mut Value {
    path.iter().fold(state, |value, token| match value {
        Value::Object(entries) => entries.get_mut(token).expect("present_depth walked this path"),
        Value::Array(items) => {
            items.get_mut(token.parse::<usize>().expect("an index")).expect("present_depth walked this path")
        }
        _ => unreachable!("present_depth walked this path"),
    })
}

/// Makes the existing value at `path` equal to `wanted` by touching only what differs.
fn reconcile(
    format: Format,
    mut text: String,
    path: &mut Vec<String>,
    existing: &Value,
    wanted: &Value,
) -> Result<String, EditError> {
    match (existing, wanted) {
        _ if existing == wanted => Ok(text),
        (Value::Object(old), Value::Object(new)) if !old.is_empty() && !new.is_empty() => {
            for (key, value) in new {
                match old.get(key) {
                    Some(current) => {
                        path.push(key.clone());
                        text = reconcile(format, text, path, current, value)?;
                        path.pop();
                    }
                    None => text = format.apply(&text, &Change::Insert(path, key, value))?,
                }
            }
            for key in old.keys().filter(|key| !new.contains_key(*key)) {
                path.push(key.clone());
                text = format.apply(&text, &Change::Remove(path))?;
                path.pop();
            }
            Ok(text)
        }
        (Value::Array(old), Value::Array(new)) if old.len() == new.len() => {
            for (index, (current, value)) in old.iter().zip(new).enumerate() {
                path.push(index.to_string());
                text = reconcile(format, text, path, current, value)?;
                path.pop();
            }
            Ok(text)
        }
        _ => format.apply(&text, &Change::Replace(path, wanted)),
    }
}
