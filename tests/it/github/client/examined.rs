//! What `doctor` is told, and which deliveries were lost.

use serde_json::json;
use tidegate::providers::{
    Secret,
    forge::{
        Forge as _,
        github::{Access, GitHub},
    },
};

use super::{given_up, installed, settings, shop, with_token};
use crate::support::github::{FakeGitHub, Trouble};

/// What is found, in one text each.
async fn found(github: &GitHub) -> Vec<String> {
    github.examine().await.unwrap().into_iter().map(|finding| format!("{}; {}", finding.what, finding.hint)).collect()
}

fn all_events(fake: &FakeGitHub) {
    let events = tidegate::providers::forge::github::permissions::events();
    fake.state().app.events = events.map(str::to_owned).collect();
}

#[tokio::test]
async fn what_is_as_it_should_be_has_no_findings() {
    let (fake, github) = installed().await;
    all_events(&fake);
    assert_eq!(found(&github).await, [""; 0]);
    let (_fake, github) = with_token().await;
    assert_eq!(found(&github).await, [""; 0]);
}

#[tokio::test]
async fn what_the_app_lacks_is_named_with_what_it_is_for() {
    let (fake, github) = installed().await;
    all_events(&fake);
    {
        let mut state = fake.state();
        state.app.permissions.remove("members");
        state.app.permissions.insert("checks".to_owned(), "read".to_owned());
        state.app.events.retain(|event| event != "push");
    }
    let told = found(&github).await;
    assert_eq!(told.len(), 3, "{told:#?}");
    assert!(told.iter().any(|it| it.contains("`checks: write`: show on each commit")), "{told:#?}");
    assert!(told.iter().any(|it| it.contains("`members: read`: teams as groups")), "{told:#?}");
    assert!(told.iter().any(|it| it.contains("not told of: push")), "{told:#?}");
}

#[tokio::test]
async fn what_waits_to_be_accepted_or_was_suspended_is_told_with_where() {
    let (fake, github) = installed().await;
    all_events(&fake);
    fake.state().installation_of("acme").permissions.remove("deployments");
    fake.organization("other", &[]);
    fake.install("other");
    fake.state().installation_of("other").suspended = true;
    let told = found(&github).await;
    assert_eq!(told.len(), 2, "{told:#?}");
    assert!(
        told[0].contains("asks acme for what nobody has granted yet: deployments: write; accept it at http"),
        "{told:#?}"
    );
    assert!(told[1].contains("suspended at other; lift that at http"), "{told:#?}");
    fake.state().installations.clear();
    assert!(found(&github).await[0].contains("installed nowhere"));
}

#[tokio::test]
async fn a_clock_that_is_off_a_quota_that_ends_and_deliveries_that_fail_are_told() {
    let (fake, github) = installed().await;
    all_events(&fake);
    fake.lost("push", &json!({}), 200);
    fake.lost("push", &json!({}), 502);
    fake.lost("push", &json!({}), 0);
    fake.move_clock(45);
    fake.state().quota = 400;
    let told = found(&github).await;
    assert_eq!(told.len(), 3, "{told:#?}");
    assert!(told.iter().any(|it| it.contains("s behind GitHub's")), "{told:#?}");
    assert!(told.iter().any(|it| it.contains("of 5000 calls left")), "{told:#?}");
    let failing = "2 of the newest 3 deliveries of GitHub were not taken, the last with: failed to connect to host";
    assert!(told.iter().any(|it| it.contains(failing)), "{told:#?}");
    // A server that does not count says so.
    fake.trouble("GET /rate_limit", Trouble::refuse(404, "Rate limiting is not enabled."), 10);
    assert_eq!(found(&github).await.len(), 2);
}

#[tokio::test]
async fn a_key_that_is_none_is_told_before_anything_is_asked() {
    let (fake, _) = installed().await;
    for key in ["", "nonsense", "-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n"] {
        let access = Access::App { id: 7, key: Secret::new(key) };
        let fault = GitHub::new(settings(&fake, access)).err().unwrap();
        assert!(given_up(&fault).contains("private_key_file"), "{fault}");
    }
    assert!(fake.requests().is_empty());
}

#[tokio::test]
async fn deliveries_are_listed_as_far_back_as_is_asked_and_had_again() {
    let (fake, github) = installed().await;
    let begin_ms = fake.state().now().timestamp_millis();
    fake.move_clock(-7_200);
    let old = fake.lost("push", &json!({ "n": 0 }), 502);
    fake.move_clock(7_200);
    let guids: Vec<String> =
        (1..=6).map(|n| fake.lost("push", &json!({ "n": n }), if n == 3 { 502 } else { 202 })).collect();
    fake.state().longest_page = 2;
    let told = github.deliveries(begin_ms - 60_000).await.unwrap();
    assert_eq!(
        told.iter().map(|it| it.guid.clone()).collect::<Vec<_>>(),
        guids.iter().rev().cloned().collect::<Vec<_>>()
    );
    assert!(!told.iter().any(|it| it.guid == old));
    let pages = fake.count("GET /app/hook/deliveries");
    assert!(pages <= 4, "what is older is not turned to: {pages}");
    let failed: Vec<_> = told.iter().filter(|it| !it.succeeded()).collect();
    assert_eq!(failed.iter().map(|it| &it.guid).collect::<Vec<_>>(), [&guids[2]]);

    github.redeliver(failed[0].id).await.unwrap();
    let again = tokio::time::timeout(std::time::Duration::from_secs(30), async {
        loop {
            let told = github.deliveries(begin_ms - 60_000).await.unwrap();
            if told.len() == 7 {
                return told;
            }
            tokio::task::yield_now().await;
        }
    });
    assert_eq!(again.await.unwrap()[0].guid, guids[2], "it has the GUID that it had");
    let fault = github.redeliver(4).await.unwrap_err();
    assert!(given_up(&fault).contains("does not keep delivery 4"), "{}", fault.whole());
    assert_eq!(github.deliveries_kept().as_secs(), 7 * 86_400, "Enterprise keeps them for a week");
    drop(shop());
}
