//! The App: what it is, where it is installed, its tokens, its deliveries.

use chrono::{SecondsFormat, TimeDelta};
use serde_json::{Value, json};

use super::{
    super::state::{Asker, Installation, State, Token},
    Call, Reply,
};

pub(super) fn app(state: &State, call: &Call<'_>) -> Reply {
    let mut app = call.operation.example(200);
    app["id"] = state.app.id.into();
    app["slug"] = state.app.slug.clone().into();
    app["name"] = "Tidegate of acme".into();
    app["html_url"] = format!("{}/github-apps/{}", call.pages, state.app.slug).into();
    app["permissions"] = json!(state.app.permissions);
    app["events"] = json!(state.app.events);
    if state.account(&state.app.owner).is_some() {
        app["owner"] = state.simple_user(&state.app.owner, call.pages);
    }
    Reply::ok(200, app)
}

pub(super) fn hook(state: &State, call: &Call<'_>) -> Reply {
    let mut config = call.operation.example(200);
    let url = state.app.webhook.as_ref().map_or("", |(url, _)| url.as_str());
    config["url"] = url.into();
    Reply::ok(200, config)
}

/// Newest first, in pages that go on below the number of the last.
pub(super) fn deliveries(state: &State, call: &Call<'_>) -> Reply {
    let size: usize = call.query.get("per_page").map_or(30, |size| size.parse().unwrap()).min(state.longest_page);
    let below = match call.query.get("cursor").map(|cursor| cursor.trim_start_matches('v').parse::<u64>()) {
        Some(Err(_)) => return Reply::refused(400, "Invalid cursor"),
        Some(Ok(below)) => below,
        None => u64::MAX,
    };
    let older = state.deliveries.iter().rev().filter(|it| it.item["id"].as_u64().unwrap() < below);
    let mut items: Vec<Value> = older.map(|it| it.item.clone()).take(size + 1).collect();
    let has_more = items.len() > size;
    items.truncate(size);
    let last = items.last().map(|last| last["id"].clone());
    let mut reply = Reply::ok(200, items.into());
    if let Some(last) = last.filter(|_| has_more) {
        let next = call.api(&format!("/app/hook/deliveries?per_page={size}&cursor=v{last}"));
        reply.headers.push(("Link".to_owned(), format!("<{next}>; rel=\"next\"")));
    }
    reply
}

pub(super) fn redeliver(state: &State, call: &Call<'_>) -> Reply {
    let id = call.id("delivery_id");
    let Some(delivery) = state.deliveries.iter().find(|it| it.item["id"] == id) else {
        return Reply::refused(404, "Not Found");
    };
    let text = |member: &str| delivery.item[member].as_str().unwrap().to_owned();
    let mut reply = Reply::ok(202, json!({}));
    reply.redelivers = Some((text("guid"), text("event"), delivery.payload.clone()));
    reply
}

pub(super) fn installations(state: &State, call: &Call<'_>) -> Reply {
    let all = state.installations.values().map(|it| shown(state, call, it)).collect();
    call.page(state, all, None)
}

pub(super) fn installation(state: &State, call: &Call<'_>) -> Reply {
    found(state, call, state.installations.get(&call.id("installation_id")))
}

pub(super) fn of_repository(state: &State, call: &Call<'_>) -> Reply {
    let (owner, name) = (&call.given["owner"], &call.given["repo"]);
    let Some(repository) = state.called(owner, name) else {
        return match state.moved.get(&format!("{owner}/{name}").to_lowercase()) {
            Some(id) => {
                let url = call.api(&format!("/repositories/{id}/installation"));
                let mut reply = Reply::refused(301, "Moved Permanently");
                reply.body["url"] = url.clone().into();
                reply.headers.push(("Location".to_owned(), url));
                reply
            }
            None => Reply::refused(404, "Not Found"),
        };
    };
    found(state, call, state.installations.values().find(|it| it.sees(repository)))
}

pub(super) fn of_owner(state: &State, call: &Call<'_>) -> Reply {
    let owner = call.given.get("org").unwrap_or_else(|| &call.given["username"]);
    found(state, call, state.installations.values().find(|it| it.owner.eq_ignore_ascii_case(owner)))
}

/// A token that ends an hour from now, by GitHub's clock.
pub(super) fn token(state: &mut State, call: &Call<'_>) -> Reply {
    let id = call.id("installation_id");
    let Some(installation) = state.installations.get(&id).cloned() else { return Reply::refused(404, "Not Found") };
    if installation.suspended {
        return Reply::refused(403, "This installation has been suspended");
    }
    let text = format!("ghs_{}", state.number());
    let ends = state.now() + TimeDelta::hours(1);
    let mut answer = call.operation.example(201);
    answer["token"] = text.clone().into();
    answer["expires_at"] = ends.to_rfc3339_opts(SecondsFormat::Secs, true).into();
    answer["permissions"] = json!(installation.permissions);
    answer.as_object_mut().unwrap().remove("repositories");
    state.tokens.insert(text, Token { of: Asker::Installation(id), ends });
    Reply::ok(201, answer)
}

fn found(state: &State, call: &Call<'_>, installation: Option<&Installation>) -> Reply {
    match installation {
        Some(installation) => Reply::ok(200, shown(state, call, installation)),
        None => Reply::refused(404, "Not Found"),
    }
}

fn shown(state: &State, call: &Call<'_>, installation: &Installation) -> Value {
    let example = call.operation.example(200);
    let mut shown = example.get(0).cloned().unwrap_or(example);
    shown["id"] = installation.id.into();
    shown["account"] = state.simple_user(&installation.owner, call.pages);
    shown["app_id"] = state.app.id.into();
    shown["app_slug"] = state.app.slug.clone().into();
    shown["html_url"] =
        format!("{}/organizations/{}/settings/installations/{}", call.pages, installation.owner, installation.id)
            .into();
    shown["permissions"] = json!(installation.permissions);
    shown["events"] = json!(state.app.events);
    let selection = if installation.repositories.is_some() { "selected" } else { "all" };
    shown["repository_selection"] = selection.into();
    shown["suspended_at"] = if installation.suspended { state.now_text().into() } else { Value::Null };
    shown
}
