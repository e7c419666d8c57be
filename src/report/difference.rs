//! What deploying a template would change, compared with what is deployed: approvals show it beside the verdict. Values are
//! compared as they are and kept as they may be shown, so that no report holds a secret.

use super::secret::{is_hidden, is_secret_name, shown};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// How many changed values of one resource, or of all sections together, are kept.
pub const MAX_CHANGES: usize = 100;

/// How many resources of each kind of change are kept: CloudFormation's own limit for one template.
pub const MAX_RESOURCES: usize = 500;

/// How many characters of one value are kept.
pub const MAX_VALUE_CHARACTERS: usize = 400;

/// How many equal characters are kept before the first difference of two long texts.
const CONTEXT_CHARACTERS: usize = 40;

/// The difference between two templates; lists are ordered by logical id and by path.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TemplateDifference {
    /// Whether nothing was deployed before.
    pub first: bool,
    /// Resources that would be created.
    pub added: Vec<ResourceChange>,
    /// Resources that would go.
    pub removed: Vec<ResourceChange>,
    /// Resources whose definition changes.
    pub changed: Vec<ResourceChange>,
    /// Changes outside of resources: parameters, conditions, mappings, outputs and so on, with the section in the path.
    pub sections: Vec<ValueChange>,
    /// How many changed resources and sections' values are not in the lists.
    pub left_out: usize,
}

/// A resource that comes, goes or changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResourceChange {
    /// Its logical id.
    pub id: String,
    /// Its type, such as `AWS::S3::Bucket`; the new one where it changes.
    #[serde(rename = "type")]
    pub resource_type: String,
    /// Its values that come, go or change.
    pub values: Vec<ValueChange>,
    /// How many values are not in the list.
    pub left_out: usize,
}

/// A value that comes, goes or changes, as it may be shown: secrets hidden, long texts cut.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ValueChange {
    /// Where it is, such as `Properties.Tags[0].Value`.
    pub path: String,
    /// What it was; absent when it is new. A JSON `null` is the text `null`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old: Option<Value>,
    /// What it becomes; absent when it goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new: Option<Value>,
}

impl TemplateDifference {
    /// Whether deploying would change nothing.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty()
            && self.removed.is_empty()
            && self.changed.is_empty()
            && self.sections.is_empty()
            && self.left_out == 0
    }
}

/// Compares two templates; `old` is what is deployed, if anything is. Their nesting is bounded by
/// [`super::document::MAX_DEPTH`].
pub fn difference(old: Option<&Value>, new: &Value) -> TemplateDifference {
    let nothing = Value::Null;
    let (before, after) = (old.unwrap_or(&nothing), new);
    let mut result = TemplateDifference { first: old.is_none(), ..TemplateDifference::default() };
    for id in names(&before["Resources"], &after["Resources"]) {
        let (was, is) = (before["Resources"].get(id), after["Resources"].get(id));
        let (values, left_out) = bounded(compared(was, is), MAX_CHANGES);
        let change = ResourceChange { id: id.to_owned(), resource_type: type_of(is.or(was)), values, left_out };
        match (was, is) {
            (None, _) => result.added.push(change),
            (_, None) => result.removed.push(change),
            _ if !change.values.is_empty() => result.changed.push(change),
            _ => {}
        }
    }
    let mut sections = vec![];
    for section in names(before, after).into_iter().filter(|name| *name != "Resources") {
        let (was, is) = (before.get(section), after.get(section));
        if section == "Parameters" {
            parameters(was, is, &mut sections);
        } else {
            compare(section, was, is, false, &mut sections);
        }
    }
    for list in [&mut result.added, &mut result.removed, &mut result.changed] {
        result.left_out += list.len().saturating_sub(MAX_RESOURCES);
        list.truncate(MAX_RESOURCES);
    }
    let (sections, left_out) = bounded(sections, MAX_CHANGES);
    result.sections = sections;
    result.left_out += left_out;
    result
}

fn compared(was: Option<&Value>, is: Option<&Value>) -> Vec<ValueChange> {
    let mut changes = vec![];
    compare("", was, is, false, &mut changes);
    if was.is_none() || is.is_none() {
        changes.retain(|change| change.path != "Type");
    }
    changes
}

