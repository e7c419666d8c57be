//! Pages of GitHub for whoever sits at a browser: the one that takes the manifest of an App, and the one that installs it.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use super::{
    super::http::Request,
    description::Description,
    pages::{Page, fields, page, seen, sent_to, with_query},
    state::{Installation, State},
};

/// How long a code is good, in seconds.
const CODE_S: i64 = 3_600;
/// The members of a manifest, as GitHub documents them.
const MEMBERS: [&str; 12] = [
    "name",
    "url",
    "hook_attributes",
    "redirect_url",
    "callback_urls",
    "setup_url",
    "description",
    "public",
    "default_events",
    "default_permissions",
    "request_oauth_on_install",
    "setup_on_update",
];
/// The events that an App can choose, with the permission that each takes. Of its installations it is told unasked.
const EVENTS: [(&str, &str); 19] = [
    ("push", "contents"),
    ("create", "contents"),
    ("delete", "contents"),
    ("commit_comment", "contents"),
    ("pull_request", "pull_requests"),
    ("pull_request_review", "pull_requests"),
    ("pull_request_review_comment", "pull_requests"),
    ("check_run", "checks"),
    ("check_suite", "checks"),
    ("status", "statuses"),
    ("deployment_status", "deployments"),
    ("workflow_run", "actions"),
    ("issue_comment", "issues"),
    ("repository", "metadata"),
    ("member", "members"),
    ("membership", "members"),
    ("organization", "members"),
    ("team", "members"),
    ("team_add", "members"),
];

/// A manifest that somebody has sent, and where they come back from.
#[derive(Clone)]
pub(crate) struct Manifest {
    pub(crate) said: Value,
    pub(crate) owner: String,
    ends: DateTime<Utc>,
    /// Whether the button was pressed: then it is a code.
    is_code: bool,
    state: String,
}

/// Answers what is below `/settings/apps` and `/organizations/ORG/settings/apps`, and where Apps are installed.
pub(super) fn answer(state: &mut State, description: &Description, request: &Request, path: &str) -> Option<Page> {
    let (owner, rest) = match path.strip_prefix("/organizations/") {
        Some(rest) => {
            let (organization, rest) = rest.split_once('/')?;
            let known = state.account(organization).filter(|account| account.is_organization);
            let Some(known) = known else { return Some(seen(404, "There is no such organization")) };
            (known.login.clone(), format!("/{rest}"))
        }
        None => (state.browser.clone(), path.to_owned()),
    };
    match (request.method.as_str(), rest.as_str()) {
        ("POST", "/settings/apps/new") => Some(shown(state, description, request, &owner)),
        ("POST", "/settings/apps") => Some(made(state, request)),
        _ => installed(state, request, path),
    }
}

/// The page with the button. What is wrong with a manifest is said there.
fn shown(state: &mut State, description: &Description, request: &Request, owner: &str) -> Page {
    let manifest = fields(&request.body).remove("manifest").unwrap_or_default();
    let wrong = match serde_json::from_str::<Value>(&manifest) {
        Err(error) => vec![error.to_string()],
        Ok(said) => {
            let wrong = wrong(description, &said);
            if wrong.is_empty() {
                let query = fields(request.query.as_bytes());
                let (id, ends) = (state.number().to_string(), state.now() + TimeDelta::seconds(CODE_S));
                let name = said["name"].as_str().unwrap().to_owned();
                let mark = query.get("state").cloned().unwrap_or_default();
                let manifest = Manifest { said, owner: owner.to_owned(), ends, is_code: false, state: mark };
                state.manifests.insert(id.clone(), manifest);
                let says = format!("Create GitHub App {name} for {owner}");
                let action = request.path.trim_end_matches("/new");
                return page(&says, &[("action", action), ("draft", &id)]);
            }
            wrong
        }
    };
    state.wrong_manifests.extend(wrong.clone());
    seen(422, &format!("Invalid GitHub App configuration: {}", wrong.join("; ")))
}

/// Sends the browser back with a code.
fn made(state: &mut State, request: &Request) -> Page {
    let draft = fields(&request.body).remove("draft").unwrap_or_default();
    let Some(mut manifest) = state.manifests.remove(&draft) else { return seen(404, "There is no such draft") };
    let code = format!("c0de{:036}", state.number());
    manifest.is_code = true;
    let back =
        with_query(manifest.said["redirect_url"].as_str().unwrap(), &[("code", &code), ("state", &manifest.state)]);
    state.manifests.insert(code, manifest);
    sent_to(&back)
}

