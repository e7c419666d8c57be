//! What we ask is what github.com describes too: the server of the other tests is an Enterprise Server.

use tidegate::providers::forge::{CheckState, DeploymentState, Forge as _, Team};

use super::{asking, check, deployment, installed, shop, with_token};
use crate::support::github::description::dot_com;

#[tokio::test]
async fn every_question_is_one_that_github_com_describes() {
    let (fake, github) = installed().await;
    fake.organization("acme", &[("release", &["ada"])]);
    github.account("ada").await.unwrap();
    github.role(&shop(), "ada").await.unwrap();
    github.members(&Team { organization: "acme".to_owned(), slug: "release".to_owned() }).await.unwrap();
    github.status(&shop(), super::COMMIT, "ci").await.unwrap();
    github.branch_rules(&shop(), "main").await.unwrap();
    github.pushes(&shop(), "main").await.unwrap();
    for state in [CheckState::Queued, CheckState::Running, CheckState::Success] {
        github.publish_check(&shop(), &check(state), None).await.unwrap();
    }
    github.publish_check(&shop(), &asking(), None).await.unwrap();
    github.publish_deployment(&shop(), &deployment("run-7", DeploymentState::Success), None).await.unwrap();
    github.examine().await.unwrap();
    let lost = fake.lost("push", &serde_json::json!({}), 502);
    let told = github.deliveries(0).await.unwrap();
    assert_eq!(told[0].guid, lost);
    github.redeliver(told[0].id).await.unwrap();

    let (with_status, by_token) = with_token().await;
    by_token.publish_check(&shop(), &check(CheckState::Running), None).await.unwrap();

    let (mut wrong, mut asked) = (Vec::new(), std::collections::BTreeSet::new());
    for said in fake.requests().into_iter().chain(with_status.requests()) {
        match dot_com().operation(&said.method, said.path.split('?').next().unwrap()) {
            Some(operation) => {
                wrong.extend(operation.wrong_in_request(&said.request()));
                asked.insert(format!("{} {}", operation.method, operation.template));
            }
            None => wrong.push(format!("{}: there is no such path", said.line())),
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(asked.len() >= 20, "the calls were there: {asked:#?}");
}
