//! Reads templates that are JSON, as the CDK writes them. YAML's grammar nearly holds JSON's, but neither its tabs nor its
//! escapes, so JSON goes through a parser of its own into the same builder.

use super::builder::{Builder, Content, number};
use crate::report::finding::{Finding, Place};
use jsonc_parser::ast::{self, ObjectPropName};
use jsonc_parser::common::Ranged;
use jsonc_parser::{CollectOptions, ParseOptions, parse_to_ast};
use serde_json::{Map, Value};

/// Reads a text that is strict JSON into the builder; `Ok(false)` when it is something else. The parser's own depth is bounded.
pub(super) fn read(builder: &mut Builder<'_>, text: &str) -> Result<bool, Box<Finding>> {
    let strict = ParseOptions {
        allow_comments: false,
        allow_loose_object_property_names: false,
        allow_trailing_commas: false,
        allow_missing_commas: false,
        allow_single_quoted_strings: false,
        allow_hexadecimal_numbers: false,
        allow_unary_plus_numbers: false,
        allow_bare_decimal_point_numbers: false,
        allow_non_finite_numbers: false,
        allow_extended_string_escapes: false,
    };
    if !text.trim_start().starts_with('{') {
        return Ok(false);
    }
    let parsed = parse_to_ast(text, &CollectOptions::default(), &strict);
    let Some(root) = parsed.ok().and_then(|parsed| parsed.value) else { return Ok(false) };
    let lines = Lines::new(text);
    take(builder, &lines, &root)?;
    Ok(true)
}

fn take(builder: &mut Builder<'_>, lines: &Lines<'_>, value: &ast::Value<'_>) -> Result<(), Box<Finding>> {
    let place = lines.place(value.range().start);
    match value {
        ast::Value::Object(object) => {
            builder.open(Content::Object(Map::new(), None), None, place)?;
            for property in &object.properties {
                let (name, range) = match &property.name {
                    ObjectPropName::String(name) => (name.value.as_ref(), name.range),
                    ObjectPropName::Word(name) => (name.value, name.range),
                };
                builder.key(name.to_owned(), lines.place(range.start));
                take(builder, lines, &property.value)?;
            }
            builder.close();
        }
        ast::Value::Array(array) => {
            builder.open(Content::Array(vec![]), None, place)?;
            array.elements.iter().try_for_each(|element| take(builder, lines, element))?;
            builder.close();
        }
        ast::Value::StringLit(text) => builder.leaf(Value::from(text.value.as_ref()), None, place)?,
        ast::Value::BooleanLit(one) => builder.leaf(Value::Bool(one.value), None, place)?,
        ast::Value::NullKeyword(_) => builder.leaf(Value::Null, None, place)?,
        ast::Value::NumberLit(number) => {
            // A number beyond what can be held is kept as the text it was written as.
            let value = serde_json::from_str(number.value).unwrap_or_else(|_| Value::from(number.value));
            builder.leaf(value, None, place)?;
        }
    }
    Ok(())
}

/// Where the lines of a text begin.
struct Lines<'text> {
    text: &'text str,
    starts: Vec<usize>,
}

impl<'text> Lines<'text> {
    fn new(text: &'text str) -> Self {
        let starts = std::iter::once(0).chain(text.match_indices('\n').map(|(position, _)| position + 1)).collect();
        Self { text, starts }
    }

    /// A template may be one line of a megabyte, so that the column is counted in characters only on lines of ordinary length.
    fn place(&self, offset: usize) -> Place {
        const LONG_LINE_BYTES: usize = 10_000;
        let line = self.starts.partition_point(|start| *start <= offset);
        let start = self.starts[line - 1];
        let column =
            if offset - start > LONG_LINE_BYTES { offset - start } else { self.text[start..offset].chars().count() };
        Place { line: number(line), column: number(column + 1) }
    }
}
