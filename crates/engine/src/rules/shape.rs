//! Whether a document has the shape that the schema demands: every field known, present and of its type. It walks the
//! schema that is generated from the types, and reports all that does not fit, with its place.

use std::ops::Range;

use serde_json::{Map, Value};

use super::{
    document::{Content, Key, Node},
    mistake::{Findings, closest},
    names::{NAME_PATTERN, RuleName},
    span::{SPAN_PATTERN, Span},
};

/// The value of a document as far as it fits the schema. A misspelt field counts as the one that it looks like, and an
/// optional length, choice, number or truth value that does not fit is left out, so that the checks of meaning can go on; `None` when the
/// rest does not fit either. All that does not fit is added to the findings.
pub(super) fn fit(schema: &Value, document: &Node, findings: &mut Findings) -> Option<Value> {
    Walk { definitions: schema.get("$defs").unwrap_or(&Value::Null), findings }.any(schema, document)
}

/// The most entries of one list or mapping; the checks compare some of them with each other.
const MOST_ENTRIES: usize = 1_000;

struct Walk<'walk> {
    definitions: &'walk Value,
    findings: &'walk mut Findings,
}

impl<'walk> Walk<'walk> {
    fn any(&mut self, schema: &'walk Value, node: &Node) -> Option<Value> {
        let schema = self.resolve(schema);
        match schema.get("type").and_then(Value::as_str) {
            Some("object") => self.object(schema, node),
            Some("array") => self.list(schema, node),
            Some(kind) => self.scalar(schema, kind, node),
            None => match choices(schema) {
                Some(choices) => self.choice(&choices, node),
                None => Some(node.to_value()),
            },
        }
    }

    fn resolve(&self, schema: &'walk Value) -> &'walk Value {
        let name = schema.get("$ref").and_then(Value::as_str).and_then(|name| name.strip_prefix("#/$defs/"));
        name.and_then(|name| self.definitions.get(name)).unwrap_or(schema)
    }

    fn mismatch(&mut self, node: &Node, expected: &str) {
        let (found, help) = match &node.content {
            Content::Scalar(Value::Null) if expected == "a mapping" => {
                ("nothing", Some("write `{}` for an empty one".to_owned()))
            }
            Content::Scalar(Value::Null) => ("nothing", None),
            Content::Scalar(Value::Bool(value)) if expected == "a text" => {
                ("a truth value", Some(format!("put it in quotes: \"{value}\"")))
            }
            Content::Scalar(Value::Bool(_)) => ("a truth value", None),
            Content::Scalar(Value::Number(value)) if expected == "a text" => {
                ("a number", Some(format!("put it in quotes: \"{value}\"")))
            }
            Content::Scalar(Value::Number(_)) => ("a number", None),
            Content::Scalar(_) => ("a text", None),
            Content::List(_) => ("a list", None),
            Content::Map(_) => ("a mapping", None),
        };
        self.findings.add_with(node.bytes.clone(), format!("expected {expected}, found {found}"), help);
    }

    fn list(&mut self, schema: &'walk Value, node: &Node) -> Option<Value> {
        let Content::List(items) = &node.content else {
            self.mismatch(node, "a list");
            return None;
        };
        if items.is_empty() && schema.get("minItems").is_some() {
            self.findings.add(node.bytes.clone(), "this list must not be empty");
            return None;
        }
        if self.has_too_many(items.len(), node) {
            return None;
        }
        let item_schema = schema.get("items").unwrap_or(&Value::Bool(true));
        let fitted: Vec<_> = items.iter().map(|item| self.any(item_schema, item)).collect();
        fitted.into_iter().collect::<Option<Vec<_>>>().map(Value::Array)
    }

    fn object(&mut self, schema: &'walk Value, node: &Node) -> Option<Value> {
        let Content::Map(fields) = &node.content else {
            self.mismatch(node, "a mapping");
            return None;
        };
        if fields.is_empty() && schema.get("minProperties").is_some() {
            self.findings.add(node.bytes.clone(), "this mapping must not be empty");
            return None;
        }
        if self.has_too_many(fields.len(), node) {
            return None;
        }
        let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
            return self.entries(schema, fields);
        };
        let fitted = self.fields(properties, fields);
        let complete = self.has_required(schema, fitted.as_slice(), node);
        let whole =
            fitted.iter().all(|(name, value)| value.is_some() || self.may_be_left_out(schema, properties, name));
        (complete && whole).then(|| {
            Value::Object(fitted.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect())
        })
    }

