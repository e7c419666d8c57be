//! Deployments and their statuses.

use serde_json::{Value, json};

use super::{
    super::state::{Repository, State},
    Call, Reply, taken,
};

/// Newest first.
pub(super) fn list(state: &State, call: &Call<'_>, id: u64) -> Reply {
    let fits = |it: &&Value| {
        ["sha", "ref", "task", "environment"]
            .iter()
            .all(|member| call.query.get(*member).is_none_or(|wanted| it[*member] == wanted.as_str()))
    };
    let all = state.repositories[&id].deployments.iter().rev().filter(fits).cloned().collect();
    call.page(state, all, None)
}

pub(super) fn create(state: &mut State, call: &Call<'_>, id: u64) -> Reply {
    // Both defaults surprise: the first merges, the second refuses what has statuses that failed or are to come.
    if call.body.get("auto_merge") != Some(&false.into()) {
        return Reply::ok(202, json!({ "message": "Auto-merged master into topic-branch on deployment." }));
    }
    if call.body.get("required_contexts") != Some(&json!([])) {
        return Reply::refused(409, "Conflict: Commit status checks failed for the ref.");
    }
    let (number, at) = (state.number(), state.now_text());
    let environment = call.body.get("environment").cloned().unwrap_or("production".into());
    let members = ["ref", "task", "payload", "description", "transient_environment", "production_environment"];
    let mut deployment = taken(call.operation.example(201), &call.body, &members);
    deployment["id"] = number.into();
    deployment["sha"] = call.body["ref"].clone();
    deployment["environment"] = environment.clone();
    deployment["original_environment"] = environment;
    deployment["created_at"] = at.clone().into();
    deployment["updated_at"] = at.into();
    state.repositories.get_mut(&id).unwrap().deployments.push(deployment.clone());
    Reply::ok(201, deployment)
}

pub(super) fn statuses(state: &State, call: &Call<'_>, id: u64) -> Reply {
    let repository = &state.repositories[&id];
    let number = call.id("deployment_id");
    if !repository.deployments.iter().any(|it| it["id"] == number) {
        return Reply::refused(404, "Not Found");
    }
    let all = repository.deployment_statuses.get(&number).into_iter().flatten().rev().cloned().collect();
    call.page(state, all, None)
}

pub(super) fn add_status(state: &mut State, call: &Call<'_>, id: u64) -> Reply {
    let (status_id, number, at) = (state.number(), call.id("deployment_id"), state.now_text());
    let repository = state.repositories.get_mut(&id).unwrap();
    let Some(deployment) = repository.deployments.iter().find(|it| it["id"] == number).cloned() else {
        return Reply::refused(404, "Not Found");
    };
    if call.body["description"].as_str().is_some_and(|text| text.chars().count() > 140) {
        return Reply::refused(422, "Validation Failed");
    }
    let members = ["state", "description", "environment", "environment_url", "log_url"];
    let mut status = taken(call.operation.example(201), &call.body, &members);
    status["id"] = status_id.into();
    status["environment"] = deployment["environment"].clone();
    status["log_url"] = call.body.get("log_url").cloned().unwrap_or("".into());
    status["environment_url"] = call.body.get("environment_url").cloned().unwrap_or("".into());
    (status["created_at"], status["updated_at"]) = (at.clone().into(), at.into());
    if call.body["state"] == "success" && call.body.get("auto_inactive") != Some(&false.into()) {
        deactivate_others(repository, &deployment, &status);
    }
    repository.deployment_statuses.entry(number).or_default().push(status.clone());
    Reply::ok(201, status)
}

/// What GitHub does by itself where something took the place of another, unless its users are there.
fn deactivate_others(repository: &mut Repository, deployment: &Value, status: &Value) {
    let is_other = |it: &&Value| {
        it["environment"] == deployment["environment"]
            && it["id"] != deployment["id"]
            && it["production_environment"] != true
            && it["transient_environment"] != true
    };
    let others: Vec<u64> =
        repository.deployments.iter().filter(is_other).map(|it| it["id"].as_u64().unwrap()).collect();
    for other in others {
        let statuses = repository.deployment_statuses.entry(other).or_default();
        if statuses.last().is_some_and(|last| last["state"] == "success") {
            let mut inactive = status.clone();
            inactive["state"] = "inactive".into();
            statuses.push(inactive);
        }
    }
}
