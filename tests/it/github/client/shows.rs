//! What is shown.

use serde_json::{Value, json};
use tidegate::providers::forge::{Check, CheckState, Deployment, DeploymentState, Forge as _};

use super::{asking, check, deployment, given_up, installed, said_of, shop, with_token};
use crate::support::github::FakeGitHub;

fn runs(fake: &FakeGitHub) -> Vec<Value> {
    fake.state().repository("acme/shop").check_runs.clone()
}

#[tokio::test]
async fn a_check_is_made_once_and_then_brought_up_to_date() {
    let (fake, github) = installed().await;
    let id = github.publish_check(&shop(), &check(CheckState::Queued), None).await.unwrap();
    assert_eq!(github.publish_check(&shop(), &check(CheckState::Running), Some(id)).await.unwrap(), id);
    // Whoever has forgotten finds it by its key.
    assert_eq!(github.publish_check(&shop(), &asking(), None).await.unwrap(), id);
    let shown = runs(&fake);
    assert_eq!(shown.len(), 1);
    assert_eq!((&shown[0]["status"], &shown[0]["conclusion"]), (&"completed".into(), &"action_required".into()));
    assert_eq!(shown[0]["external_id"], "webshop/run-7");
    assert_eq!(shown[0]["details_url"], "https://tide.example/runs/7");
    let buttons = shown[0]["actions"].as_array().unwrap();
    assert_eq!(buttons.iter().map(|it| it["identifier"].as_str().unwrap()).collect::<Vec<_>>(), ["approve", "reject"]);
}

#[tokio::test]
async fn what_asked_and_proceeds_is_a_new_run_under_its_key_for_completed_is_for_ever() {
    let (fake, github) = installed().await;
    let asks = github.publish_check(&shop(), &asking(), None).await.unwrap();
    let proceeds = github.publish_check(&shop(), &check(CheckState::Running), Some(asks)).await.unwrap();
    assert_ne!(asks, proceeds);
    // The newest of its key is the one, whatever is remembered.
    for known in [None, Some(asks), Some(proceeds)] {
        assert_eq!(github.publish_check(&shop(), &check(CheckState::Running), known).await.unwrap(), proceeds);
    }
    let done = Check { ended_ms: Some(1_795_000_060_000), ..check(CheckState::Success) };
    assert_eq!(github.publish_check(&shop(), &done, Some(proceeds)).await.unwrap(), proceeds);
    let shown = runs(&fake);
    assert_eq!(shown.len(), 2);
    assert_eq!((&shown[1]["conclusion"], &shown[1]["actions"]), (&"success".into(), &json!([])));
    assert_eq!(shown[1]["completed_at"], "2026-11-18T11:07:40Z");
}

#[tokio::test]
async fn every_state_of_a_check_has_a_word_of_github() {
    let (fake, github) = installed().await;
    for (state, conclusion) in [
        (CheckState::Success, "success"),
        (CheckState::Failure, "failure"),
        (CheckState::Cancelled, "cancelled"),
        (CheckState::Skipped, "skipped"),
    ] {
        github.publish_check(&shop(), &check(state), None).await.unwrap();
        assert_eq!(runs(&fake)[0]["conclusion"], conclusion);
    }
}

#[tokio::test]
async fn what_is_too_long_is_cut_and_runs_of_others_are_left_alone() {
    let (fake, github) = installed().await;
    let other = Check { key: "webshop/run-8".to_owned(), ..check(CheckState::Running) };
    let theirs = github.publish_check(&shop(), &other, None).await.unwrap();
    let mut long = asking();
    long.summary = "ä".repeat(100_000);
    long.buttons[0].description = "x".repeat(100);
    let ours = github.publish_check(&shop(), &long, None).await.unwrap();
    assert_ne!(ours, theirs);
    assert_eq!(runs(&fake)[1]["output"]["summary"].as_str().unwrap().chars().count(), 65_000);
    // Of many runs of the name, on many pages, it is found.
    for number in 9..20 {
        let other = Check { key: format!("webshop/run-{number}"), ..check(CheckState::Running) };
        github.publish_check(&shop(), &other, None).await.unwrap();
    }
    fake.state().longest_page = 2;
    assert_eq!(github.publish_check(&shop(), &asking(), None).await.unwrap(), ours);
}

#[tokio::test]
async fn a_check_that_somebody_removed_is_made_anew() {
    let (fake, github) = installed().await;
    let id = github.publish_check(&shop(), &check(CheckState::Success), Some(4)).await.unwrap();
    assert_eq!(runs(&fake).len(), 1);
    fake.state().repository("acme/shop").check_runs.clear();
    assert_ne!(github.publish_check(&shop(), &check(CheckState::Success), Some(id)).await.unwrap(), id);
    assert_eq!(runs(&fake).len(), 1);
}