    fn has_too_many(&mut self, entries: usize, node: &Node) -> bool {
        if entries > MOST_ENTRIES {
            self.findings.add(node.bytes.clone(), format!("there are more than {MOST_ENTRIES} entries here"));
        }
        entries > MOST_ENTRIES
    }

    /// The fields of an object under the names that the schema gives them.
    fn fields(
        &mut self,
        properties: &'walk Map<String, Value>,
        fields: &[(Key, Node)],
    ) -> Vec<(&'walk str, Option<Value>)> {
        let mut fitted = Vec::new();
        for (key, node) in fields {
            let absent = |name: &&str| !fields.iter().any(|(other, _)| other.name == *name);
            let known = properties.get_key_value(&key.name).or_else(|| {
                let meant = closest(&key.name, properties.keys().map(String::as_str).filter(absent));
                let help = meant.map_or_else(|| expected(properties), |meant| format!("did you mean `{meant}`?"));
                self.findings.add_with_help(key.bytes.clone(), format!("there is no field `{}` here", key.name), help);
                properties.get_key_value(meant?)
            });
            if let Some((name, property)) = known {
                let value = self.any(property, node);
                fitted.push((name.as_str(), value));
            }
        }
        fitted
    }

    /// A mapping of names or texts to values of one type.
    fn entries(&mut self, schema: &'walk Value, fields: &[(Key, Node)]) -> Option<Value> {
        let named =
            schema.get("patternProperties").and_then(Value::as_object).and_then(|patterns| patterns.iter().next());
        let mut whole = true;
        let mut fitted = Map::new();
        for (key, node) in fields {
            let value_schema = match named {
                Some((pattern, value_schema)) => {
                    whole &= self.pattern(pattern, &key.name, &key.bytes);
                    value_schema
                }
                None => schema.get("additionalProperties").unwrap_or(&Value::Bool(true)),
            };
            match self.any(value_schema, node) {
                Some(value) => {
                    fitted.insert(key.name.clone(), value);
                }
                None => whole = false,
            }
        }
        whole.then_some(Value::Object(fitted))
    }

    fn has_required(&mut self, schema: &Value, fitted: &[(&str, Option<Value>)], node: &Node) -> bool {
        let has = |name: &str| fitted.iter().any(|(present, _)| *present == name);
        let mut complete = true;
        for name in texts(schema.get("required")) {
            if !has(name) {
                self.findings.add(node.bytes.clone(), format!("the field `{name}` is missing here"));
                complete = false;
            }
        }
        for (keyword, at_most) in [("oneOf", 1), ("anyOf", usize::MAX)] {
            let alternatives = schema.get(keyword).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
            let names: Vec<&str> = alternatives.iter().flat_map(|one| texts(one.get("required"))).collect();
            let present: Vec<&str> = names.iter().copied().filter(|name| has(name)).collect();
            if names.is_empty() || (1..=at_most).contains(&present.len()) {
                continue;
            }
            let message = if present.is_empty() {
                format!("one of {} is missing here", listed(&names))
            } else {
                format!("only one of {} may be here", listed(&present))
            };
            self.findings.add(node.bytes.clone(), message);
            complete = false;
        }
        complete
    }

