//! Statuses of commits.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{
    super::state::{Asker, State},
    Call, Reply, taken,
};

pub(super) fn of_commit(state: &State, call: &Call<'_>, id: u64) -> Reply {
    let statuses = state.repositories[&id].statuses.get(&call.given["ref"]);
    let all = statuses.into_iter().flatten().rev().cloned().collect();
    call.page(state, all, None)
}

/// The newest of each context.
pub(super) fn combined(state: &State, call: &Call<'_>, id: u64) -> Reply {
    let repository = &state.repositories[&id];
    let commit = &call.given["ref"];
    let mut seen = BTreeSet::new();
    let newest: Vec<Value> = repository
        .statuses
        .get(commit)
        .into_iter()
        .flatten()
        .rev()
        .filter(|status| seen.insert(status["context"].as_str().unwrap().to_lowercase()))
        .map(|status| {
            let mut status = status.clone();
            status.as_object_mut().unwrap().remove("creator");
            status
        })
        .collect();
    let mut reply = call.page(state, newest, Some("statuses"));
    let is =
        |word: &str| seen.is_empty() || reply.body["statuses"].as_array().unwrap().iter().any(|it| it["state"] == word);
    let whole = if is("failure") || is("error") {
        "failure"
    } else if is("pending") {
        "pending"
    } else {
        "success"
    };
    let example = call.operation.example(200);
    let mut shown = example["repository"].clone();
    shown["id"] = id.into();
    shown["full_name"] = repository.full_name().into();
    reply.body = json!({
        "state": whole, "sha": commit, "total_count": reply.body["total_count"], "statuses": reply.body["statuses"],
        "repository": shown, "commit_url": example["commit_url"], "url": example["url"],
    });
    reply
}

pub(super) fn create(state: &mut State, call: &Call<'_>, id: u64) -> Reply {
    let (number, at, most) = (state.number(), state.now_text(), state.most_statuses);
    let mut status = taken(call.operation.example(201), &call.body, &["state", "target_url", "description"]);
    status["id"] = number.into();
    status["context"] = call.body.get("context").cloned().unwrap_or("default".into());
    status["created_at"] = at.clone().into();
    status["updated_at"] = at.into();
    if let Asker::Person(login) = &call.asker {
        status["creator"] = state.simple_user(login, call.pages);
    }
    let all = state.repositories.get_mut(&id).unwrap().statuses.entry(call.given["sha"].clone()).or_default();
    if all.iter().filter(|it| it["context"] == status["context"]).count() >= most {
        let message = "Validation Failed";
        let mut reply = Reply::refused(422, message);
        let why = "This SHA and context has reached the maximum number of statuses.";
        reply.body["errors"] = json!([{ "resource": "Status", "code": "custom", "message": why }]);
        return reply;
    }
    all.push(status.clone());
    Reply::ok(201, status)
}
