//! The description of the API, as OpenAPI 3.1, made from the table of routes and the schemas of the types.

use schemars::{SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use super::{
    problem::{Problem, ProblemKind},
    routes::{Answer, Method, Needs, PART_OF_DOCUMENT, Parameter, ParameterKind, ROUTES, Route},
};

/// Where the schemas of types are.
const SCHEMAS: &str = "/components/schemas";

/// The whole description.
#[must_use]
pub fn description() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = SCHEMAS.into();
        settings.meta_schema = None;
    });
    let mut schemas = settings.into_generator();
    let problem = schemas.subschema_for::<Problem>();
    let mut paths = Map::new();
    for route in ROUTES {
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        path[route.method.name().to_lowercase()] = operation(route, &mut schemas);
    }
    let mut definitions = schemas.take_definitions(true);
    // The steps that the engine plans by itself have names that rules may not give: `deploy/plan`.
    if let Some(step) = definitions.get_mut("StepId").and_then(Value::as_object_mut) {
        step.remove("pattern");
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Tidegate",
            "version": "1",
            "description": "What is asked of Tidegate on the command line, over HTTP: the same documents, permissions and refusals.",
        },
        "paths": paths,
        "components": {
            "schemas": definitions,
            "responses": problems(&problem.to_value()),
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "`tidegate token create` makes one.",
                },
            },
        },
    })
}

fn operation(route: &Route, schemas: &mut SchemaGenerator) -> Value {
    let parts = route.parts().map(
        |part| json!({ "name": part, "in": "path", "required": true, "schema": { "type": "string", "minLength": 1 } }),
    );
    let query = route.asked_in_query().map(|known| parameter(known, "query"));
    let headers = route.headers.iter().map(|known| parameter(known, "header"));
    let mut operation = json!({
        "operationId": route.name,
        "summary": route.summary,
        "parameters": parts.chain(query).chain(headers).collect::<Vec<_>>(),
        "responses": responses(route, schemas),
        "security": if route.needs == Needs::Nothing { json!([]) } else { json!([{ "token": [] }]) },
    });
    if let Some(body) = route.body {
        operation["requestBody"] =
            json!({ "required": true, "content": { "application/json": { "schema": body(schemas) } } });
    }
    operation
}

fn parameter(known: &Parameter, place: &str) -> Value {
    let schema = match known.kind {
        ParameterKind::Text => json!({ "type": "string" }),
        ParameterKind::OneOf(values) => json!({ "type": "string", "enum": values }),
        ParameterKind::UpTo(most) => json!({ "type": "integer", "minimum": 1, "maximum": most }),
        ParameterKind::Place => json!({ "type": "integer", "minimum": 0, "maximum": u32::MAX }),
    };
    json!({ "name": known.name, "in": place, "description": known.says, "required": known.required, "schema": schema })
}

