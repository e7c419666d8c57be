//! What is asked of GitHub, what it answers, and what becomes of every way in which it does not.

mod asks;
mod described;
mod examined;
mod lost;
mod refused;
mod shows;
mod tokens;

use std::time::Duration;

use tidegate::{
    providers::{
        Fault, Secret,
        forge::{
            Check, CheckButton, CheckState, Deployment, DeploymentState, RepositoryAt,
            github::{Access, Addresses, GitHub, GitHubSettings, Limits},
        },
    },
    rules::repository_key,
};

use crate::support::github::{FakeGitHub, pem};

const COMMIT: &str = "6dcb09b5b57875f334f61aebed695e2e4193db5e";

/// Nothing is waited for that would not come.
fn limits() -> Limits {
    Limits {
        silence: Duration::from_secs(30),
        writes_at_once: 1_000,
        write_every: Duration::from_millis(1),
        ..Limits::default()
    }
}

fn shop() -> RepositoryAt {
    RepositoryAt { owner: "acme".to_owned(), name: "shop".to_owned() }
}

fn settings(fake: &FakeGitHub, access: Access) -> GitHubSettings {
    GitHubSettings { addresses: Addresses::of(&fake.url(), repository_key).unwrap(), access }
}

/// A GitHub with `acme/shop`, where the App is installed, and who asks it as the App.
async fn installed() -> (FakeGitHub, GitHub) {
    let fake = FakeGitHub::start().await;
    drop(fake.repository("acme/shop"));
    fake.install("acme");
    let github = as_app(&fake, limits());
    (fake, github)
}

fn as_app(fake: &FakeGitHub, limits: Limits) -> GitHub {
    let access = Access::App { id: fake.app_id(), key: Secret::new(pem()) };
    GitHub::with(settings(fake, access), limits).unwrap()
}

/// The same with a token of `bot`, who may write.
async fn with_token() -> (FakeGitHub, GitHub) {
    let fake = FakeGitHub::start().await;
    drop(fake.repository("acme/shop"));
    fake.grant("acme/shop", "bot", "write");
    let access = Access::Token(Secret::new(fake.token("bot")));
    let github = GitHub::with(settings(&fake, access), limits()).unwrap();
    (fake, github)
}

fn check(state: CheckState) -> Check {
    Check {
        key: "webshop/run-7".to_owned(),
        name: "tidegate/dev/deliver".to_owned(),
        commit: COMMIT.to_owned(),
        state,
        began_ms: 1_795_000_000_000,
        ended_ms: None,
        title: format!("run-7 is {state:?}"),
        summary: "It waits for `gate`.".to_owned(),
        link: Some("https://tide.example/runs/7".to_owned()),
        buttons: Vec::new(),
    }
}

fn asking() -> Check {
    let button = |label: &str, says: &str| CheckButton {
        label: label.to_owned(),
        description: "Approve what run-7 shows here".to_owned(),
        says: says.to_owned(),
    };
    Check { buttons: vec![button("Approve", "approve"), button("Reject", "reject")], ..check(CheckState::Asks) }
}

fn deployment(key: &str, state: DeploymentState) -> Deployment {
    Deployment {
        key: key.to_owned(),
        commit: COMMIT.to_owned(),
        target: "webshop".to_owned(),
        environment: "QA / Canary".to_owned(),
        production: false,
        state,
        description: format!("run-7 of webshop: {state:?}"),
        address: Some("https://qa.shop.example".to_owned()),
        link: None,
    }
}

/// What was said of a deployment, oldest first.
fn said_of(fake: &FakeGitHub, id: u64) -> Vec<String> {
    let mut state = fake.state();
    let statuses = state.repository("acme/shop").deployment_statuses.get(&id).cloned().unwrap_or_default();
    statuses.iter().map(|status| status["state"].as_str().unwrap().to_owned()).collect()
}

#[track_caller]
fn retried(fault: &Fault) -> (String, Option<Duration>) {
    match fault {
        Fault::Retry { error, after } => (error.clone(), *after),
        Fault::Fail { .. } => panic!("it is given up: {}", fault.whole()),
    }
}

#[track_caller]
fn given_up(fault: &Fault) -> String {
    assert!(matches!(fault, Fault::Fail { .. }), "it is tried again: {fault}");
    fault.whole()
}
