//! The JSON schema of rules files, generated from the types in [`super::model`] and made exact where the generator
//! cannot be: nothing may be null, a step has exactly one kind, lists that must say something are not empty. Editors
//! check by it, and so does [`super::load`]: there is one truth.

use serde_json::{Map, Value, json};

use super::model::Rules;

/// Where the schema says it lives; an identity, not an address.
const ID: &str = "urn:tidegate:schemas:promotion-rules:1";

/// Places in the generated schema, each with what is added there.
fn additions() -> [(&'static str, Value); 22] {
    let not_empty = json!({ "minItems": 1 });
    let not_bare = json!({ "minProperties": 1 });
    let either = |one: &str, other: &str| json!([{ "required": [one] }, { "required": [other] }]);
    [
        ("", json!({ "$id": ID, "title": "Tidegate promotion rules" })),
        ("/properties/stages", not_bare.clone()),
        ("/properties/repositories", not_bare.clone()),
        ("/$defs/Rule/properties/steps", not_empty.clone()),
        ("/$defs/Rule/properties/stages", not_empty.clone()),
        ("/$defs/Step/properties/stages", not_empty.clone()),
        ("/$defs/Schedule/properties/stages", not_empty.clone()),
        ("/$defs/Commit/properties/set", not_bare.clone()),
        ("/$defs/Approve/properties/stages", not_bare),
        ("/$defs/Lint/properties/commands/items", not_empty.clone()),
        ("/$defs/Verify/properties/command", not_empty.clone()),
        ("/$defs/Verify", json!({ "oneOf": either("http", "command") })),
        ("/$defs/Notification/properties/on", not_empty.clone()),
        ("/$defs/Notification/properties/stages", not_empty.clone()),
        ("/$defs/Notification/properties/rules", not_empty.clone()),
        ("/$defs/Check/properties/command", not_empty.clone()),
        (
            "/$defs/Check",
            json!({ "oneOf": [
            { "required": ["http"] }, { "required": ["command"] }, { "required": ["commit_status"] }
        ] }),
        ),
        ("/$defs/Delegate/properties/to", not_empty.clone()),
        ("/$defs/HotfixLane/properties/skips", not_empty.clone()),
        ("/$defs/Conditions/properties/holidays", not_empty.clone()),
        ("/$defs/Synth/properties/command", not_empty),
        ("/$defs/Synth", json!({ "anyOf": either("command", "template") })),
    ]
}

/// The JSON schema (draft 2020-12) of rules files. Every reference in it is to its own `$defs`.
#[must_use]
pub fn schema() -> Value {
    let mut schema = schemars::schema_for!(Rules).to_value();
    without_null(&mut schema);
    if let Some(step) = schema.pointer_mut("/$defs/Step").and_then(Value::as_object_mut) {
        kinds_as_properties(step);
    }
    for (pointer, addition) in additions() {
        let place = schema.pointer_mut(pointer).and_then(Value::as_object_mut);
        let (Some(place), Value::Object(addition)) = (place, addition) else { continue };
        place.extend(addition);
    }
    // Through the generator's own type once more, which writes keywords in the order in which people expect them.
    let ordered = schemars::Schema::try_from(schema).and_then(serde_json::to_value);
    ordered.expect("what was generated as an object of JSON values is one still")
}

/// Takes out what only the types need: that an absent field may be null, and the widths of numbers.
fn without_null(schema: &mut Value) {
    match schema {
        Value::Array(items) => items.iter_mut().for_each(without_null),
        Value::Object(fields) => {
            fields.values_mut().for_each(without_null);
            if fields.get("format").and_then(Value::as_str).is_some_and(|format| format.starts_with("uint")) {
                fields.shift_remove("format");
            }
            if let Some(Value::Array(kinds)) = fields.get("type")
                && let [kind, null] = kinds.as_slice()
                && null == "null"
            {
                let kind = kind.clone();
                fields.insert("type".to_owned(), kind);
            }
            if let Some(Value::Array(choices)) = fields.get("anyOf")
                && let [Value::Object(choice), null] = choices.as_slice()
                && *null == json!({ "type": "null" })
            {
                let choice = choice.clone();
                fields.shift_remove("anyOf");
                fields.extend(choice);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The generator gives a step its kinds as alternatives beside its properties; editors and we want them among the
/// properties, with exactly one of them demanded and all else refused.
fn kinds_as_properties(step: &mut Map<String, Value>) {
    let Some(Value::Array(kinds)) = step.shift_remove("oneOf") else { return };
    let mut demanded = Vec::new();
    for kind in &kinds {
        let Some(properties) = kind.get("properties").and_then(Value::as_object) else { continue };
        for (name, property) in properties {
            let mut property = property.clone();
            if let (Some(fields), Some(description)) = (property.as_object_mut(), kind.get("description")) {
                fields.insert("description".to_owned(), description.clone());
            }
            if let Some(own) = step.get_mut("properties").and_then(Value::as_object_mut) {
                own.insert(name.clone(), property);
            }
            demanded.push(json!({ "required": [name] }));
        }
    }
    step.insert("additionalProperties".to_owned(), Value::Bool(false));
    step.insert("oneOf".to_owned(), Value::Array(demanded));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_addition_finds_its_place() {
        let schema = schema();
        for (pointer, addition) in additions() {
            for (key, value) in addition.as_object().into_iter().flatten() {
                assert_eq!(schema.pointer(pointer).and_then(|place| place.get(key)), Some(value), "{pointer} {key}");
            }
        }
    }

    #[test]
    fn nothing_may_be_null() {
        assert!(!schema().to_string().contains("null"));
    }
}
