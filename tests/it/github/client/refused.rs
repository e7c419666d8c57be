//! What GitHub refuses, and what people are told to do.

use std::time::{Duration, Instant};

use tidegate::providers::forge::{CheckState, DeploymentState, Forge as _, RepositoryAt, github::Limits};

use super::{as_app, check, deployment, given_up, installed, limits, retried, shop, with_token};
use crate::support::github::Trouble;

const RULES: &str = "GET /repos/{owner}/{repo}/rules/branches/{branch}";

#[tokio::test]
async fn a_limit_holds_back_all_calls_of_that_installation_and_no_others() {
    let (fake, github) = installed().await;
    drop(fake.repository("other/shop"));
    fake.install("other");
    let other = RepositoryAt { owner: "other".to_owned(), name: "shop".to_owned() };
    let limited = Trouble::refuse(403, "You have exceeded a secondary rate limit").with("Retry-After", "120");
    fake.trouble(RULES, limited, 1);
    let (error, after) = retried(&github.branch_rules(&shop(), "main").await.unwrap_err());
    assert!(error.contains("takes nothing until") && error.contains("UTC"), "{error}");
    assert_eq!(after, Some(Duration::from_secs(120)));
    let before = fake.requests().len();
    for fault in [
        github.pushes(&shop(), "main").await.unwrap_err(),
        github.publish_check(&shop(), &check(CheckState::Running), None).await.unwrap_err(),
    ] {
        let (error, after) = retried(&fault);
        assert!(error.contains("takes nothing until") && error.contains("secondary rate limit"), "{error}");
        assert!(after.is_some_and(|after| after <= Duration::from_secs(120) && after > Duration::from_secs(60)));
    }
    assert_eq!(fake.requests().len(), before, "nothing was sent");
    github.branch_rules(&other, "main").await.unwrap();
}

#[tokio::test]
async fn an_empty_quota_says_until_when_by_githubs_clock() {
    let (fake, github) = installed().await;
    fake.state().quota = 0;
    let (error, after) = retried(&github.branch_rules(&shop(), "main").await.unwrap_err());
    assert!(error.contains("rate limit exceeded"), "{error}");
    let after = after.unwrap().as_secs();
    assert!((595..=605).contains(&after), "{after}");
}

