//! Answers that do not come, come late, or come broken, before and after the effect.

use std::time::Duration;

use tidegate::providers::forge::{CheckState, DeploymentState, Forge as _};

use super::{as_app, check, deployment, installed, limits, retried, said_of, shop, with_token};
use crate::support::github::Trouble;

const CREATE_CHECK: &str = "POST /repos/{owner}/{repo}/check-runs";
const DEPLOY: &str = "POST /repos/{owner}/{repo}/deployments";
const SAY: &str = "POST /repos/{owner}/{repo}/deployments/{deployment_id}/statuses";

fn losses() -> Vec<Trouble> {
    vec![
        Trouble::CloseBefore,
        Trouble::CloseAfter,
        Trouble::Half,
        Trouble::page(502),
        Trouble::page(200),
        Trouble::refuse(500, "Server Error"),
    ]
}

#[tokio::test]
async fn however_an_answer_is_lost_there_is_one_check_and_it_was_sent_once_each_time() {
    for loss in losses() {
        let (fake, github) = installed().await;
        fake.trouble(CREATE_CHECK, loss.clone(), 1);
        let fault = github.publish_check(&shop(), &check(CheckState::Running), None).await.unwrap_err();
        let (_, after) = retried(&fault);
        assert_eq!(fake.count("POST /repos/acme/shop/check-runs"), 1, "{loss:?}: nobody repeats it unasked");
        assert!(after.is_some(), "{loss:?}: GitHub is given a moment to show it");
        let id = github.publish_check(&shop(), &check(CheckState::Running), None).await.unwrap();
        let runs = fake.state().repository("acme/shop").check_runs.clone();
        assert_eq!(runs.len(), 1, "{loss:?}");
        assert_eq!(runs[0]["id"], id);
    }
}

#[tokio::test]
async fn however_an_answer_is_lost_there_is_one_deployment_and_one_status_of_each_state() {
    for loss in losses() {
        for route in [DEPLOY, SAY] {
            let (fake, github) = installed().await;
            fake.trouble(route, loss.clone(), 1);
            let wanted = deployment("run-7", DeploymentState::InProgress);
            retried(&github.publish_deployment(&shop(), &wanted, None).await.unwrap_err());
            let id = github.publish_deployment(&shop(), &wanted, None).await.unwrap();
            assert_eq!(fake.state().repository("acme/shop").deployments.len(), 1, "{route} {loss:?}");
            assert_eq!(said_of(&fake, id), ["in_progress"], "{route} {loss:?}");
        }
    }
}

#[tokio::test]
async fn however_an_answer_is_lost_there_is_one_status() {
    for loss in losses() {
        let (fake, github) = with_token().await;
        fake.trouble("POST /repos/{owner}/{repo}/statuses/{sha}", loss.clone(), 1);
        retried(&github.publish_check(&shop(), &check(CheckState::Running), None).await.unwrap_err());
        github.publish_check(&shop(), &check(CheckState::Running), None).await.unwrap();
        assert_eq!(fake.state().repository("acme/shop").statuses[super::COMMIT].len(), 1, "{loss:?}");
    }
}

#[tokio::test]
async fn every_call_on_the_way_may_fail_in_every_way_and_the_next_round_ends_it() {
    // Each request of a round in turn, as many as there are.
    for loss in losses() {
        for index in 0.. {
            let (fake, github) = installed().await;
            let wanted = (check(CheckState::Running), deployment("run-7", DeploymentState::Success));
            fake.trouble("*", Trouble::None, index);
            fake.trouble("*", loss.clone(), 1);
            let mut failed = false;
            for _ in 0..2 {
                let check = github.publish_check(&shop(), &wanted.0, None).await;
                let deployment = github.publish_deployment(&shop(), &wanted.1, None).await;
                for fault in [check.err(), deployment.err()].into_iter().flatten() {
                    retried(&fault);
                    failed = true;
                }
            }
            assert_eq!(fake.state().repository("acme/shop").check_runs.len(), 1, "{index} {loss:?}");
            assert_eq!(fake.state().repository("acme/shop").deployments.len(), 1, "{index} {loss:?}");
            if !failed {
                assert!(index >= 6, "there are so many calls: {index}");
                break;
            }
        }
    }
}

#[tokio::test]
async fn what_is_known_is_not_made_anew_because_a_list_lags_behind() {
    let (fake, github) = installed().await;
    fake.remember();
    let run = github.publish_check(&shop(), &check(CheckState::Queued), None).await.unwrap();
    let made = github.publish_deployment(&shop(), &deployment("run-7", DeploymentState::Queued), None).await.unwrap();
    for route in ["GET /repos/{owner}/{repo}/commits/{ref}/check-runs", "GET /repos/{owner}/{repo}/deployments"] {
        fake.trouble(route, Trouble::Old, 100);
    }
    let running = check(CheckState::Running);
    assert_eq!(github.publish_check(&shop(), &running, Some(run)).await.unwrap(), run);
    let proceeds = deployment("run-7", DeploymentState::InProgress);
    assert_eq!(github.publish_deployment(&shop(), &proceeds, Some(made)).await.unwrap(), made);
    fake.no_trouble();
    assert_eq!(github.publish_check(&shop(), &running, None).await.unwrap(), run);
    assert_eq!(fake.state().repository("acme/shop").deployments.len(), 1);
}

#[tokio::test]
async fn silence_ends_by_itself_and_is_tried_again() {
    let (fake, _) = installed().await;
    let github =
        as_app(&fake, tidegate::providers::forge::github::Limits { silence: Duration::from_millis(300), ..limits() });
    for silence in [Trouble::Silence, Trouble::SilenceAfter] {
        fake.trouble(CREATE_CHECK, silence, 1);
        let fault = github.publish_check(&shop(), &check(CheckState::Running), None).await.unwrap_err();
        assert!(retried(&fault).0.contains("timed out"), "{fault}");
    }
    github.publish_check(&shop(), &check(CheckState::Running), None).await.unwrap();
    assert_eq!(fake.state().repository("acme/shop").check_runs.len(), 1);
}

#[tokio::test]
async fn an_answer_without_end_is_not_read_to_its_end() {
    let (fake, _) = installed().await;
    let github = as_app(&fake, tidegate::providers::forge::github::Limits { answer_bytes: 20_000, ..limits() });
    let huge = format!("{{\"x\": \"{}\"}}", "x".repeat(30_000));
    let headers = vec![("Content-Type", "application/json".to_owned())];
    fake.trouble(
        "GET /repos/{owner}/{repo}/rules/branches/{branch}",
        Trouble::Say { status: 200, headers, body: huge },
        1,
    );
    let fault = github.branch_rules(&shop(), "main").await.unwrap_err();
    assert!(retried(&fault).0.contains("more than 20000 bytes"), "{fault}");
    github.branch_rules(&shop(), "main").await.unwrap();
}

#[tokio::test]
async fn what_is_json_and_not_what_was_asked_for_is_tried_again() {
    let (fake, _) = installed().await;
    for (body, route) in [
        ("{}", "GET /repos/{owner}/{repo}/activity"),
        ("[{\"before\": 7}]", "GET /repos/{owner}/{repo}/activity"),
        ("[]", "GET /repos/{owner}/{repo}/installation"),
        ("[[[[", "GET /repos/{owner}/{repo}/activity"),
    ] {
        let github = as_app(&fake, limits());
        fake.trouble(route, Trouble::Say { status: 200, headers: Vec::new(), body: body.to_owned() }, 1);
        retried(&github.pushes(&shop(), "dev").await.unwrap_err());
        github.pushes(&shop(), "dev").await.unwrap();
    }
}
