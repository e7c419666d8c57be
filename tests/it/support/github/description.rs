//! GitHub's own description of its API, which says what may be asked and what is answered: not our opinion of it.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex, OnceLock},
};

use jsonschema::Validator;
use serde_json::{Map, Value, json};

use super::super::http::Request;

/// Where `scripts/test` puts the descriptions.
const FOLDER: &str = "target/tools/openapi-23.0.2/generated";

/// A description, and what was made ready of it.
pub(crate) struct Description {
    document: Value,
    /// By the first part of a path's template: the templates.
    templates: BTreeMap<String, Vec<String>>,
    validators: Mutex<BTreeMap<String, Arc<Validator>>>,
}

/// What is described of one method of one path.
pub(crate) struct Operation<'description> {
    of: &'description Description,
    pub(crate) method: String,
    pub(crate) template: String,
    described: &'description Value,
}

/// Enterprise Server's, read once in a process.
pub(crate) fn enterprise() -> &'static Description {
    static READ: OnceLock<Description> = OnceLock::new();
    READ.get_or_init(|| Description::read("ghes-3.19.json"))
}

/// github.com's, likewise.
pub(crate) fn dot_com() -> &'static Description {
    static READ: OnceLock<Description> = OnceLock::new();
    READ.get_or_init(|| Description::read("api.github.com.json"))
}

impl Description {
    fn read(name: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(FOLDER).join(name);
        let text = std::fs::read(&path).unwrap_or_else(|error| {
            panic!("GitHub's description of its API is not at {} ({error}): `scripts/test` fetches it", path.display())
        });
        let document: Value = serde_json::from_slice(&text).unwrap();
        let mut templates: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for template in document["paths"].as_object().unwrap().keys() {
            templates.entry(first(template).to_owned()).or_default().push(template.clone());
        }
        Self { document, templates, validators: Mutex::default() }
    }

    /// What is described of a request below the API's address; none where no path fits. Words win over placeholders.
    pub(crate) fn operation(&self, method: &str, path: &str) -> Option<Operation<'_>> {
        let method = method.to_lowercase();
        let fits = |template: &&String| {
            let (mut parts, mut words) = (path.split('/'), template.split('/'));
            loop {
                match (parts.next(), words.next()) {
                    (None, None) => return true,
                    (Some(part), Some(word)) if part == word || (word.starts_with('{') && !part.is_empty()) => {}
                    _ => return false,
                }
            }
        };
        let templates = self.templates.get(first(path))?;
        let template = templates.iter().filter(fits).min_by_key(|template| template.matches('{').count())?;
        let described = self.document["paths"][template].get(&method)?;
        Some(Operation { of: self, method, template: template.clone(), described })
    }

    /// What a schema of the description does not know of a value.
    pub(crate) fn wrong_in(&self, schema: &str, value: &Value) -> Vec<String> {
        self.errors(schema.to_owned(), &self.document["components"]["schemas"][schema], value)
    }

    /// The members that a schema knows.
    pub(crate) fn members_of(&self, schema: &str) -> Vec<String> {
        let members = self.document["components"]["schemas"][schema]["properties"].as_object().unwrap();
        members.keys().cloned().collect()
    }

    fn resolve<'value>(&'value self, value: &'value Value) -> &'value Value {
        match value.get("$ref").and_then(Value::as_str) {
            Some(reference) => self.resolve(self.document.pointer(reference.trim_start_matches('#')).unwrap()),
            None => value,
        }
    }

    fn errors(&self, name: String, schema: &Value, value: &Value) -> Vec<String> {
        let known = self.validators.lock().unwrap().get(&name).cloned();
        let validator = known.unwrap_or_else(|| {
            let mut definitions = Map::new();
            let mut whole = self.plain(schema, &mut definitions);
            whole["$defs"] = definitions.into();
            let validator = jsonschema::draft202012::new(&whole);
            let validator = Arc::new(validator.unwrap_or_else(|error| panic!("{name}: {error}")));
            self.validators.lock().unwrap().insert(name.clone(), validator.clone());
            validator
        });
        validator.iter_errors(value).map(|error| format!("{name}: at `{}`: {error}", error.instance_path())).collect()
    }

    /// A schema of OpenAPI 3.0 as one of JSON Schema: `nullable`, and references into `$defs`.
    fn plain(&self, schema: &Value, definitions: &mut Map<String, Value>) -> Value {
        let Some(members) = schema.as_object() else { return schema.clone() };
        if let Some(reference) = members.get("$ref").and_then(Value::as_str) {
            let name = reference.trim_start_matches("#/components/schemas/").to_owned();
            if !definitions.contains_key(&name) {
                definitions.insert(name.clone(), Value::Null);
                let target = self.document.pointer(reference.trim_start_matches('#')).unwrap();
                let plain = self.plain(target, definitions);
                definitions.insert(name.clone(), plain);
            }
            return json!({ "$ref": format!("#/$defs/{name}") });
        }
        let mut plain = Map::new();
        for (name, value) in members {
            let value = match name.as_str() {
                "nullable" | "description" | "example" | "examples" | "title" | "default" | "discriminator"
                | "format" | "deprecated" | "externalDocs" | "readOnly" => continue,
                "properties" => {
                    let each = value.as_object().unwrap().iter();
                    each.map(|(name, of)| (name.clone(), self.plain(of, definitions))).collect::<Map<_, _>>().into()
                }
                "items" | "additionalProperties" | "not" => self.plain(value, definitions),
                "allOf" | "anyOf" | "oneOf" => {
                    value.as_array().unwrap().iter().map(|of| self.plain(of, definitions)).collect()
                }
                _ => value.clone(),
            };
            // Who an App is installed at is a user or an enterprise; the description says both at once, which its own example is not.
            let is_either =
                name == "allOf" && members["allOf"].as_array().unwrap().iter().any(|of| of["title"] == "Enterprise");
            plain.insert(if is_either { "anyOf".to_owned() } else { name.clone() }, value);
        }
        if members.get("nullable") == Some(&Value::Bool(true)) {
            return json!({ "anyOf": [{ "type": "null" }, plain] });
        }
        plain.into()
    }
}