#[tokio::test]
async fn with_a_token_a_check_is_a_status_one_for_each_state() {
    let (fake, github) = with_token().await;
    assert!(!github.can().checks && github.can().deployments && !github.can().redelivers);
    let states = [
        (CheckState::Queued, 1),
        (CheckState::Running, 1),
        (CheckState::Asks, 1),
        (CheckState::Failure, 2),
        (CheckState::Failure, 2),
        (CheckState::Running, 3),
        (CheckState::Success, 4),
        (CheckState::Skipped, 4),
        (CheckState::Cancelled, 5),
    ];
    for (state, count) in states {
        github.publish_check(&shop(), &check(state), None).await.unwrap();
        assert_eq!(fake.count(&format!("POST /repos/acme/shop/statuses/{}", super::COMMIT)), count, "{state:?}");
    }
    let statuses = fake.state().repository("acme/shop").statuses[super::COMMIT].clone();
    let words: Vec<&str> = statuses.iter().map(|status| status["state"].as_str().unwrap()).collect();
    assert_eq!(words, ["pending", "failure", "pending", "success", "error"]);
    assert_eq!(statuses[0]["context"], "tidegate/dev/deliver");
    fake.state().most_statuses = 5;
    let fault = github.publish_check(&shop(), &check(CheckState::Success), None).await.unwrap_err();
    assert!(given_up(&fault).contains("takes no more"), "{fault}");
}

#[tokio::test]
async fn a_deployment_is_made_once_merges_nothing_and_says_each_state_once() {
    let (fake, github) = installed().await;
    let show =
        async |state, known| github.publish_deployment(&shop(), &deployment("run-7", state), known).await.unwrap();
    let id = show(DeploymentState::Queued, None).await;
    for (state, known) in [
        (DeploymentState::Queued, None),
        (DeploymentState::InProgress, Some(id)),
        (DeploymentState::InProgress, None),
        (DeploymentState::Success, Some(id)),
        (DeploymentState::Success, None),
    ] {
        assert_eq!(show(state, known).await, id, "{state:?}");
    }
    assert_eq!(said_of(&fake, id), ["queued", "in_progress", "success"]);
    let made =
        fake.requests().into_iter().find(|said| said.line() == "POST /repos/acme/shop/deployments").unwrap().body;
    assert_eq!((&made["auto_merge"], &made["required_contexts"]), (&false.into(), &json!([])));
    assert_eq!((&made["task"], &made["payload"]["tidegate"]), (&"tidegate".into(), &"run-7".into()));
    assert_eq!((&made["environment"], &made["production_environment"]), (&"QA / Canary".into(), &false.into()));
    assert_eq!(fake.count("POST /repos/acme/shop/deployments"), 1 + 3);
}

#[tokio::test]
async fn nothing_gives_way_but_what_is_told_to() {
    let (fake, github) = installed().await;
    let show = async |deployment: &Deployment| github.publish_deployment(&shop(), deployment, None).await.unwrap();
    for production in [false, true] {
        let of = |key: &str, state| Deployment {
            production,
            environment: format!("of the users: {production}"),
            ..deployment(&format!("{key} {production}"), state)
        };
        let old = show(&of("run-7", DeploymentState::Success)).await;
        let new = show(&of("run-8", DeploymentState::Success)).await;
        assert_ne!(old, new);
        assert_eq!(said_of(&fake, old), ["success"], "another target of the environment may have what runs there");
        for _ in 0..2 {
            assert_eq!(show(&of("run-7", DeploymentState::Inactive)).await, old);
        }
        assert_eq!(said_of(&fake, old), ["success", "inactive"]);
        // Done again by hand, it is what runs.
        assert_eq!(show(&of("run-7", DeploymentState::Success)).await, old);
        assert_eq!(said_of(&fake, old), ["success", "inactive", "success"]);
        assert_eq!(said_of(&fake, new), ["success"]);
    }
}

#[tokio::test]
async fn a_payload_that_comes_back_as_text_is_read_too() {
    let (fake, github) = installed().await;
    let id = github.publish_deployment(&shop(), &deployment("run-7", DeploymentState::Queued), None).await.unwrap();
    fake.state().repository("acme/shop").deployments[0]["payload"] = r#"{"tidegate":"run-7"}"#.into();
    let again = github.publish_deployment(&shop(), &deployment("run-7", DeploymentState::Queued), None).await.unwrap();
    assert_eq!(again, id);
}
