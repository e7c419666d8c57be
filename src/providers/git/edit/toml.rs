//! TOML through `toml_edit`, which keeps comments and order; line endings, which it does not keep, are taken
//! from the original for every line that did not change.

use super::change::{Change, line_ending};
use super::error::{EditError, UNTOUCHABLE_HINT, line_and_column};
use serde_json::Value;
use toml_edit::{Array, DocumentMut, InlineTable, Item, Table, TableLike, Value as TomlValue};

/// The value of the whole text; dates and times become strings.
pub(super) fn parse(text: &str) -> Result<Value, EditError> {
    Ok(table_value(document(text)?.as_table()))
}

/// The text after one change.
pub(super) fn apply(text: &str, change: &Change<'_>) -> Result<String, EditError> {
    let mut document = document(text)?;
    match change {
        Change::Replace(path, value) => replace(find(document.as_item_mut(), path)?, value)?,
        Change::Insert([], key, value) if document.is_empty() => insert_first(&mut document, key, value)?,
        Change::Insert(path, key, value) => insert(find(document.as_item_mut(), path)?, key, value)?,
        Change::Remove(path) => {
            let (key, parent) = path.split_last().ok_or_else(lost)?;
            let parent = find(document.as_item_mut(), parent)?;
            parent.as_table_like_mut().ok_or_else(lost)?.remove(key).ok_or_else(lost)?;
        }
    }
    Ok(with_line_endings_of(text, &document.to_string()))
}

fn document(text: &str) -> Result<DocumentMut, EditError> {
    text.parse::<DocumentMut>().map_err(|error| {
        let (line, column) = line_and_column(text, error.span().map_or(0, |span| span.start.min(text.len())));
        EditError::at(line, column, format!("not TOML: {}", error.message()), "correct the file on this branch")
    })
}

fn lost() -> EditError {
    EditError::new("the pointer names no value that can be changed", UNTOUCHABLE_HINT)
}

fn find<'a>(root: &'a mut Item, path: &[String]) -> Result<&'a mut Item, EditError> {
    path.iter().try_fold(root, |item, token| {
        match token.parse::<usize>() {
            Ok(index) if item.is_array() || item.is_array_of_tables() => item.get_mut(index),
            _ => item.get_mut(token.as_str()),
        }
        .ok_or_else(lost)
    })
}

/// Puts a new value in the place of `item`; the white space and comments around a plain value and above a table stay.
fn replace(item: &mut Item, value: &Value) -> Result<(), EditError> {
    match item {
        Item::Value(old) => {
            let mut new = inline_value(value)?;
            *new.decor_mut() = old.decor().clone();
            *old = new;
        }
        Item::Table(old) => {
            let mut new = self::item(value)?;
            if let Item::Table(table) = &mut new {
                *table.decor_mut() = old.decor().clone();
                table.set_position(old.position());
                // A header with a comment above it stays, also where the tables in it would do.
                table.set_implicit(table.is_implicit() && old.is_implicit());
            }
            *item = new;
        }
        other => *other = self::item(value)?,
    }
    Ok(())
}

/// Adds an entry at the end of a table.
fn insert(parent: &mut Item, key: &str, value: &Value) -> Result<(), EditError> {
    let Item::Value(TomlValue::InlineTable(table)) = parent else {
        parent.as_table_like_mut().ok_or_else(lost)?.insert(key, item(value)?);
        return Ok(());
    };
    let mut new = inline_value(value)?;
    // The space before the bracket is the last entry's.
    if let Some((_, last)) = table.iter_mut().last() {
        let space = last.decor().suffix().and_then(|space| space.as_str()).unwrap_or_default().to_owned();
        last.decor_mut().set_suffix("");
        new.decor_mut().set_prefix(" ");
        new.decor_mut().set_suffix(space);
    }
    table.insert(key, new);
    Ok(())
}

/// Adds the first entry of all; the comments that are there already stay above it.
fn insert_first(document: &mut DocumentMut, key: &str, value: &Value) -> Result<(), EditError> {
    let comments = document.trailing().as_str().unwrap_or_default().to_owned();
    let comments = if comments.is_empty() || comments.ends_with('\n') { comments } else { comments + "\n" };
    document.set_trailing("");
    document.insert(key, item(value)?);
    // What stands first in the text carries them.
    let first = document.as_table_mut().get_mut(key);
    match first.filter(|item| item.is_table()).and_then(first_header) {
        Some(table) => table.decor_mut().set_prefix(comments),
        None => {
            if let Some(mut key) = document.key_mut(key) {
                key.leaf_decor_mut().set_prefix(comments);
            }
        }
    }
    Ok(())
}

