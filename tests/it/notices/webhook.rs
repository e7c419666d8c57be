//! Webhooks, to a receiver that checks the signature, refuses, asks to wait, says nothing, or dies.

use std::time::Duration;

use tidegate::providers::{
    Fault, Secret,
    webhook::{Post, Webhook},
};

use crate::support::hook::{Answer, Hook, SECRET};

const DEADLINE: Duration = Duration::from_secs(10);
const POST: Post<'static> = Post { id: "msg_0123", body: r#"{"type":"deployed","data":{"stage":"dev"}}"# };

fn webhook(hook: &Hook, secrets: &[&str]) -> Webhook {
    Webhook::new(&hook.url(), &secrets.iter().map(|secret| Secret::new(*secret)).collect::<Vec<_>>()).unwrap()
}

async fn answered(answer: Answer) -> Result<(), Fault> {
    let hook = Hook::start(&[answer]);
    let outcome = webhook(&hook, &[SECRET]).send(&POST, DEADLINE).await;
    let said = format!("{outcome:?}");
    assert!(!said.contains("hidden") && !said.contains("whsec"), "{said}");
    outcome
}

#[tokio::test]
async fn a_post_is_signed_and_taken_by_who_has_the_secret() {
    let hook = Hook::start(&[]);
    webhook(&hook, &[SECRET]).send(&POST, DEADLINE).await.unwrap();
    let post = hook.posts().pop().unwrap();
    assert_eq!((post.id.as_str(), post.text.as_str()), (POST.id, POST.body));
}

#[tokio::test]
async fn while_a_secret_is_rotated_both_sign_and_a_wrong_one_is_refused() {
    let (hook, other) = (Hook::start(&[]), "another secret, also long enough");
    webhook(&hook, &[other, SECRET]).send(&POST, DEADLINE).await.unwrap();
    match webhook(&hook, &[other]).send(&POST, DEADLINE).await {
        Err(Fault::Fail { error, hint }) => {
            assert!(error.contains("401") && error.contains("not of this secret"), "{error}");
            assert!(hint.contains("secret"), "{hint}");
        }
        outcome => panic!("{outcome:?}"),
    }
    assert_eq!(hook.posts().len(), 1);
}

#[tokio::test]
async fn what_may_pass_is_to_be_tried_again_when_the_receiver_says() {
    let waits = [
        (Answer::Say("500 Internal Server Error", "", "oh"), None),
        (Answer::Say("429 Too Many Requests", "Retry-After: 120\r\n", ""), Some(Duration::from_secs(120))),
        (
            Answer::Say("503 Service Unavailable", "Retry-After: Fri, 20 Nov 1998 12:00:00 GMT\r\n", ""),
            Some(Duration::ZERO),
        ),
        (Answer::Say("408 Request Timeout", "", ""), None),
        (Answer::HangUp, None),
    ];
    for (answer, expected) in waits {
        match answered(answer).await {
            Err(Fault::Retry { after, .. }) => assert_eq!(after, expected, "{answer:?}"),
            outcome => panic!("{answer:?}: {outcome:?}"),
        }
    }
}

#[tokio::test]
async fn what_will_not_pass_fails_and_says_what_to_do() {
    for (status, headers, expected) in [
        ("400 Bad Request", "", "log"),
        ("404 Not Found", "", "`url`"),
        ("410 Gone", "", "`url`"),
        ("302 Found", "Location: http://127.0.0.1:1/\r\n", "redirects are not followed"),
    ] {
        match answered(Answer::Say(status, headers, "go away")).await {
            Err(Fault::Fail { error, hint }) => {
                assert!(error.contains(&status[..3]) && error.contains("go away"), "{error}");
                assert!(hint.contains(expected), "{status}: {hint}");
            }
            outcome => panic!("{status}: {outcome:?}"),
        }
    }
}

#[tokio::test]
async fn a_receiver_that_says_nothing_is_left_at_the_deadline() {
    let hook = Hook::start(&[Answer::Hang]);
    let outcome = webhook(&hook, &[SECRET]).send(&POST, Duration::from_millis(300)).await;
    assert!(matches!(outcome, Err(Fault::Retry { .. })), "{outcome:?}");
}

#[tokio::test]
async fn a_repeat_is_known_by_its_id() {
    let hook = Hook::start(&[Answer::Say("500 Internal Server Error", "", ""), Answer::HangUp]);
    let webhook = webhook(&hook, &[SECRET]);
    for attempt in 1..=3 {
        assert_eq!(webhook.send(&POST, DEADLINE).await.is_ok(), attempt == 3);
    }
    assert_eq!((hook.posts().len(), hook.taken().len()), (3, 1));
}
