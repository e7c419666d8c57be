//! What is sent is read strictly: a field that is not known is a mistake, not something to overlook.

use axum::http::{HeaderMap, header};
use schemars::{JsonSchema, schema_for};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::problem::{Problem, ProblemKind};

/// Reads a JSON document of a type that has a schema.
///
/// # Errors
/// When it is said to be something else, is no JSON, has another shape, or has a field that the type does not know.
pub(super) fn read<T: DeserializeOwned + JsonSchema>(headers: &HeaderMap, body: &[u8]) -> Result<T, Problem> {
    let said = headers.get(header::CONTENT_TYPE).and_then(|said| said.to_str().ok()).unwrap_or_default();
    if said.split(';').next().unwrap_or_default().trim() != "application/json" {
        let hint = "send it as `Content-Type: application/json`";
        return Err(Problem::new(ProblemKind::NoJson, format!("`{said}` is no JSON")).hint(hint));
    }
    let value: Value =
        serde_json::from_slice(body).map_err(|error| Problem::new(ProblemKind::BadRequest, error.to_string()))?;
    let invalid = |why: String| Problem::new(ProblemKind::Invalid, why);
    let read = T::deserialize(&value).map_err(|error| invalid(error.to_string()))?;
    let schema = schema_for!(T).to_value();
    if let (Value::Object(sent), Some(known)) = (&value, known(&schema, &value))
        && let Some(unknown) = sent.keys().find(|field| !known.contains_key(*field))
    {
        let fields = known.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        let problem = invalid(format!("there is no field `{unknown}` here; there are: {fields}"));
        return Err(Problem { field: Some(unknown.as_str().into()), ..problem });
    }
    Ok(read)
}

/// The fields that the schema has for this value: its own, or those of the variant that the value's `type` names.
fn known<'schema>(schema: &'schema Value, value: &Value) -> Option<&'schema Map<String, Value>> {
    if let Some(variants) = schema.get("oneOf").and_then(Value::as_array) {
        let is_it = |variant: &&Value| variant.pointer("/properties/type/const") == value.get("type");
        return variants.iter().find(is_it)?.get("properties")?.as_object();
    }
    schema.get("properties")?.as_object()
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;
    use crate::engine::Command;

    fn reads(body: &str) -> Result<Command, (u16, String)> {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
        read(&headers, body.as_bytes()).map_err(|problem| (problem.status, problem.detail))
    }

    #[test]
    fn what_is_not_known_is_no_command() {
        assert_eq!(reads(r#"{"type":"resume"}"#), Ok(Command::Resume));
        assert!(reads(r#"{"type":"freeze","stage":null,"until_ms":1,"reason":"r"}"#).is_ok());
        for (bad, status, said) in [
            (r#"{"type":"resume","now":true}"#, 422, "no field `now`"),
            (r#"{"type":"pause"}"#, 422, "missing field `reason`"),
            (r#"{"type":"dance"}"#, 422, "unknown variant"),
            (r#"{"type":"pause","reason":7}"#, 422, "invalid type"),
            (r#"{"type":"unpin","stage":"../x"}"#, 422, "stage"),
            ("[]", 422, ""),
            ("{", 400, "EOF"),
            (&"[".repeat(100_000), 400, "recursion limit"),
            ("\u{0}", 400, "expected value"),
        ] {
            let (found, why) = reads(bad).expect_err(said);
            assert!(found == status && why.contains(said), "{status} {said}: {found} {why}");
        }
        let plain = read::<Command>(&HeaderMap::new(), b"{}");
        assert_eq!(plain.map_err(|problem| problem.status), Err(415));
    }
}
