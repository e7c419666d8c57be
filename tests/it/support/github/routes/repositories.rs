//! A repository: what it is, who may do what, what its branches demand, who pushed.

use serde_json::{Value, json};

use super::{super::state::State, Call, Reply};

pub(super) fn repository(state: &State, call: &Call<'_>, id: u64) -> Reply {
    let repository = &state.repositories[&id];
    let mut shown = call.operation.example(200);
    shown["id"] = id.into();
    shown["name"] = repository.name.clone().into();
    shown["full_name"] = repository.full_name().into();
    shown["owner"] = state.simple_user(&repository.owner, call.pages);
    shown["private"] = repository.private.into();
    shown["archived"] = repository.archived.into();
    shown["html_url"] = format!("{}/{}", call.pages, repository.full_name()).into();
    shown["clone_url"] = format!("{}/{}.git", call.pages, repository.full_name()).into();
    // The example lacks what its schema demands, here and in what it was forked from.
    shown["language"] = Value::Null;
    for of in ["source", "parent"] {
        shown.as_object_mut().unwrap().remove(of);
    }
    Reply::ok(200, shown)
}

pub(super) fn role(state: &State, call: &Call<'_>, id: u64) -> Reply {
    let Some(account) = state.account(&call.given["username"]) else { return Reply::refused(404, "Not Found") };
    let roles = &state.repositories[&id].roles;
    let role = roles.iter().find(|(login, _)| login.eq_ignore_ascii_case(&account.login));
    let role = role.map_or("none", |(_, role)| role.as_str());
    // The older member knows four words only.
    let permission = match role {
        "maintain" => "write",
        "triage" => "read",
        other => other,
    };
    let may = |levels: &[&str]| levels.contains(&role);
    let mut user = state.simple_user(&account.login, call.pages);
    user["permissions"] = json!({
        "admin": may(&["admin"]), "maintain": may(&["admin", "maintain"]), "push": may(&["admin", "maintain", "write"]),
        "triage": may(&["admin", "maintain", "write", "triage"]), "pull": role != "none",
    });
    user["role_name"] = role.into();
    Reply::ok(200, json!({ "permission": permission, "role_name": role, "user": user }))
}

pub(super) fn rules(state: &State, call: &Call<'_>, id: u64) -> Reply {
    let rules = state.repositories[&id].rules.get(&call.given["branch"]).cloned().unwrap_or_default();
    call.page(state, rules, None)
}

/// Newest first, in pages that go on after a cursor.
pub(super) fn activity(state: &State, call: &Call<'_>, id: u64) -> Reply {
    let wanted = call.query.get("ref").map(|name| match name.strip_prefix("refs/heads/") {
        Some(_) => name.clone(),
        None => format!("refs/heads/{name}"),
    });
    let is_wanted = |it: &&Value| wanted.as_ref().is_none_or(|wanted| it["ref"] == wanted.as_str());
    let all: Vec<Value> = state.repositories[&id].activity.iter().rev().filter(is_wanted).cloned().collect();
    let size: usize = call.query.get("per_page").map_or(30, |size| size.parse().unwrap()).min(state.longest_page);
    let begin: usize = call.query.get("after").map_or(0, |after| after.parse().unwrap());
    let shown: Vec<Value> = all.iter().skip(begin).take(size).cloned().collect();
    let mut reply = Reply::ok(200, shown.into());
    if begin + size < all.len() {
        let mut query = call.query.clone();
        query.insert("after".to_owned(), (begin + size).to_string());
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(&query).finish();
        reply.headers.push(("Link".to_owned(), format!("<{}?{query}>; rel=\"next\"", call.api(call.path))));
    }
    reply
}