/// A parameter's name says whether its default is a secret; its type and description never are.
fn parameters(was: Option<&Value>, is: Option<&Value>, changes: &mut Vec<ValueChange>) {
    let nothing = Value::Null;
    let (was, is) = (was.unwrap_or(&nothing), is.unwrap_or(&nothing));
    for id in names(was, is) {
        let (was, is) = (was.get(id).unwrap_or(&nothing), is.get(id).unwrap_or(&nothing));
        for key in names(was, is) {
            let secret = is_secret_name(id) && matches!(key, "Default" | "AllowedValues");
            let no_echo = [was, is].iter().filter_map(|one| one.as_object()).any(|one| is_hidden(false, one, key));
            compare(&format!("Parameters.{id}.{key}"), was.get(key), is.get(key), secret || no_echo, changes);
        }
    }
}

fn compare(path: &str, was: Option<&Value>, is: Option<&Value>, hidden: bool, changes: &mut Vec<ValueChange>) {
    if was == is {
        return;
    }
    let empty_object = Map::new();
    match (was, is) {
        (was, is) if is_branch(was, Value::is_object) && is_branch(is, Value::is_object) => {
            let was = was.and_then(Value::as_object).unwrap_or(&empty_object);
            let is = is.and_then(Value::as_object).unwrap_or(&empty_object);
            let keys: BTreeSet<&String> = was.keys().chain(is.keys()).collect();
            for key in keys {
                let hidden = is_hidden(hidden, was, key) || is_hidden(hidden, is, key);
                let inner = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                compare(&inner, was.get(key), is.get(key), hidden, changes);
            }
        }
        (was, is) if is_branch(was, Value::is_array) && is_branch(is, Value::is_array) => {
            let was = was.and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
            let is = is.and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
            for index in 0..was.len().max(is.len()) {
                compare(&format!("{path}[{index}]"), was.get(index), is.get(index), hidden, changes);
            }
        }
        (was, is) => changes.push(change(path, was, is, hidden)),
    }
}

/// Whether a side is absent or a container to descend into. Intrinsic functions and empty containers are values.
fn is_branch(value: Option<&Value>, container: fn(&Value) -> bool) -> bool {
    value.is_none_or(|value| {
        let empty = value.as_object().is_some_and(Map::is_empty) || value.as_array().is_some_and(Vec::is_empty);
        let intrinsic = value.as_object().is_some_and(|object| {
            object.len() == 1 && object.keys().all(|key| key == "Ref" || key == "Condition" || key.starts_with("Fn::"))
        });
        container(value) && !empty && !intrinsic
    })
}

fn change(path: &str, was: Option<&Value>, is: Option<&Value>, hidden: bool) -> ValueChange {
    let show = |value: Option<&Value>| value.map(|value| shown(value, hidden));
    let (old, new) = (show(was), show(is));
    let equal = match (&old, &new) {
        (Some(Value::String(old)), Some(Value::String(new))) => {
            old.chars().zip(new.chars()).take_while(|(old, new)| old == new).count()
        }
        _ => 0,
    };
    ValueChange {
        path: path.to_owned(),
        old: old.map(|value| cut(value, equal)),
        new: new.map(|value| cut(value, equal)),
    }
}

