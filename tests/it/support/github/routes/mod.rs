//! What is answered, by the template of the path.

mod apps;
mod checks;
mod deployments;
mod manifests;
mod people;
mod repositories;
mod statuses;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{
    super::http::Request,
    description::Operation,
    state::{Asker, Repository, State},
};

/// A request, taken apart.
pub(super) struct Call<'call> {
    operation: &'call Operation<'call>,
    /// What stands for each placeholder of the template.
    given: BTreeMap<String, String>,
    query: BTreeMap<String, String>,
    body: Value,
    asker: Asker,
    /// The address of the pages.
    pages: &'call str,
    path: &'call str,
}

pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Value,
    /// What is delivered again once this is answered: GUID, event and payload.
    pub(super) redelivers: Option<(String, String, Value)>,
}

/// What an installation needs for what is below a repository: the beginning of the rest of the path, and the permission.
const NEEDS: [(&str, &str); 7] = [
    ("/check-runs", "checks"),
    ("/deployments", "deployments"),
    ("/statuses", "statuses"),
    ("/activity", "contents"),
    ("/rules", "metadata"),
    ("/collaborators", "metadata"),
    ("/commits", "statuses"),
];

/// What GitHub answers.
pub(super) fn answer(state: &mut State, call: &Call<'_>) -> Reply {
    let template = call.operation.template.as_str();
    match (call.operation.method.as_str(), template) {
        ("post", "/app-manifests/{code}/conversions") => manifests::convert(state, call),
        ("get", "/app") => call.as_app(|| apps::app(state, call)),
        ("get", "/app/hook/config") => call.as_app(|| apps::hook(state, call)),
        ("get", "/app/hook/deliveries") => call.as_app(|| apps::deliveries(state, call)),
        ("post", "/app/hook/deliveries/{delivery_id}/attempts") => call.as_app(|| apps::redeliver(state, call)),
        ("get", "/app/installations") => call.as_app(|| apps::installations(state, call)),
        ("get", "/app/installations/{installation_id}") => call.as_app(|| apps::installation(state, call)),
        ("post", "/app/installations/{installation_id}/access_tokens") => call.as_app(|| apps::token(state, call)),
        ("get", "/repos/{owner}/{repo}/installation") => call.as_app(|| apps::of_repository(state, call)),
        ("get", "/orgs/{org}/installation" | "/users/{username}/installation") => {
            call.as_app(|| apps::of_owner(state, call))
        }
        ("get", "/users/{username}") => people::user(state, call),
        ("get", "/user") => people::own(state, call),
        ("get", "/rate_limit") => people::rate_limit(state, call),
        ("get", "/orgs/{org}/teams/{team_slug}/members") => people::members(state, call),
        (_, template) if template.starts_with("/repos/{owner}/{repo}") => below_repository(state, call),
        _ => Reply::refused(404, "Not Found"),
    }
}

/// What is below a repository, for whoever may see it.
fn below_repository(state: &mut State, call: &Call<'_>) -> Reply {
    let (owner, name) = (&call.given["owner"], &call.given["repo"]);
    let Some(repository) = state.called(owner, name) else {
        let Some(id) = state.moved.get(&format!("{owner}/{name}").to_lowercase()) else {
            return Reply::refused(404, "Not Found");
        };
        let rest = call.path.splitn(5, '/').nth(4).map_or_else(String::new, |rest| format!("/{rest}"));
        let query: String = form_urlencoded::Serializer::new(String::new()).extend_pairs(&call.query).finish();
        let query = if query.is_empty() { query } else { format!("?{query}") };
        let url = format!("{}/api/v3/repositories/{id}{rest}{query}", call.pages);
        let mut reply = Reply::refused(301, "Moved Permanently");
        reply.body["url"] = url.clone().into();
        reply.headers.push(("Location".to_owned(), url));
        return reply;
    };
    let id = repository.id;
    let rest = call.operation.template.trim_start_matches("/repos/{owner}/{repo}").to_owned();
    let is_write = call.operation.method != "get";
    if let Some(refused) = refused(state, call, repository, &rest, is_write) {
        return refused;
    }
    if repository.archived && is_write {
        return Reply::refused(403, "Repository was archived so is read-only.");
    }
    match (call.operation.method.as_str(), rest.as_str()) {
        ("get", "") => repositories::repository(state, call, id),
        ("get", "/collaborators/{username}/permission") => repositories::role(state, call, id),
        ("get", "/rules/branches/{branch}") => repositories::rules(state, call, id),
        ("get", "/activity") => repositories::activity(state, call, id),
        ("get", "/commits/{ref}/check-runs") => checks::of_commit(state, call, id),
        ("get", "/check-runs/{check_run_id}") => checks::one(state, call, id),
        ("post", "/check-runs") => checks::create(state, call, id),
        ("patch", "/check-runs/{check_run_id}") => checks::update(state, call, id),
        ("get", "/commits/{ref}/status") => statuses::combined(state, call, id),
        ("get", "/commits/{ref}/statuses") => statuses::of_commit(state, call, id),
        ("post", "/statuses/{sha}") => statuses::create(state, call, id),
        ("get", "/deployments") => deployments::list(state, call, id),
        ("post", "/deployments") => deployments::create(state, call, id),
        ("get", "/deployments/{deployment_id}/statuses") => deployments::statuses(state, call, id),
        ("post", "/deployments/{deployment_id}/statuses") => deployments::add_status(state, call, id),
        _ => Reply::refused(404, "Not Found"),
    }
}

