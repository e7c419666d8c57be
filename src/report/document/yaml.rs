//! Reads templates that are YAML, from a parser's events.

use saphyr_parser::{Event, Parser, ScalarStyle, Span};
use serde_json::{Map, Value};

use super::builder::{Builder, Content, number};
use crate::report::finding::{Finding, Place};

/// Reads a text into the builder.
pub(super) fn read(builder: &mut Builder<'_>, text: &str) -> Result<(), Box<Finding>> {
    let (mut parser, mut documents) = (Parser::new_from_str(text), 0);
    while let Some(next) = parser.next_event() {
        let (event, span) = next.map_err(|error| {
            let place = Place { line: number(error.marker().line()), column: number(error.marker().col() + 1) };
            let too_deep = error.info().contains("recursion limit");
            let rule = if too_deep { "template_depth" } else { "template_syntax" };
            let hint = "mend the text at this place; an indentation, a quote or a bracket is the usual reason";
            builder.refused(rule, place, format!("not YAML or JSON: {}", error.info()), hint)
        })?;
        take(builder, &mut documents, event, place_of(span))?;
    }
    Ok(())
}

fn take(builder: &mut Builder<'_>, documents: &mut usize, event: Event<'_>, place: Place) -> Result<(), Box<Finding>> {
    match event {
        Event::DocumentStart(_) => {
            *documents += 1;
            if *documents > 1 {
                let message = "a second YAML document begins here; a template is one document";
                return Err(builder.refused("template_syntax", place, message, "remove the `---` and what follows"));
            }
        }
        Event::Alias(_) => {
            let message = "a YAML alias; CloudFormation does not support aliases";
            return Err(builder.refused("template_syntax", place, message, "write the value out, or use Mappings"));
        }
        Event::Scalar(text, style, _, tag) => {
            if builder.expects_key() {
                builder.key(text.into_owned(), place);
                return Ok(());
            }
            let forced_text = tag.as_deref().is_some_and(|tag| tag.is_yaml_core_schema() && tag.suffix == "str");
            let plain = style == ScalarStyle::Plain && !forced_text;
            let value = if plain { plain_scalar(&text) } else { Value::String(text.into_owned()) };
            builder.leaf(value, tag.as_deref(), place)?;
        }
        Event::SequenceStart(_, tag) => builder.open(Content::Array(vec![]), tag.as_deref(), place)?,
        Event::MappingStart(_, tag) => builder.open(Content::Object(Map::new(), None), tag.as_deref(), place)?,
        Event::SequenceEnd | Event::MappingEnd => builder.close(),
        Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
    }
    Ok(())
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
