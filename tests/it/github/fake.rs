//! The GitHub of the tests itself, asked by others than ours: octocrab and git.

use std::{
    io::BufReader,
    net::TcpListener,
    sync::mpsc::{Receiver as Taken, channel},
};

use octocrab::{Octocrab, models::InstallationId, secrecy::ExposeSecret as _};
use serde_json::{Value, json};

use crate::support::{
    github::{FakeGitHub, pem},
    http::{Answer, Request, read_request, respond},
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
async fn a_delivery_is_signed_listed_and_had_again_under_its_guid() {
    let github = FakeGitHub::start().await;
    let receiver = Receiver::start();
    assert_eq!(github.deliver("push", &json!({ "n": 1 })), None, "nowhere to deliver to");
    github.webhook(&receiver.url, "secret");
    assert_eq!(github.deliver("push", &json!({ "action": null, "n": 2 })), Some(202));
    let request = receiver.taken.recv().unwrap();
    let mut mac = <hmac::Hmac<sha2::Sha256> as hmac::KeyInit>::new_from_slice(b"secret").unwrap();
    hmac::Mac::update(&mut mac, &request.body);
    let signed = hmac::Mac::finalize(mac).into_bytes().iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert_eq!(request.header("x-hub-signature-256"), Some(format!("sha256={signed}").as_str()));

    let as_app = app(&github);
    let listed: Value = as_app.get("/app/hook/deliveries", None::<&()>).await.unwrap();
    let codes: Vec<_> = listed.as_array().unwrap().iter().map(|it| it["status_code"].as_u64().unwrap()).collect();
    assert_eq!(codes, [202, 0]);
    let lost = &listed[1];
    let path = format!("/app/hook/deliveries/{}/attempts", lost["id"]);
    let _: Value = as_app.post(path, None::<&()>).await.unwrap();
    github.wait_for("POST /app/hook/deliveries", 1);
    let again = receiver.taken.recv().unwrap();
    assert_eq!(again.header("x-github-delivery"), lost["guid"].as_str());
}

/// Takes what is delivered.
struct Receiver {
    url: String,
    taken: Taken<Request>,
}

impl Receiver {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/webhooks/github", listener.local_addr().unwrap());
        let (sender, taken) = channel();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let mut connection = BufReader::new(stream);
                let Some(request) = read_request(&mut connection) else { continue };
                let answer = Answer { status: "202 Accepted".to_owned(), headers: Vec::new(), body: Vec::new() };
                respond(&mut connection, &answer).unwrap();
                if sender.send(request).is_err() {
                    return;
                }
            }
        });
        Self { url, taken }
    }
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