/// A value no longer than [`MAX_VALUE_CHARACTERS`]; of two long texts, the part from their first difference on.
fn cut(value: Value, equal: usize) -> Value {
    let text = match &value {
        Value::Null => return Value::from("null"),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let length = text.chars().count();
    if length <= MAX_VALUE_CHARACTERS {
        return value;
    }
    let start = equal.saturating_sub(CONTEXT_CHARACTERS);
    let part: String = text.chars().skip(start).take(MAX_VALUE_CHARACTERS).collect();
    let before = if start > 0 { "…" } else { "" };
    let after = if start + MAX_VALUE_CHARACTERS < length { "…" } else { "" };
    Value::String(format!("{before}{part}{after} ({length} characters)"))
}

fn bounded(mut changes: Vec<ValueChange>, limit: usize) -> (Vec<ValueChange>, usize) {
    let left_out = changes.len().saturating_sub(limit);
    changes.truncate(limit);
    (changes, left_out)
}

fn names<'value>(was: &'value Value, is: &'value Value) -> BTreeSet<&'value str> {
    let keys = |value: &'value Value| value.as_object().into_iter().flat_map(Map::keys).map(String::as_str);
    keys(was).chain(keys(is)).collect()
}

fn type_of(resource: Option<&Value>) -> String {
    let name = resource.and_then(|resource| resource.get("Type")).and_then(Value::as_str);
    name.unwrap_or("(no type)").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn changes(old: Value, new: Value) -> Vec<(String, Option<Value>, Option<Value>)> {
        let template =
            |properties: Value| json!({ "Resources": { "Thing": { "Type": "A::B::C", "Properties": properties } } });
        let difference = difference(Some(&template(old)), &template(new));
        let values = difference.changed.into_iter().flat_map(|change| change.values);
        values.map(|change| (change.path, change.old, change.new)).collect()
    }

    #[test]
    fn each_changed_value_is_named_by_its_path() {
        let found = changes(
            json!({ "Size": 1, "Tags": [{ "Key": "a" }], "Gone": {}, "Same": [1] }),
            json!({ "Size": 2, "Tags": [{ "Key": "a" }, { "Key": "b" }], "Same": [1], "Role": { "Ref": "R" } }),
        );
        let expected = [
            ("Properties.Gone".to_owned(), Some(json!({})), None),
            ("Properties.Role".to_owned(), None, Some(json!({ "Ref": "R" }))),
            ("Properties.Size".to_owned(), Some(json!(1)), Some(json!(2))),
            ("Properties.Tags[1].Key".to_owned(), None, Some(json!("b"))),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn resources_come_and_go_and_the_first_template_adds_all() {
        let old = json!({ "Resources": { "A": { "Type": "T::T::A", "Properties": { "X": 1 } } } });
        let new = json!({ "Resources": { "B": { "Type": "T::T::B" } }, "Outputs": { "U": { "Value": 1 } } });
        let found = difference(Some(&old), &new);
        assert_eq!((found.added[0].id.as_str(), found.removed[0].resource_type.as_str()), ("B", "T::T::A"));
        assert_eq!(
            (found.removed[0].values[0].path.as_str(), found.sections[0].path.as_str()),
            ("Properties.X", "Outputs.U.Value")
        );
        let first = difference(None, &old);
        assert!(first.first && first.added.len() == 1 && !first.is_empty());
        assert!(difference(Some(&old), &old).is_empty());
    }

    #[test]
    fn a_changed_secret_is_a_change_without_a_value() {
        let found = changes(json!({ "MasterUserPassword": "hunter2" }), json!({ "MasterUserPassword": "hunter3" }));
        assert_eq!(
            found,
            [("Properties.MasterUserPassword".to_owned(), Some(json!("(hidden)")), Some(json!("(hidden)")))]
        );
        let old = json!({ "Parameters": { "DbPassword": { "Type": "String" } } });
        let new = json!({ "Parameters": { "DbPassword": { "Type": "Number", "Default": "hunter2" } } });
        let text = serde_json::to_string(&difference(Some(&old), &new)).expect("plain data");
        assert!(!text.contains("hunter2") && text.contains("Number"), "{text}");
    }

    #[test]
    fn long_texts_are_cut_around_their_difference() {
        let long = "x".repeat(5_000);
        let found = changes(json!({ "Script": format!("{long}a") }), json!({ "Script": format!("{long}b") }));
        let shown = found[0].2.as_ref().and_then(Value::as_str).expect("a text");
        assert!(shown.ends_with("b (5001 characters)") && shown.chars().count() < 100, "{shown}");
    }

    #[test]
    fn odd_templates_do_not_matter() {
        for odd in [
            json!(null),
            json!([1]),
            json!("x"),
            json!({ "Resources": [1], "Parameters": 3 }),
            json!({ "Resources": { "A": 1 } }),
        ] {
            let there = difference(Some(&odd), &json!({}));
            let back = difference(Some(&json!({})), &odd);
            assert_eq!(there.is_empty(), back.is_empty());
        }
    }
}
