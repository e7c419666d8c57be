//! Tokens of an hour, answers that have not changed, and what git signs in with.

use tidegate::providers::forge::{CheckState, Forge as _};

use super::{as_app, check, given_up, installed, limits, shop, with_token};
use crate::support::{github::Trouble, repo::hermetic_git};

const MINT: &str = "POST /app/installations/";

#[tokio::test]
async fn a_token_is_made_once_and_anew_when_github_knows_it_no_more() {
    let (fake, github) = installed().await;
    for branch in ["a", "b", "c"] {
        github.branch_rules(&shop(), branch).await.unwrap();
    }
    assert_eq!(fake.count(MINT), 1);
    // It ends before its hour is over by our clock: GitHub refuses it, and the same is sent with a new one.
    fake.state().tokens.clear();
    github.publish_check(&shop(), &check(CheckState::Running), None).await.unwrap();
    assert_eq!(fake.count(MINT), 2);
    assert_eq!(fake.state().repository("acme/shop").check_runs.len(), 1);
}

#[tokio::test]
async fn many_who_need_a_token_at_once_get_one() {
    let (fake, github) = installed().await;
    let (a, b, c) = (shop(), shop(), shop());
    let asked = tokio::join!(github.branch_rules(&a, "a"), github.branch_rules(&b, "b"), github.branch_rules(&c, "c"));
    for each in [asked.0, asked.1, asked.2] {
        each.unwrap();
    }
    assert_eq!(fake.count(MINT), 1);
}

#[tokio::test]
async fn a_refused_token_is_tried_anew_once_and_then_given_up() {
    let (fake, github) = installed().await;
    fake.trouble("GET /repos/{owner}/{repo}/activity", Trouble::refuse(401, "Bad credentials"), 1);
    github.pushes(&shop(), "main").await.unwrap();
    assert_eq!(fake.count(MINT), 2);
    fake.trouble("GET /repos/{owner}/{repo}/activity", Trouble::refuse(401, "Bad credentials"), 10);
    let fault = github.pushes(&shop(), "main").await.unwrap_err();
    assert!(given_up(&fault).contains("Bad credentials"), "{}", fault.whole());
    assert_eq!(fake.count("GET /repos/acme/shop/activity"), 4);
}

#[tokio::test]
async fn a_wrong_clock_and_a_foreign_key_are_given_up_with_what_to_look_at() {
    let (fake, github) = installed().await;
    fake.move_clock(3_600);
    let fault = github.branch_rules(&shop(), "main").await.unwrap_err();
    assert!(given_up(&fault).contains("this machine's clock"), "{}", fault.whole());
    fake.move_clock(-3_600);
    fake.state().app.id += 1;
    let fault = github.branch_rules(&shop(), "main").await.unwrap_err();
    assert!(given_up(&fault).contains("Integration not found"), "{}", fault.whole());
    assert_eq!(fake.count(MINT), 0);
}

#[tokio::test]
async fn what_has_not_changed_is_answered_so_within_the_life_of_a_token() {
    let (fake, github) = installed().await;
    let statuses = |fake: &crate::support::github::FakeGitHub| {
        let said = fake.requests().into_iter().filter(|said| said.path.contains("/rules/branches/main"));
        said.map(|said| (said.etag.is_some(), said.status)).collect::<Vec<_>>()
    };
    fake.state().repository("acme/shop").rules.insert("main".to_owned(), vec![rule("required_signatures")]);
    for _ in 0..2 {
        assert!(github.branch_rules(&shop(), "main").await.unwrap().signatures);
    }
    assert_eq!(statuses(&fake), [(false, 200), (true, 304)]);
    fake.state().repository("acme/shop").rules.insert("main".to_owned(), vec![rule("update")]);
    assert!(github.branch_rules(&shop(), "main").await.unwrap().locked);
    // A new token: its ETags are others, and none is sent that GitHub would not know.
    fake.state().tokens.clear();
    for _ in 0..2 {
        assert!(github.branch_rules(&shop(), "main").await.unwrap().locked);
    }
    assert_eq!(statuses(&fake)[2..], [(true, 200), (true, 401), (false, 200), (true, 304)]);
}

fn rule(kind: &str) -> serde_json::Value {
    serde_json::json!({ "type": kind, "ruleset_source_type": "Repository", "ruleset_source": "acme/shop", "ruleset_id": 1 })
}

#[tokio::test]
async fn git_is_lent_a_token_for_this_github_alone() {
    let (fake, github) = installed().await;
    let repo = fake.repository("acme/image");
    repo.commit("main", "Begin", &[("a", "1")]);
    let url = fake.git_url("acme/image");
    let (user, password) = github.git_credentials(&url).await.unwrap().unwrap();
    assert_eq!(user, "x-access-token");
    let clone = |url: &str| {
        let folder = tempfile::tempdir().unwrap();
        hermetic_git(folder.path()).args(["clone", "--quiet", url, "here"]).output().unwrap().status.success()
    };
    assert!(clone(&url.replace("http://", &format!("http://{user}:{}@", password.expose()))));
    let port = fake.url().rsplit(':').next().unwrap().to_owned();
    for elsewhere in [
        "https://elsewhere.example/acme/image.git".to_owned(),
        "http://127.0.0.1/acme/image.git".to_owned(),
        format!("https://127.0.0.1:{port}/acme/image.git"),
        format!("http://127.0.0.2:{port}/acme/image.git"),
        format!("{}/acme", fake.url()),
        "nonsense".to_owned(),
    ] {
        assert!(github.git_credentials(&elsewhere).await.unwrap().is_none(), "{elsewhere}");
    }
    // What the App is not installed for may be anybody's: git has what it has.
    drop(fake.repository("other/shop"));
    assert!(github.git_credentials(&fake.git_url("other/shop")).await.unwrap().is_none());
    // What it lent is good for a while: one that ends soon is not lent.
    assert_eq!(fake.count(MINT), 1);
    {
        let mut state = fake.state();
        let installation = state.installation_of("acme").id;
        state.installations.remove(&installation);
    }
    fake.install("acme");
    let (_, again) = as_app(&fake, limits()).git_credentials(&url).await.unwrap().unwrap();
    assert_ne!(again.expose(), password.expose());
}

#[tokio::test]
async fn with_a_token_git_signs_in_with_it() {
    let (fake, github) = with_token().await;
    let (user, password) = github.git_credentials(&fake.git_url("acme/shop")).await.unwrap().unwrap();
    assert!(user == "x-access-token" && password.expose().starts_with("ghp_"));
    assert!(fake.requests().is_empty(), "nobody has to be asked");
}