/// Why whoever asks may not: what cannot be seen is not there, and a permission that lacks is named.
fn refused(state: &State, call: &Call<'_>, repository: &Repository, rest: &str, is_write: bool) -> Option<Reply> {
    match &call.asker {
        Asker::Nobody | Asker::App => Some(Reply::refused(401, "Requires authentication")),
        Asker::Person(login) => {
            let role = repository.roles.get(login).map(String::as_str);
            match role {
                None => Some(Reply::refused(404, "Not Found")),
                Some("read") if is_write => Some(Reply::refused(403, "Must have push access to repository")),
                Some(_) => None,
            }
        }
        Asker::Installation(id) => {
            let Some(installation) = state.installations.get(id).filter(|it| it.sees(repository)) else {
                return Some(Reply::refused(404, "Not Found"));
            };
            if installation.suspended {
                return Some(Reply::refused(403, "This installation has been suspended"));
            }
            let rest = if rest == "/commits/{ref}/check-runs" { "/check-runs" } else { rest };
            let (_, permission) = NEEDS.iter().find(|(begins, _)| rest.starts_with(begins))?;
            let level = if is_write { "write" } else { "read" };
            let granted = installation.permissions.get(*permission).map(String::as_str);
            if granted == Some("write") || (granted == Some("read") && !is_write) {
                return None;
            }
            let mut reply = Reply::refused(403, "Resource not accessible by integration");
            reply.headers.push(("X-Accepted-GitHub-Permissions".to_owned(), format!("{permission}={level}")));
            Some(reply)
        }
    }
}

impl<'call> Call<'call> {
    pub(super) fn new(
        operation: &'call Operation<'call>,
        path: &'call str,
        request: &Request,
        asker: Asker,
        pages: &'call str,
    ) -> Self {
        let pairs = operation.template.split('/').zip(path.split('/'));
        let given = pairs.filter_map(|(word, part)| {
            let decoded = form_urlencoded::parse(format!("x={}", part.replace('+', "%2B")).as_bytes())
                .next()
                .map(|(_, value)| value.into_owned())?;
            Some((word.strip_prefix('{')?.strip_suffix('}')?.to_owned(), decoded))
        });
        let query = form_urlencoded::parse(request.query.as_bytes()).into_owned().collect();
        let body = serde_json::from_slice(&request.body).unwrap_or(Value::Null);
        Self { operation, given: given.collect(), query, body, asker, pages, path }
    }

    fn as_app(&self, answer: impl FnOnce() -> Reply) -> Reply {
        if self.asker == Asker::App { answer() } else { Reply::refused(401, "A JSON web token could not be decoded") }
    }

    /// The number that stands for a placeholder.
    fn id(&self, name: &str) -> u64 {
        self.given[name].parse().unwrap_or(0)
    }

    /// The URL of the API of what is asked.
    fn api(&self, path: &str) -> String {
        format!("{}/api/v3{path}", self.pages)
    }

    /// The page that is asked for, with the links to others. `member` is where a list is not all of an answer.
    fn page(&self, state: &State, all: Vec<Value>, member: Option<&str>) -> Reply {
        let number = |name: &str| self.query.get(name).and_then(|value| value.parse::<usize>().ok());
        let size = number("per_page").unwrap_or(30).min(state.longest_page);
        let page = number("page").unwrap_or(1);
        let (total, pages) = (all.len(), all.len().div_ceil(size).max(1));
        let shown: Vec<Value> = all.into_iter().skip((page - 1) * size).take(size).collect();
        let body = match member {
            Some(member) => json!({ "total_count": total, member: shown }),
            None => shown.into(),
        };
        let mut reply = Reply::ok(200, body);
        if page < pages {
            let link = |page: usize, rel: &str| {
                let mut query = self.query.clone();
                query.insert("page".to_owned(), page.to_string());
                let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(&query).finish();
                format!("<{}?{query}>; rel=\"{rel}\"", self.api(self.path))
            };
            reply.headers.push(("Link".to_owned(), format!("{}, {}", link(page + 1, "next"), link(pages, "last"))));
        }
        reply
    }
}

impl Reply {
    pub(super) fn ok(status: u16, body: Value) -> Self {
        Self { status, headers: Vec::new(), body, redelivers: None }
    }

    pub(super) fn refused(status: u16, message: &str) -> Self {
        Self::ok(status, json!({ "message": message, "documentation_url": "https://docs.github.com/rest" }))
    }
}

/// Takes members of `from` over the example, where they are given.
fn taken(mut example: Value, from: &Value, members: &[&str]) -> Value {
    for member in members {
        if let Some(value) = from.get(member) {
            example[*member] = value.clone();
        }
    }
    example
}