#[tokio::test]
async fn a_limit_ends() {
    let (fake, github) = installed().await;
    fake.trouble(RULES, Trouble::refuse(429, "Too many requests").with("Retry-After", "1"), 1);
    let (_, after) = retried(&github.branch_rules(&shop(), "main").await.unwrap_err());
    tokio::time::timeout(Duration::from_secs(30), async {
        while github.branch_rules(&shop(), "main").await.is_err() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
    assert_eq!(after, Some(Duration::from_secs(1)));
    assert_eq!(fake.count("GET /repos/acme/shop/rules"), 2);
}

#[tokio::test]
async fn what_is_not_allowed_there_or_here_is_said_with_what_to_do() {
    let (fake, github) = installed().await;
    let permissions = |name: &str| {
        for installation in fake.state().installations.values_mut() {
            installation.permissions.remove(name);
        }
    };
    permissions("checks");
    let fault = github.publish_check(&shop(), &check(CheckState::Running), None).await.unwrap_err();
    assert!(given_up(&fault).contains("the App at acme lacks a permission: it needs checks: read"), "{fault}");
    permissions("deployments");
    let wanted = deployment("run-7", DeploymentState::Queued);
    let fault = github.publish_deployment(&shop(), &wanted, None).await.unwrap_err();
    assert!(given_up(&fault).contains("deployments: read"), "{}", fault.whole());

    fake.state().repository("acme/shop").archived = true;
    permissions("nothing");
    fake.state().installation_of("acme").permissions.insert("checks".to_owned(), "write".to_owned());
    let fault = github.publish_check(&shop(), &check(CheckState::Running), None).await.unwrap_err();
    assert!(given_up(&fault).contains("unarchive it"), "{}", fault.whole());

    fake.state().repositories.clear();
    let fault = github.branch_rules(&shop(), "main").await.unwrap_err();
    assert!(given_up(&fault).contains("may not see it"), "{}", fault.whole());
    let none = RepositoryAt { owner: "acme".to_owned(), name: "none".to_owned() };
    let fault = github.branch_rules(&none, "main").await.unwrap_err();
    assert!(given_up(&fault).contains("the App is not installed for acme/none"), "{}", fault.whole());
}

#[tokio::test]
async fn a_suspended_app_says_so_before_and_after_it_is_known() {
    let (fake, github) = installed().await;
    fake.state().installation_of("acme").suspended = true;
    let fault = github.branch_rules(&shop(), "main").await.unwrap_err();
    assert!(given_up(&fault).contains("suspended at acme; lift that at http"), "{}", fault.whole());
    fake.state().installation_of("acme").suspended = false;
    github.branch_rules(&shop(), "main").await.unwrap();
    fake.state().installation_of("acme").suspended = true;
    let fault = github.pushes(&shop(), "main").await.unwrap_err();
    assert!(given_up(&fault).contains("the App at acme is suspended"), "{}", fault.whole());
}

#[tokio::test]
async fn an_app_that_was_removed_and_installed_again_goes_on() {
    let (fake, github) = installed().await;
    github.branch_rules(&shop(), "main").await.unwrap();
    {
        let mut state = fake.state();
        state.installations.clear();
        state.tokens.clear();
    }
    let fault = github.pushes(&shop(), "main").await.unwrap_err();
    assert!(given_up(&fault).contains("not installed for acme/shop"), "{}", fault.whole());
    fake.install("acme");
    github.pushes(&shop(), "main").await.unwrap();
}

#[tokio::test]
async fn a_renamed_repository_goes_on_and_its_new_name_is_told() {
    let (fake, github) = installed().await;
    github.branch_rules(&shop(), "main").await.unwrap();
    fake.rename("acme/shop", "acme/store");
    github.branch_rules(&shop(), "dev").await.unwrap();
    github.publish_check(&shop(), &check(CheckState::Running), None).await.unwrap();
    assert_eq!(fake.state().repository("acme/store").check_runs.len(), 1);
    let found = github.examine().await.unwrap();
    assert!(found.iter().any(|it| it.what == "acme/shop is called acme/store now"), "{found:#?}");
    // Whoever begins only now finds it too.
    let anew = as_app(&fake, limits());
    anew.branch_rules(&shop(), "dev").await.unwrap();
    // So it does at another owner.
    fake.install("other");
    fake.rename("acme/store", "other/store");
    as_app(&fake, limits()).branch_rules(&shop(), "dev").await.unwrap();
}

#[tokio::test]
async fn nothing_is_sent_to_where_it_is_redirected_elsewhere() {
    let (fake, github) = installed().await;
    github.branch_rules(&shop(), "main").await.unwrap();
    let (elsewhere, _) = installed().await;
    for to in
        [format!("{}/api/v3/repositories/1", elsewhere.url()), "//evil.example/x".to_owned(), "nonsense".to_owned()]
    {
        fake.trouble(RULES, Trouble::refuse(301, "Moved Permanently").with("Location", &to), 1);
        let fault = github.branch_rules(&shop(), "main").await.unwrap_err();
        assert!(given_up(&fault).contains("to another server"), "{}", fault.whole());
    }
    assert!(elsewhere.requests().is_empty());
    let around = format!("{}/api/v3/repos/acme/shop/rules/branches/main", fake.url());
    fake.trouble(RULES, Trouble::refuse(302, "Found").with("Location", &around), 100);
    let fault = github.branch_rules(&shop(), "main").await.unwrap_err();
    assert!(given_up(&fault).contains("on and on"), "{}", fault.whole());
}

#[tokio::test]
async fn writes_go_one_after_the_other_and_slowly_when_they_are_many() {
    let (fake, _) = installed().await;
    let every = Duration::from_millis(40);
    let github = as_app(&fake, Limits { writes_at_once: 2, write_every: every, ..limits() });
    github.branch_rules(&shop(), "main").await.unwrap();
    let begin = Instant::now();
    let writes = (0..8).map(|number| {
        let mut of = check(CheckState::Running);
        (of.name, of.key) = (format!("tidegate/dev/rule-{number}"), format!("webshop/run-{number}"));
        let github = &github;
        async move { github.publish_check(&shop(), &of, None).await.unwrap() }
    });
    let mut writes: Vec<_> = writes.map(Box::pin).collect();
    let mut done = vec![false; writes.len()];
    std::future::poll_fn(|context| {
        for (write, done) in writes.iter_mut().zip(&mut done) {
            if !*done {
                *done = write.as_mut().poll(context).is_ready();
            }
        }
        if done.iter().all(|done| *done) { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    assert_eq!(fake.most_writes_at_once(), 1);
    assert!(begin.elapsed() >= every * 5, "six of eight had to wait for one another: {:?}", begin.elapsed());
    assert_eq!(fake.state().repository("acme/shop").check_runs.len(), 8);
}

#[tokio::test]
async fn a_token_that_may_not_says_so() {
    let (fake, github) = with_token().await;
    fake.grant("acme/shop", "bot", "read");
    let fault = github.publish_check(&shop(), &check(CheckState::Running), None).await.unwrap_err();
    assert!(given_up(&fault).contains("the token may not do this"), "{}", fault.whole());
    fake.state().tokens.clear();
    let fault = github.branch_rules(&shop(), "main").await.unwrap_err();
    assert!(given_up(&fault).contains("GitHub does not know the token any more"), "{}", fault.whole());
    assert_eq!(fake.requests().iter().filter(|said| said.status == 401).count(), 1, "it is not tried again and again");
}
