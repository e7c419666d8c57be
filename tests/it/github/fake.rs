//! The GitHub of the tests itself, asked by others than ours: octocrab and git.

use octocrab::{Octocrab, models::InstallationId, secrecy::ExposeSecret as _};
use serde_json::{Value, json};

use crate::support::{
    github::{FakeGitHub, pem},
    repo::hermetic_git,
};

fn app(github: &FakeGitHub) -> Octocrab {
    Octocrab::builder()
        .base_uri(format!("{}/api/v3", github.url()))
        .unwrap()
        .app_from_rsa_pem(github.app_id().into(), pem())
        .unwrap()
        .add_header(reqwest::header::USER_AGENT, "octocrab".to_owned())
        .build_with_reqwest(reqwest::Client::new())
        .unwrap()
}

#[tokio::test]
async fn an_app_signs_in_and_its_token_opens_what_it_is_installed_for_until_it_ends() {
    let github = FakeGitHub::start().await;
    let repo = github.repository("acme/shop");
    repo.commit("main", "Begin", &[("a", "1")]);
    let id = github.install("acme");
    let as_app = app(&github);
    let shown: Value = as_app.get("/app", None::<&()>).await.unwrap();
    assert_eq!(shown["id"], github.app_id());
    let of: Value = as_app.get("/repos/acme/shop/installation", None::<&()>).await.unwrap();
    assert_eq!(of["id"], id);

    let (_, token) = as_app.installation_and_token(InstallationId(id)).await.unwrap();
    let clone = |credentials: &str| {
        let folder = tempfile::tempdir().unwrap();
        let url = github.git_url("acme/shop").replace("http://", &format!("http://{credentials}"));
        hermetic_git(folder.path()).args(["clone", "--quiet", &url, "here"]).output().unwrap().status.success()
    };
    let with = format!("x-access-token:{}@", token.expose_secret());
    assert!(clone(&with));
    assert!(!clone("") && !clone("x-access-token:wrong@"));
    github.move_clock(3_601);
    assert!(!clone(&with), "its hour is over");
}

#[tokio::test]
async fn what_a_permission_lacks_is_refused_and_named_and_what_is_not_seen_is_not_there() {
    let github = FakeGitHub::start().await;
    drop((github.repository("acme/shop"), github.repository("acme/hidden"), github.repository("other/shop")));
    let id = github.install("acme");
    github.state().installations.get_mut(&id).unwrap().repositories = Some(vec!["acme/shop".to_owned()]);
    let crab = app(&github).installation(InstallationId(id)).unwrap();
    let made = json!({ "name": "x", "head_sha": "1".repeat(40) });
    let make = |repository: &str| format!("/repos/{repository}/check-runs");
    assert!(crab.post::<_, Value>(make("acme/shop"), Some(&made)).await.is_ok());
    for unseen in ["acme/hidden", "other/shop", "acme/none"] {
        assert!(crab.post::<_, Value>(make(unseen), Some(&made)).await.is_err(), "{unseen}");
    }
    github.state().installations.get_mut(&id).unwrap().permissions.remove("checks");
    let response = crab._post(make("acme/shop"), Some(&made)).await.unwrap();
    assert_eq!(response.status().as_u16(), 403);
    assert_eq!(response.headers()["x-accepted-github-permissions"], "checks=write");
}
