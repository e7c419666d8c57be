//! The App of a code that somebody brings back from the page of its manifest.

use serde_json::json;

use super::{
    super::{
        access::pem,
        manifest::{events, permissions, take},
        state::{App, State},
    },
    Call, Reply,
};

pub(super) fn convert(state: &mut State, call: &Call<'_>) -> Reply {
    let Some(manifest) = take(state, &call.given["code"]) else { return Reply::refused(404, "Not Found") };
    let said = &manifest.said;
    let slug = said["name"].as_str().unwrap().to_lowercase().replace(' ', "-");
    let (id, hook) = (state.number(), &said["hook_attributes"]);
    let webhook = (hook["active"] == true).then(|| (hook["url"].as_str().unwrap().to_owned(), format!("hook-{id}")));
    let callbacks = said["callback_urls"].as_array().into_iter().flatten();
    state.app = App {
        id,
        slug: slug.clone(),
        owner: manifest.owner.clone(),
        permissions: permissions(said),
        events: events(said),
        webhook,
        client_id: format!("Iv23li{id}"),
        client_secret: format!("c0ffee{id:034}"),
        callback_urls: callbacks.map(|url| url.as_str().unwrap().to_owned()).collect(),
    };
    let app = &state.app;
    let mut answer = call.operation.example(201);
    answer["id"] = id.into();
    answer["slug"] = slug.clone().into();
    answer["name"] = said["name"].clone();
    answer["owner"] = state.simple_user(&manifest.owner, call.pages);
    answer["external_url"] = said["url"].clone();
    answer["html_url"] = format!("{}/github-apps/{slug}", call.pages).into();
    answer["permissions"] = json!(app.permissions);
    answer["events"] = json!(app.events);
    answer["client_id"] = app.client_id.clone().into();
    answer["client_secret"] = app.client_secret.clone().into();
    answer["webhook_secret"] = json!(app.webhook.as_ref().map(|(_, secret)| secret));
    answer["pem"] = pem().into();
    Reply::ok(201, answer)
}