    /// Whether the checks of meaning can do without this field when its value does not fit.
    fn may_be_left_out(&self, schema: &Value, properties: &'walk Map<String, Value>, name: &str) -> bool {
        let Some(property) = properties.get(name).map(|property| self.resolve(property)) else { return false };
        let simple = match property.get("type").and_then(Value::as_str) {
            Some("boolean" | "integer") => true,
            Some("string") => property.get("pattern").is_some_and(|pattern| pattern == SPAN_PATTERN),
            Some(_) => false,
            None => choices(property).is_some(),
        };
        simple && !texts(schema.get("required")).any(|required| required == name)
    }

    fn scalar(&mut self, schema: &Value, kind: &str, node: &Node) -> Option<Value> {
        let Content::Scalar(value) = &node.content else {
            self.mismatch(node, expected_kind(kind));
            return None;
        };
        let fits = match (kind, value) {
            ("boolean", Value::Bool(_)) => true,
            ("integer", Value::Number(number)) => self.integer(schema, number.as_i64(), node),
            ("string", Value::String(text)) => match schema.get("pattern").and_then(Value::as_str) {
                Some(pattern) => self.pattern(pattern, text, &node.bytes),
                None => true,
            },
            _ => {
                self.mismatch(node, expected_kind(kind));
                false
            }
        };
        fits.then(|| value.clone())
    }

    fn integer(&mut self, schema: &Value, number: Option<i64>, node: &Node) -> bool {
        let bound = |name: &str| schema.get(name).and_then(Value::as_i64);
        let (least, most) = (bound("minimum").unwrap_or(0), bound("maximum").unwrap_or(i64::from(u32::MAX)));
        let fits = number.is_some_and(|number| (least..=most).contains(&number));
        if !fits {
            let message = if least == most {
                format!("this must be {least}")
            } else {
                format!("this must be a whole number from {least} to {most}")
            };
            self.findings.add(node.bytes.clone(), message);
        }
        fits
    }

    /// Names and lengths of time are checked by their own parsers, which say more than a pattern could.
    fn pattern(&mut self, pattern: &str, text: &str, bytes: &Range<usize>) -> bool {
        let refusal = match pattern {
            NAME_PATTERN => {
                RuleName::new(text).err().map(|error| format!("`{text}` is not a valid name: {}", error.reason))
            }
            SPAN_PATTERN => text.parse::<Span>().err().map(|error| error.to_string()),
            _ => None,
        };
        let fits = refusal.is_none();
        if let Some(message) = refusal {
            self.findings.add(bytes.clone(), message);
        }
        fits
    }

    fn choice(&mut self, choices: &[&str], node: &Node) -> Option<Value> {
        let Content::Scalar(Value::String(text)) = &node.content else {
            self.mismatch(node, &format!("one of {}", listed(choices)));
            return None;
        };
        if choices.contains(&text.as_str()) {
            return Some(Value::String(text.clone()));
        }
        let help = closest(text, choices.iter().copied()).map(|meant| format!("did you mean `{meant}`?"));
        self.findings.add_with(node.bytes.clone(), format!("`{text}` is none of {}", listed(choices)), help);
        None
    }
}

/// The texts that a type with fixed values may have.
fn choices(schema: &Value) -> Option<Vec<&str>> {
    schema.get("oneOf")?.as_array()?.iter().map(|choice| choice.get("const")?.as_str()).collect()
}

fn texts(list: Option<&Value>) -> impl Iterator<Item = &str> {
    list.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
}

/// What may stand where an unknown field stands.
fn expected(properties: &Map<String, Value>) -> String {
    let names: Vec<&str> = properties.keys().map(String::as_str).collect();
    format!("the fields here are {}", listed(&names))
}

fn expected_kind(kind: &str) -> &'static str {
    match kind {
        "boolean" => "`true` or `false`",
        "integer" => "a whole number",
        _ => "a text",
    }
}

fn listed(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => quoted.concat(),
    }
}