/// The page that installs an App, and what its button does.
fn installed(state: &mut State, request: &Request, path: &str) -> Option<Page> {
    let slug = path.strip_suffix("/installations/new")?.rsplit('/').next()?.to_owned();
    if slug != state.app.slug {
        return Some(seen(404, "There is no such App"));
    }
    let owner = state.app.owner.clone();
    if request.method == "GET" {
        return Some(page(&format!("Install {slug} for {owner}"), &[("action", path)]));
    }
    let (id, permissions) = (state.number(), state.app.permissions.clone());
    let installation = Installation { id, owner, suspended: false, permissions, repositories: None };
    state.installations.insert(id, installation);
    Some(seen(200, "It is installed"))
}

/// The App of a code, which is good once and for an hour.
pub(super) fn take(state: &mut State, code: &str) -> Option<Manifest> {
    let manifest = state.manifests.remove(code).filter(|manifest| manifest.is_code)?;
    (manifest.ends > state.now()).then_some(manifest)
}

/// What GitHub does not take in a manifest.
fn wrong(description: &Description, manifest: &Value) -> Vec<String> {
    let Some(members) = manifest.as_object() else { return vec!["it is no object".to_owned()] };
    let mut wrong: Vec<String> = members
        .keys()
        .filter(|member| !MEMBERS.contains(&member.as_str()))
        .map(|member| format!("`{member}` is not a member of it"))
        .collect();
    let url = |at: &str| manifest.pointer(at).and_then(Value::as_str).and_then(|url| reqwest::Url::parse(url).ok());
    if !manifest["name"].as_str().is_some_and(|name| (1..=34).contains(&name.chars().count())) {
        wrong.push("name is too long (maximum is 34 characters), or is not there".to_owned());
    }
    for at in ["/url", "/redirect_url", "/hook_attributes/url"] {
        if url(at).is_none() {
            wrong.push(format!("{at} must be a valid URL"));
        }
    }
    let hook = url("/hook_attributes/url");
    if hook.is_some_and(|hook| matches!(hook.host_str(), Some("localhost" | "127.0.0.1"))) {
        wrong.push("Hook url is not supported because it isn't reachable over the public Internet".to_owned());
    }
    if !manifest["hook_attributes"]["active"].is_boolean() || !manifest["public"].is_boolean() {
        wrong.push("`active` and `public` are true or false".to_owned());
    }
    wrong.extend(description.wrong_in("app-permissions", &manifest["default_permissions"]));
    let permissions = &manifest["default_permissions"];
    let known = description.members_of("app-permissions");
    for name in permissions.as_object().into_iter().flat_map(|all| all.keys()) {
        if !known.contains(name) {
            wrong.push(format!("default_permissions: there is no `{name}`"));
        }
    }
    let events = manifest["default_events"].as_array().cloned().unwrap_or_default();
    for event in events.iter().map(|event| event.as_str().unwrap_or_default()) {
        match EVENTS.iter().find(|(name, _)| *name == event) {
            None => wrong.push(format!("default_events: `{event}` is not supported")),
            Some((_, needs)) if permissions.get(needs).is_none() => {
                wrong.push(format!("default_events: `{event}` is not supported by these permissions"));
            }
            Some(_) => {}
        }
    }
    wrong
}

/// The permissions that a manifest asks for.
pub(super) fn permissions(manifest: &Value) -> BTreeMap<String, String> {
    let all = manifest["default_permissions"].as_object().unwrap().iter();
    all.map(|(name, level)| (name.clone(), level.as_str().unwrap().to_owned())).collect()
}

/// The events that it asks for.
pub(super) fn events(manifest: &Value) -> Vec<String> {
    manifest["default_events"].as_array().unwrap().iter().map(|event| event.as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_manifest_is_held_to_what_github_takes() {
    let good = json!({
        "name": "x", "url": "https://x.example", "redirect_url": "http://127.0.0.1:1/c", "public": false,
        "hook_attributes": { "url": "https://x.example/h", "active": false },
        "default_permissions": { "contents": "write" }, "default_events": ["push"],
    });
    let description = super::description::dot_com();
    assert_eq!(wrong(description, &good), Vec::<String>::new());
    for (at, bad) in [
        ("/name", json!("x".repeat(35))),
        ("/url", json!("x.example")),
        ("/hook_attributes/url", json!("http://localhost:1/h")),
        ("/default_permissions", json!({ "contents": "admin" })),
        ("/default_permissions", json!({ "contents": "write", "content": "write" })),
        ("/default_events", json!(["installation"])),
        ("/default_events", json!(["status"])),
    ] {
        let mut manifest = good.clone();
        *manifest.pointer_mut(at).unwrap() = bad;
        assert_eq!(wrong(description, &manifest).len(), 1, "{at}: {:?}", wrong(description, &manifest));
    }
}
