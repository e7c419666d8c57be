//! Accounts and teams.

use serde_json::Value;

use super::{
    super::state::{Asker, State},
    Call, Reply,
};

pub(super) fn user(state: &State, call: &Call<'_>) -> Reply {
    of(state, call, &call.given["username"])
}

pub(super) fn own(state: &State, call: &Call<'_>) -> Reply {
    match &call.asker {
        Asker::Person(login) => of(state, call, login),
        Asker::Installation(_) => Reply::refused(403, "Resource not accessible by integration"),
        _ => Reply::refused(401, "Requires authentication"),
    }
}

fn of(state: &State, call: &Call<'_>, login: &str) -> Reply {
    let Some(account) = state.account(login) else { return Reply::refused(404, "Not Found") };
    let mut user = call.operation.example(200);
    for (name, value) in state.simple_user(&account.login, call.pages).as_object().unwrap() {
        user[name.as_str()] = value.clone();
    }
    Reply::ok(200, user)
}

pub(super) fn rate_limit(state: &State, call: &Call<'_>) -> Reply {
    let mut limits = call.operation.example(200);
    for of in ["/resources/core", "/rate"] {
        let core = limits.pointer_mut(of).unwrap();
        core["limit"] = 5_000.into();
        core["remaining"] = state.quota.into();
        core["used"] = (5_000 - state.quota).into();
        core["reset"] = (state.now().timestamp() + 600).into();
    }
    Reply::ok(200, limits)
}

pub(super) fn members(state: &State, call: &Call<'_>) -> Reply {
    let (organization, slug) = (&call.given["org"], &call.given["team_slug"]);
    let may = match &call.asker {
        Asker::Installation(id) => state.installations.get(id).is_some_and(|it| {
            it.owner.eq_ignore_ascii_case(organization) && it.permissions.contains_key("members") && !it.suspended
        }),
        Asker::Person(_) => true,
        _ => return Reply::refused(401, "Requires authentication"),
    };
    let team = state
        .teams
        .iter()
        .find(|((of, name), _)| of.eq_ignore_ascii_case(organization) && name.eq_ignore_ascii_case(slug));
    let Some((_, members)) = team.filter(|_| may) else { return Reply::refused(404, "Not Found") };
    let all: Vec<Value> = members
        .iter()
        .map(|login| {
            let mut member = state.simple_user(login, call.pages);
            (member["role"], member["inherited"]) = ("member".into(), false.into());
            member
        })
        .collect();
    call.page(state, all, None)
}
