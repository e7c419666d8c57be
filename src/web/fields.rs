//! `fields`: a part of a document, where its reader needs no more. Of a page and of a list, a part of each item.

use std::collections::BTreeSet;

use axum::{
    body::{Body, to_bytes},
    http::{HeaderValue, Response, StatusCode, header},
};
use schemars::SchemaGenerator;
use serde_json::{Map, Value};

use super::{
    problem::{Problem, ProblemKind},
    routes::{Answer, FIELDS, PART_OF_DOCUMENT, Route},
};

/// How deep the names of fields lie in a schema at most: behind references, lists and choices.
const MOST_DEPTH: usize = 8;

/// The fields that are asked for.
pub(super) fn asked(route: &Route, said: &str) -> Result<BTreeSet<String>, Problem> {
    let asked: BTreeSet<String> = said.split(',').map(|name| name.trim().to_owned()).collect();
    let Some(known) = known(route) else { return Ok(asked) };
    match asked.iter().find(|name| !known.contains(*name)) {
        None => Ok(asked),
        Some(unknown) => {
            let known = known.into_iter().collect::<Vec<_>>().join(", ");
            Err(Problem::of_field(FIELDS.name, format!("there is no field `{unknown}` here; there are: {known}")))
        }
    }
}

/// A document without its other fields.
pub(super) async fn only(response: Response<Body>, names: &BTreeSet<String>) -> Result<Response<Body>, Problem> {
    if response.status() != StatusCode::OK {
        return Ok(response);
    }
    let broken = |why: String| Problem::new(ProblemKind::Broken, why);
    let (mut head, body) = response.into_parts();
    // It was made in memory just now, and is no larger here.
    let whole = to_bytes(body, usize::MAX).await.map_err(|error| broken(error.to_string()))?;
    let whole: Value = serde_json::from_slice(&whole).map_err(|error| broken(error.to_string()))?;
    let part = serde_json::to_vec(&part(whole, names)).map_err(|error| broken(error.to_string()))?;
    head.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PART_OF_DOCUMENT));
    Ok(Response::from_parts(head, Body::from(part)))
}

fn part(whole: Value, names: &BTreeSet<String>) -> Value {
    let item = |item| match item {
        Value::Object(object) => Value::Object(object.into_iter().filter(|(name, _)| names.contains(name)).collect()),
        other => other,
    };
    match whole {
        Value::Array(items) => Value::Array(items.into_iter().map(item).collect()),
        Value::Object(mut page) if page.get("items").is_some_and(Value::is_array) => {
            let items = page.remove("items");
            let items = items.map(|items| part(items, names)).unwrap_or_default();
            page.insert("items".to_owned(), items);
            Value::Object(page)
        }
        other => item(other),
    }
}

/// The fields of a route's documents, or of their items; nothing where they may have any.
fn known(route: &Route) -> Option<BTreeSet<String>> {
    let Answer::Json(schema) = route.answer else { return Some(BTreeSet::new()) };
    let mut schemas = SchemaGenerator::default();
    let schema = schema(&mut schemas).to_value();
    let mut names = BTreeSet::new();
    collect(&schema, schemas.definitions(), &mut names, MOST_DEPTH).then_some(names)
}

/// Whether all names are known.
fn collect(schema: &Value, types: &Map<String, Value>, names: &mut BTreeSet<String>, depth: usize) -> bool {
    let Some(depth) = depth.checked_sub(1) else { return false };
    if let Some(name) = schema.get("$ref").and_then(Value::as_str) {
        let named = name.rsplit('/').next().and_then(|name| types.get(name));
        return named.is_some_and(|named| collect(named, types, names, depth));
    }
    if schema.get("additionalProperties").is_some_and(Value::is_object) {
        return false;
    }
    let mut all = true;
    if let Some(items) = schema.get("items") {
        all &= collect(items, types, names, depth);
    }
    for choice in ["allOf", "anyOf", "oneOf"] {
        for part in schema.get(choice).and_then(Value::as_array).into_iter().flatten() {
            all &= collect(part, types, names, depth);
        }
    }
    if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
        match properties.get("items") {
            Some(items) => all &= collect(items, types, names, depth),
            None => names.extend(properties.keys().cloned()),
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{asked, part};
    use crate::web::routes;

    #[test]
    fn a_part_has_what_is_asked_for_of_every_item() {
        let names = ["id".to_owned()].into();
        for (whole, expected) in [
            (json!({ "id": 1, "state": 2 }), json!({ "id": 1 })),
            (json!([{ "id": 1, "state": 2 }, { "state": 3 }]), json!([{ "id": 1 }, {}])),
            (
                json!({ "items": [{ "id": 1, "state": 2 }], "next": "n" }),
                json!({ "items": [{ "id": 1 }], "next": "n" }),
            ),
        ] {
            assert_eq!(part(whole, &names), expected);
        }
    }

    #[test]
    fn a_field_that_no_document_has_is_a_mistake() {
        assert!(asked(&routes::RUNS, "id, state").is_ok());
        assert!(asked(&routes::LOG_EVENTS, "seq,words,event").is_ok());
        assert!(asked(&routes::SYSTEM_STATUS, "live,targets").is_ok());
        for bad in ["", "id,", "colour", "items"] {
            let problem = asked(&routes::RUNS, bad).expect_err(bad);
            assert!(problem.status == 400 && problem.detail.contains("there are: authors, "), "{bad}: {problem:?}");
        }
    }
}
