//! What is asked.

use serde_json::{Value, json};
use tidegate::providers::{
    commit_status::{CommitStatus, CommitStatuses as _},
    forge::{Account, Forge as _, RepositoryRole, Team, statuses::ForgeStatuses},
};

use super::{COMMIT, given_up, installed, shop, with_token};

fn team(slug: &str) -> Team {
    Team { organization: "acme".to_owned(), slug: slug.to_owned() }
}

#[tokio::test]
async fn a_login_is_whose_it_is_now_and_what_is_none_is_not_asked_for() {
    let (fake, github) = installed().await;
    let id = fake.user("Ada");
    let ada = Some(Account { id, login: "Ada".to_owned() });
    assert_eq!(github.account("ada").await.unwrap(), ada, "logins are the same in capitals");
    assert_eq!(github.account("nobody").await.unwrap(), None);
    let before = fake.requests().len();
    for none in ["", "..", "a/b", "../app", "ada?x=1", "a b"] {
        assert_eq!(github.account(none).await.unwrap(), None, "{none}");
    }
    assert_eq!(fake.requests().len(), before);
}

#[tokio::test]
async fn a_role_is_of_four_whatever_it_is_called() {
    let (fake, github) = installed().await;
    for (login, role) in [("ada", "admin"), ("bob", "write"), ("cyd", "read"), ("dan", "maintain"), ("eve", "triage")] {
        fake.grant("acme/shop", login, role);
    }
    fake.user("fay");
    for (login, role) in [
        ("ada", RepositoryRole::Admin),
        ("bob", RepositoryRole::Write),
        ("cyd", RepositoryRole::Read),
        ("dan", RepositoryRole::Write),
        ("eve", RepositoryRole::Read),
        ("fay", RepositoryRole::None),
        ("nobody", RepositoryRole::None),
    ] {
        assert_eq!(github.role(&shop(), login).await.unwrap(), role, "{login}");
    }
    fake.state().repository("acme/shop").name = "gone".to_owned();
    let fault = github.role(&shop(), "ada").await.unwrap_err();
    assert!(given_up(&fault).contains("may not see it"), "a repository that is not there is no right of none: {fault}");
}

#[tokio::test]
async fn members_are_read_to_the_last_page_below_the_address_of_enterprise() {
    let (fake, github) = installed().await;
    let logins: Vec<String> = (0..7).map(|number| format!("member-{number}")).collect();
    let members: Vec<&str> = logins.iter().map(String::as_str).collect();
    fake.organization("acme", &[("release", &members), ("empty", &[])]);
    fake.state().longest_page = 3;
    let told = github.members(&team("release")).await.unwrap();
    assert_eq!(told.iter().map(|account| account.login.as_str()).collect::<Vec<_>>(), members);
    assert!(told.iter().all(|account| account.id > 0));
    assert_eq!(fake.count("GET /orgs/acme/teams/release/members"), 3);
    assert_eq!(github.members(&team("empty")).await.unwrap(), []);
    assert!(given_up(&github.members(&team("none")).await.unwrap_err()).contains("no team acme/none"));
}

#[tokio::test]
async fn a_status_is_the_newest_of_its_name_whether_status_or_check() {
    let (fake, github) = installed().await;
    let github = ForgeStatuses(std::sync::Arc::new(github));
    let url = fake.git_url("acme/shop");
    let ask = async |name: &str| github.status(&url, COMMIT, name, std::time::Duration::from_secs(30)).await.unwrap();
    assert_eq!(ask("ci/build").await, CommitStatus::Missing);
    let mut at = 0;
    let mut status = |state: &str| {
        at += 1;
        let status = json!({
            "url": "https://x", "avatar_url": null, "id": at, "node_id": "x", "state": state, "description": format!("{state}!"),
            "target_url": null, "context": "CI/Build", "created_at": time(at), "updated_at": time(at), "creator": null,
        });
        let mut held = fake.state();
        held.repository("acme/shop").statuses.entry(COMMIT.to_owned()).or_default().push(status);
    };
    status("pending");
    assert_eq!(ask("ci/build").await, CommitStatus::Pending("pending!".to_owned()));
    status("success");
    assert_eq!(ask("ci/build").await, CommitStatus::Success("success!".to_owned()));
    status("error");
    assert_eq!(ask("ci/build").await, CommitStatus::Failure("error!".to_owned()));

    let run = |begin: u64, status: &str, conclusion: Value| {
        let mut run = crate::support::github::description::enterprise()
            .operation("POST", "/repos/acme/shop/check-runs")
            .unwrap()
            .example(201);
        (run["name"], run["head_sha"]) = ("ci/build".into(), COMMIT.into());
        (run["status"], run["conclusion"]) = (status.into(), conclusion.clone());
        (run["started_at"], run["completed_at"]) = (time(begin).into(), Value::Null);
        if !conclusion.is_null() {
            run["completed_at"] = time(begin).into();
        }
        run["output"]["title"] = "42 tests".into();
        fake.state().repository("acme/shop").check_runs.push(run);
    };
    run(2, "in_progress", Value::Null);
    assert_eq!(ask("ci/build").await, CommitStatus::Failure("error!".to_owned()), "what began before is older");
    run(4, "in_progress", Value::Null);
    assert_eq!(ask("ci/build").await, CommitStatus::Pending("42 tests".to_owned()));
    for (conclusion, stands) in [
        ("success", CommitStatus::Success("42 tests".to_owned())),
        ("neutral", CommitStatus::Success("42 tests".to_owned())),
        ("skipped", CommitStatus::Success("42 tests".to_owned())),
        ("timed_out", CommitStatus::Failure("timed_out: 42 tests".to_owned())),
        ("action_required", CommitStatus::Failure("action_required: 42 tests".to_owned())),
    ] {
        run(5, "completed", conclusion.into());
        assert_eq!(ask("ci/build").await, stands);
    }
    let elsewhere =
        github.status("https://elsewhere.example/a/b", COMMIT, "x", std::time::Duration::from_secs(30)).await;
    assert!(given_up(&elsewhere.unwrap_err()).contains("not at the forge"));
}