impl Operation<'_> {
    /// What the description does not know of a request.
    pub(crate) fn wrong_in_request(&self, request: &Request) -> Vec<String> {
        let mut wrong = self.wrong_in_query(&request.query);
        let Some(described) = self.described.get("requestBody").map(|body| self.of.resolve(body)) else {
            if !request.body.is_empty() && request.body != b"{}" {
                wrong.push(format!("{} {}: takes no body", self.method, self.template));
            }
            return wrong;
        };
        if request.body.is_empty() {
            if described["required"] == true {
                wrong.push(format!("{} {}: has no body", self.method, self.template));
            }
            return wrong;
        }
        let Ok(body) = serde_json::from_slice::<Value>(&request.body) else {
            wrong.push(format!("{} {}: the body is no JSON", self.method, self.template));
            return wrong;
        };
        let schema = &described["content"]["application/json"]["schema"];
        let name = format!("{} {} request", self.method, self.template);
        let mut known = Vec::new();
        self.members(schema, &mut known);
        if let Some(members) = body.as_object().filter(|_| !known.is_empty()) {
            let unknown = members.keys().filter(|member| !known.contains(member));
            wrong.extend(unknown.map(|member| format!("{name}: `{member}` is not a member of it")));
        }
        wrong.extend(self.of.errors(name, schema, &body));
        wrong
    }

    /// What the description does not know of an answer.
    pub(crate) fn wrong_in_answer(&self, status: u16, body: &Value) -> Vec<String> {
        let name = format!("{} {} {status}", self.method, self.template);
        let Some(described) = self.described["responses"].get(status.to_string()) else {
            // What goes wrong, and where a repository went, is often not described.
            let is_error = status >= 300 && body["message"].is_string();
            return if is_error { Vec::new() } else { vec![format!("{name}: no such answer")] };
        };
        let described = self.of.resolve(described);
        match described["content"].get("application/json") {
            Some(content) => self.of.errors(name, &content["schema"], body),
            None if body.is_null() || status >= 400 => Vec::new(),
            None => vec![format!("{name}: has no body")],
        }
    }

    /// The example that GitHub gives of an answer.
    pub(crate) fn example(&self, status: u16) -> Value {
        let described = self.of.resolve(&self.described["responses"][status.to_string()]);
        let examples = described["content"]["application/json"]["examples"].as_object().unwrap();
        self.of.resolve(examples.values().next().unwrap())["value"].clone()
    }

    fn wrong_in_query(&self, query: &str) -> Vec<String> {
        let empty = Vec::new();
        let parameters = self.described["parameters"].as_array().unwrap_or(&empty);
        let parameters: Vec<&Value> = parameters.iter().map(|parameter| self.of.resolve(parameter)).collect();
        let mut wrong = Vec::new();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let described =
                parameters.iter().find(|parameter| parameter["in"] == "query" && parameter["name"] == *name);
            let Some(described) = described else {
                wrong.push(format!("{} {}: no parameter `{name}`", self.method, self.template));
                continue;
            };
            let schema = self.of.resolve(&described["schema"]);
            let value = match schema["type"].as_str() {
                Some("integer" | "number") => value.parse::<i64>().map_or(Value::from(value.as_ref()), Value::from),
                _ => Value::from(value.as_ref()),
            };
            let of = format!("{} {} parameter {name}", self.method, self.template);
            wrong.extend(self.of.errors(of, &described["schema"], &value));
            if name == "per_page" && value.as_i64().is_none_or(|count| !(1..=100).contains(&count)) {
                wrong.push(format!("{} {}: {value} a page, and 100 is the most", self.method, self.template));
            }
        }
        wrong
    }

    fn members<'value>(&'value self, schema: &'value Value, known: &mut Vec<&'value String>) {
        let schema = self.of.resolve(schema);
        known.extend(schema["properties"].as_object().into_iter().flat_map(Map::keys));
        for kind in ["allOf", "anyOf", "oneOf"] {
            schema[kind].as_array().into_iter().flatten().for_each(|of| self.members(of, known));
        }
    }
}

fn first(path: &str) -> &str {
    path.split('/').nth(1).unwrap_or_default()
}

#[test]
fn the_examples_of_github_are_as_its_description_says() {
    // What answers are made of. Those of other paths are not used, and some contradict their schemas.
    let used = [
        ("GET", "/app", 200),
        ("GET", "/app/hook/config", 200),
        ("GET", "/app/hook/deliveries", 200),
        ("GET", "/app/installations", 200),
        ("GET", "/users/ada", 200),
        ("GET", "/rate_limit", 200),
        ("GET", "/orgs/acme/teams/release/members", 200),
        ("GET", "/repos/acme/shop/commits/main/statuses", 200),
        ("POST", "/app/installations/1/access_tokens", 201),
        ("POST", "/repos/acme/shop/check-runs", 201),
        ("POST", "/repos/acme/shop/deployments", 201),
    ];
    for (method, path, status) in used {
        let operation = enterprise().operation(method, path).unwrap();
        let wrong = operation.wrong_in_answer(status, &operation.example(status));
        assert!(wrong.is_empty(), "{wrong:#?}");
    }
    assert!(enterprise().operation("GET", "/repos/acme/shop/nothing").is_none());
}
