//! Check runs.

use serde_json::{Value, json};

use super::{super::state::State, Call, Reply, taken};

const MEMBERS: [&str; 8] =
    ["name", "head_sha", "external_id", "details_url", "status", "conclusion", "started_at", "completed_at"];

/// Those of a commit, by name: all, or the newest of each.
pub(super) fn of_commit(state: &State, call: &Call<'_>, id: u64) -> Reply {
    let name = call.query.get("check_name");
    let is_wanted = |run: &&Value| {
        run["head_sha"] == call.given["ref"].as_str() && name.is_none_or(|name| run["name"] == name.as_str())
    };
    let mut all: Vec<Value> =
        state.repositories[&id].check_runs.iter().rev().filter(is_wanted).map(without_actions).collect();
    if call.query.get("filter").is_none_or(|filter| filter == "latest") {
        let mut seen = Vec::new();
        all.retain(|run| {
            let is_new = !seen.contains(&run["name"]);
            seen.push(run["name"].clone());
            is_new
        });
    }
    call.page(state, all, Some("check_runs"))
}

pub(super) fn one(state: &State, call: &Call<'_>, id: u64) -> Reply {
    let number = call.id("check_run_id");
    let run = state.repositories[&id].check_runs.iter().find(|run| run["id"] == number);
    run.map_or_else(|| Reply::refused(404, "Not Found"), |run| Reply::ok(200, without_actions(run)))
}

pub(super) fn create(state: &mut State, call: &Call<'_>, id: u64) -> Reply {
    let number = state.number();
    let mut run = taken(call.operation.example(201), &call.body, &MEMBERS);
    run["id"] = number.into();
    run["conclusion"] = call.body.get("conclusion").cloned().unwrap_or(Value::Null);
    run["completed_at"] = call.body.get("completed_at").cloned().unwrap_or(Value::Null);
    run["status"] = call.body.get("status").cloned().unwrap_or("queued".into());
    run["external_id"] = call.body.get("external_id").cloned().unwrap_or("".into());
    run["url"] = call.api(&format!("/repos/x/x/check-runs/{number}")).into();
    run["app"]["id"] = state.app.id.into();
    run["app"]["slug"] = state.app.slug.clone().into();
    changed(&mut run, &call.body);
    state.repositories.get_mut(&id).unwrap().check_runs.push(run.clone());
    Reply::ok(201, without_actions(&run))
}

pub(super) fn update(state: &mut State, call: &Call<'_>, id: u64) -> Reply {
    let number = call.id("check_run_id");
    let runs = &mut state.repositories.get_mut(&id).unwrap().check_runs;
    let Some(run) = runs.iter_mut().find(|run| run["id"] == number) else { return Reply::refused(404, "Not Found") };
    // What is completed stays so; its conclusion may be another.
    let was_completed = run["status"] == "completed";
    *run = taken(run.clone(), &call.body, &MEMBERS);
    if was_completed {
        run["status"] = "completed".into();
    }
    changed(run, &call.body);
    Reply::ok(200, without_actions(run))
}

fn changed(run: &mut Value, body: &Value) {
    if !run["conclusion"].is_null() {
        run["status"] = "completed".into();
    }
    if let Some(output) = body.get("output") {
        let mut whole = json!({ "text": null, "annotations_count": 0, "annotations_url": run["url"] });
        whole = taken(whole, output, &["title", "summary", "text"]);
        run["output"] = whole;
    }
    // Kept for tests; GitHub does not tell them again.
    run["actions"] = body.get("actions").cloned().unwrap_or(Value::Null);
}

fn without_actions(run: &Value) -> Value {
    let mut run = run.clone();
    run.as_object_mut().unwrap().remove("actions");
    run
}