fn time(minute: u64) -> String {
    format!("2026-12-01T00:{minute:02}:00Z")
}

#[tokio::test]
async fn what_a_branch_demands_is_what_its_rules_say() {
    let (fake, github) = installed().await;
    let free = github.branch_rules(&shop(), "main").await.unwrap();
    assert_eq!(free, tidegate::providers::forge::BranchRules::default());
    let rule = |kind: &str, parameters: Value| {
        let mut rule = json!({ "type": kind, "ruleset_source_type": "Repository", "ruleset_source": "acme/shop", "ruleset_id": 1 });
        if !parameters.is_null() {
            rule["parameters"] = parameters;
        }
        rule
    };
    let checks = json!({
        "strict_required_status_checks_policy": true, "required_status_checks": [{ "context": "ci" }, { "context": "tidegate/x" }],
    });
    let pull_request = json!({
        "dismiss_stale_reviews_on_push": false, "require_code_owner_review": false, "require_last_push_approval": false,
        "required_approving_review_count": 1, "required_review_thread_resolution": false,
    });
    let pattern = json!({ "operator": "starts_with", "pattern": "issue" });
    let all = vec![
        rule("pull_request", pull_request),
        rule("required_linear_history", Value::Null),
        rule("required_signatures", Value::Null),
        rule("required_status_checks", checks),
        rule("update", Value::Null),
        rule("commit_message_pattern", pattern),
    ];
    // A name with a slash is one part of the path.
    fake.state().repository("acme/shop").rules.insert("release/2026".to_owned(), all);
    fake.state().longest_page = 2;
    let rules = github.branch_rules(&shop(), "release/2026").await.unwrap();
    assert!(rules.pull_request && rules.linear_history && rules.signatures && rules.locked && !rules.merge_queue);
    assert_eq!(rules.required_checks, ["ci", "tidegate/x"]);
}

#[tokio::test]
async fn who_pushed_is_told_newest_first_of_one_branch() {
    let (fake, github) = with_token().await;
    let ids = [fake.user("ada"), fake.user("bob")];
    let (zero, one, two) = ("0".repeat(40), "1".repeat(40), "2".repeat(40));
    fake.pushed("acme/shop", "dev", "ada", &zero, &one);
    fake.pushed("acme/shop", "main", "ada", &zero, &one);
    fake.pushed("acme/shop", "dev", "bob", &one, &two);
    fake.pushed("acme/shop", "dev", "bob", &two, &zero);
    {
        let mut state = fake.state();
        let activity = &mut state.repository("acme/shop").activity;
        activity[3]["activity_type"] = "branch_deletion".into();
        activity[0]["actor"] = Value::Null;
    }
    fake.state().longest_page = 1;
    let pushes = github.pushes(&shop(), "dev").await.unwrap();
    assert_eq!(pushes.len(), 2, "{pushes:?}");
    assert_eq!(pushes[0].by, Some(Account { id: ids[1], login: "bob".to_owned() }));
    assert_eq!((pushes[0].before.as_str(), pushes[0].after.as_str()), (one.as_str(), two.as_str()));
    assert_eq!((pushes[1].by.as_ref(), pushes[1].after.as_str()), (None, one.as_str()), "whoever has left is nobody");
}
