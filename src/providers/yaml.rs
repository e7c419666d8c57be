//! YAML (and so JSON) as JSON values, for documents that were written for other programs: Image Builder components
//! and CloudFormation templates, whose short tags (`!Ref x`) become the long form (`{"Ref": "x"}`).

use saphyr::{LoadableYamlNode, Scalar, Yaml};
use serde_json::{Map, Value};

use crate::providers::Fault;

/// The one document in `text`; `what` names it in errors.
pub(crate) fn parse(what: &str, text: &str) -> Result<Value, Fault> {
    let documents = Yaml::load_from_str(text)
        .map_err(|error| Fault::fail(format!("{what} is not valid YAML: {error}"), "correct the document"))?;
    match documents.as_slice() {
        [document] => {
            value(document).map_err(|problem| Fault::fail(format!("{what}: {problem}"), "correct the document"))
        }
        other => Err(Fault::fail(format!("{what} holds {} YAML documents", other.len()), "give exactly one")),
    }
}

fn value(yaml: &Yaml<'_>) -> Result<Value, String> {
    Ok(match yaml {
        Yaml::Value(Scalar::Null) => Value::Null,
        Yaml::Value(Scalar::Boolean(boolean)) => Value::Bool(*boolean),
        Yaml::Value(Scalar::Integer(integer)) => Value::from(*integer),
        Yaml::Value(Scalar::FloatingPoint(float)) => Value::from(float.into_inner()),
        Yaml::Value(Scalar::String(text)) => Value::from(text.as_ref()),
        Yaml::Sequence(items) => Value::Array(items.iter().map(value).collect::<Result<_, _>>()?),
        Yaml::Mapping(entries) => {
            let mut map = Map::new();
            for (name, entry) in entries {
                map.insert(key(name)?, value(entry)?);
            }
            Value::Object(map)
        }
        Yaml::Tagged(tag, inner) => {
            let inner = value(inner)?;
            match (tag.handle.as_str(), tag.suffix.as_str()) {
                ("!", "Ref" | "Condition") => Value::Object(Map::from_iter([(tag.suffix.clone(), inner)])),
                ("!", "GetAtt") => {
                    let parts = inner.as_str().and_then(|text| text.split_once('.'));
                    let inner = parts.map(|(resource, name)| Value::from(vec![resource, name])).unwrap_or(inner);
                    Value::Object(Map::from_iter([("Fn::GetAtt".to_owned(), inner)]))
                }
                ("!", function) => Value::Object(Map::from_iter([(format!("Fn::{function}"), inner)])),
                _ => inner,
            }
        }
        Yaml::Representation(..) | Yaml::Alias(_) | Yaml::BadValue => return Err(format!("cannot read {yaml:?}")),
    })
}

fn key(yaml: &Yaml<'_>) -> Result<String, String> {
    match value(yaml)? {
        Value::String(text) => Ok(text),
        scalar @ (Value::Bool(_) | Value::Number(_)) => Ok(scalar.to_string()),
        other => Err(format!("{other} is not a name")),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn short_tags_become_functions() {
        let value =
            parse("t", "a: !Ref B\nc: !Sub '${B}/x'\nd: !FindInMap [m, !Ref r, 'true']\ne: [1, 2.5, true, ~]\n");
        assert_eq!(
            value.unwrap(),
            serde_json::json!({
                "a": {"Ref": "B"}, "c": {"Fn::Sub": "${B}/x"},
                "d": {"Fn::FindInMap": ["m", {"Ref": "r"}, "true"]}, "e": [1, 2.5, true, null],
            })
        );
    }

    #[test]
    fn what_cannot_be_read_is_said() {
        assert!(parse("the template", "a: [1").unwrap_err().to_string().starts_with("the template is not valid YAML"));
        assert!(parse("t", "a: 1\n---\nb: 2\n").is_err());
    }
}