fn responses(route: &Route, schemas: &mut SchemaGenerator) -> Value {
    let content = |media: &str, schema: Value| json!({ media: { "schema": schema } });
    let text = || json!({ "type": "string" });
    let (status, answer) = match route.answer {
        Answer::Json(schema) => {
            let schema = schema(schemas).to_value();
            let mut content = content("application/json", schema);
            if route.takes_fields() {
                content[PART_OF_DOCUMENT] = json!({ "schema": { "type": ["object", "array"] } });
            }
            ("200", json!({ "description": route.summary, "content": content, "links": links(route) }))
        }
        Answer::Text | Answer::Bytes => {
            ("200", json!({ "description": route.summary, "content": content("text/plain", text()) }))
        }
        Answer::Events(data) => {
            let says = format!("{}; the data of each `log` event is {}", route.summary, data(schemas).to_value());
            ("200", json!({ "description": says, "content": content("text/event-stream", text()) }))
        }
        Answer::Page => {
            let content = json!({ "text/html": { "schema": text() }, "text/plain": { "schema": text() } });
            ("200", json!({ "description": route.summary, "content": content }))
        }
        Answer::Accepted => ("202", json!({ "description": route.summary })),
        Answer::Elsewhere => ("303", json!({ "description": route.summary })),
    };
    let mut responses = json!({ status: answer });
    if matches!(route.answer, Answer::Bytes) {
        responses["206"] =
            json!({ "description": "the part that was asked for", "content": content("text/plain", text()) });
    }
    if matches!(route.answer, Answer::Page) {
        responses["303"] = json!({ "description": "elsewhere: to where one signs in, or from there" });
    }
    if route.headers.iter().any(|known| known.name == "If-None-Match") {
        responses["304"] = json!({ "description": "nothing has changed" });
    }
    for status in statuses(route) {
        responses[status.to_string()] = match route.answer {
            // Strangers are told nothing.
            Answer::Accepted if status == 401 => json!({ "description": "nobody signed it who may" }),
            Answer::Page | Answer::Elsewhere => {
                let problem = schemas.subschema_for::<Problem>().to_value();
                let content =
                    json!({ "application/problem+json": { "schema": problem }, "text/html": { "schema": text() } });
                json!({ "description": "a page that says so, or a problem", "content": content })
            }
            _ => json!({ "$ref": format!("#/components/responses/{status}") }),
        };
    }
    responses
}

/// What an answer leads to: the questions about what it names.
fn links(route: &Route) -> Value {
    let named: &[(&str, &str)] = match route.name {
        "systems" => &[("system", "$response.body#/0/system")],
        "runs" => &[("system", "$request.path.system"), ("run", "$response.body#/items/0/id")],
        "logs" => &[
            ("system", "$request.path.system"),
            ("run", "$request.path.run"),
            ("step", "$response.body#/steps/0/step"),
        ],
        "targets" => &[
            ("system", "$request.path.system"),
            ("target", "$response.body#/0/target"),
            ("stage", "$response.body#/0/stage"),
        ],
        _ => return json!({}),
    };
    let parts: Vec<&str> = named.iter().map(|(part, _)| *part).collect();
    let parameters: Map<String, Value> = named.iter().map(|(part, from)| ((*part).to_owned(), json!(from))).collect();
    let led_to = ROUTES.iter().filter(|other| other.parts().eq(parts.iter().copied()));
    let link = |other: &&Route| (other.name.to_owned(), json!({ "operationId": other.name, "parameters": parameters }));
    Value::Object(led_to.map(link).collect())
}

/// The statuses of the problems that a route may answer with.
fn statuses(route: &Route) -> Vec<u16> {
    let of_all: &[u16] = &[400, 421, 429, 500, 503];
    let of_people: &[u16] = if route.needs == Needs::Nothing { &[] } else { &[401, 403] };
    let of_systems: &[u16] = if route.path.contains("/systems") || !route.query.is_empty() { &[404, 413] } else { &[] };
    let of_posts: &[u16] = if route.method == Method::Post { &[403, 408, 413] } else { &[408, 413] };
    let mut all = [of_all, of_people, of_systems, of_posts, route.problems].concat();
    all.sort_unstable();
    all.dedup();
    all
}

/// What the answer to each kind of problem is.
fn problems(schema: &Value) -> Value {
    use ProblemKind as K;
    let kinds = [
        K::BadRequest,
        K::NotSignedIn,
        K::Forbidden,
        K::NotFound,
        K::MethodNotAllowed,
        K::TooSlow,
        K::Refused,
        K::Moved,
        K::TooLong,
        K::NoJson,
        K::NoSuchRange,
        K::OtherHost,
        K::Invalid,
        K::TooMuch,
        K::Broken,
        K::Unavailable,
    ];
    let answers = kinds.map(|kind| {
        let (status, title) = kind.status();
        let answer = json!({ "description": title, "content": { "application/problem+json": { "schema": schema } } });
        (status.to_string(), answer)
    });
    Value::Object(answers.into_iter().collect())
}