/// The first table whose header is written.
fn first_header(item: &mut Item) -> Option<&mut Table> {
    let table = item.as_table_mut()?;
    if !table.is_implicit() {
        return Some(table);
    }
    table.iter_mut().find_map(|(_, inner)| first_header(inner))
}

fn item(value: &Value) -> Result<Item, EditError> {
    match value {
        Value::Object(entries) => {
            let mut table = Table::new();
            for (key, value) in entries {
                table.insert(key, item(value)?);
            }
            table.set_implicit(entries.values().all(Value::is_object) && !entries.is_empty());
            Ok(Item::Table(table))
        }
        other => Ok(Item::Value(inline_value(other)?)),
    }
}

fn inline_value(value: &Value) -> Result<TomlValue, EditError> {
    Ok(match value {
        Value::Null => return Err(EditError::new("TOML has no null", "leave the value out, or use an empty string")),
        Value::Bool(flag) => TomlValue::from(*flag),
        Value::Number(number) => match number.as_i64() {
            Some(integer) => TomlValue::from(integer),
            None => TomlValue::from(number.as_f64().ok_or_else(lost)?),
        },
        // On one line: the lines of a longer string would get the file's line endings.
        Value::String(text) if text.contains(['\n', '\r']) => {
            value.to_string().replace('\u{7f}', "\\u007f").parse().map_err(|_| lost())?
        }
        Value::String(text) => TomlValue::from(text.as_str()),
        Value::Array(items) => TomlValue::Array(items.iter().map(inline_value).collect::<Result<Array, EditError>>()?),
        Value::Object(entries) => {
            let mut table = InlineTable::new();
            for (key, value) in entries {
                table.insert(key, inline_value(value)?);
            }
            TomlValue::InlineTable(table)
        }
    })
}

fn table_value(table: &dyn TableLike) -> Value {
    Value::Object(table.iter().map(|(key, item)| (key.to_owned(), item_value(item))).collect())
}

fn item_value(item: &Item) -> Value {
    match item {
        Item::None => Value::Null,
        Item::Value(value) => plain_value(value),
        Item::Table(table) => table_value(table),
        Item::ArrayOfTables(tables) => Value::Array(tables.iter().map(|table| table_value(table)).collect()),
    }
}

fn plain_value(value: &TomlValue) -> Value {
    match value {
        TomlValue::String(text) => Value::from(text.value().as_str()),
        TomlValue::Integer(number) => Value::from(*number.value()),
        TomlValue::Float(number) => {
            serde_json::Number::from_f64(*number.value()).map_or_else(|| Value::from(number.to_string()), Value::Number)
        }
        TomlValue::Boolean(flag) => Value::from(*flag.value()),
        TomlValue::Datetime(moment) => Value::from(moment.value().to_string()),
        TomlValue::Array(items) => Value::Array(items.iter().map(plain_value).collect()),
        TomlValue::InlineTable(table) => table_value(table),
    }
}

/// `edited`, whose lines end in `\n` outside of strings, with the line endings of `original` for the lines before and after the
/// change, and the original's first kind of line ending for the lines between. The last line ends as it did.
fn with_line_endings_of(original: &str, edited: &str) -> String {
    let raw: Vec<&str> = original.split_inclusive('\n').collect();
    let new: Vec<&str> = edited.split_inclusive('\n').collect();
    let content = |line: &str| line.trim_end_matches(['\r', '\n']).len();
    let same = |(old, new): &(&&str, &&str)| old[..content(old)] == new[..content(new)];
    let before = raw.iter().zip(&new).take_while(same).count();
    let most_after = raw.len().min(new.len()) - before;
    let after = raw.iter().rev().zip(new.iter().rev()).take_while(same).count().min(most_after);
    let newline = line_ending(original);
    let mut text = String::with_capacity(edited.len() + new.len());
    for (index, line) in new.iter().enumerate() {
        let old = match index {
            index if index < before => raw.get(index),
            index if index >= new.len() - after => raw.get(index + raw.len() - new.len()),
            _ => None,
        };
        let ending = match old {
            Some(old) if old.ends_with('\n') => &old[content(old)..],
            _ if index + 1 == new.len() && !original.is_empty() && !original.ends_with('\n') => "",
            _ => newline,
        };
        text.push_str(&line[..content(line)]);
        text.push_str(ending);
    }
    text
}
