//! Mail, to a server that takes it, refuses it, says nothing, or dies.

use std::time::{Duration, Instant};

use tidegate::providers::{
    Fault, Secret,
    mail::{Mail, MailServer, MailSettings, Security},
};

use crate::support::mailbox::{MailBox, Mood, TlsFrom};

const DEADLINE: Duration = Duration::from_secs(10);
const MAIL: Mail<'static> = Mail {
    id: "msg_0123",
    at_ms: 1_795_176_000_000,
    to: "release@example.com",
    subject: "[shop] deliver-1 in dev wartet – überall",
    text: "To approve it: tidegate approve deliver-1\n.\n..a line that begins with dots\nü\n",
};

fn server(mailbox: &MailBox, security: Security, credentials: Option<(&str, &str)>) -> MailServer {
    let settings = MailSettings {
        host: "127.0.0.1".to_owned(),
        port: mailbox.address.port(),
        security,
        from: "Tidegate <tidegate@shop.example>".to_owned(),
        credentials: credentials.map(|(user, password)| (user.to_owned(), Secret::new(password))),
    };
    MailServer::new(settings, DEADLINE).unwrap()
}

fn plain(mailbox: &MailBox) -> MailServer {
    server(mailbox, Security::None, None)
}

async fn retried(mood: Mood, expected: &str) -> MailBox {
    let mailbox = MailBox::start(&[mood]);
    match plain(&mailbox).send(&MAIL, DEADLINE).await {
        Err(Fault::Retry { error, .. }) => assert!(error.contains(expected), "{mood:?}: {error}"),
        other => panic!("{mood:?}: {other:?}"),
    }
    mailbox
}

#[tokio::test]
async fn a_mail_arrives_as_it_was_written_and_says_that_no_person_wrote_it() {
    let mailbox = MailBox::start(&[]);
    plain(&mailbox).send(&MAIL, DEADLINE).await.unwrap();
    let mail = mailbox.received().pop().unwrap();
    assert_eq!(
        (mail.from.as_str(), mail.to.as_slice()),
        ("tidegate@shop.example", ["release@example.com".to_owned()].as_slice())
    );
    assert_eq!(mail.header("Message-ID"), "<msg_0123@shop.example>");
    assert_eq!(mail.header("From"), "Tidegate <tidegate@shop.example>");
    assert_eq!(mail.header("Date"), "Fri, 20 Nov 2026 12:00:00 +0000");
    assert_eq!(mail.header("Auto-Submitted"), "auto-generated");
    assert!(mail.header("Subject").contains("=?utf-8?"), "{}", mail.header("Subject"));
    assert!(mail.text().contains("=C3=BC") || mail.text().contains('ü'), "{}", mail.text());
    assert!(mail.text().contains("\r\n..a line") || mail.text().contains("=2E"), "dots are kept: {}", mail.text());
}

#[tokio::test]
async fn what_may_pass_is_to_be_tried_again() {
    retried(Mood::Greet("421 too busy"), "421").await;
    retried(Mood::Recipient("450 4.2.1 greylisted, come again"), "greylisted").await;
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let gone = MailSettings {
        host: "127.0.0.1".to_owned(),
        port: nobody.port(),
        security: Security::None,
        from: "tidegate@shop.example".to_owned(),
        credentials: None,
    };
    let refused = MailServer::new(gone, DEADLINE).unwrap().send(&MAIL, DEADLINE).await;
    assert!(matches!(refused, Err(Fault::Retry { .. })), "{refused:?}");
}

#[tokio::test]
async fn a_server_that_dies_leaves_it_in_doubt_and_the_repeat_bears_the_same_id() {
    retried(Mood::DieInData, "mail to release@example.com").await;
    let mailbox = retried(Mood::DieAfterData, "mail to release@example.com").await;
    plain(&mailbox).send(&MAIL, DEADLINE).await.unwrap();
    let ids: Vec<String> = mailbox.received().iter().map(|mail| mail.header("Message-ID")).collect();
    assert_eq!(ids, ["<msg_0123@shop.example>", "<msg_0123@shop.example>"]);
}

#[tokio::test]
async fn a_server_that_says_nothing_is_left_at_the_deadline() {
    let mailbox = MailBox::start(&[Mood::Hang]);
    let begun = Instant::now();
    let outcome = plain(&mailbox).send(&MAIL, Duration::from_millis(300)).await;
    assert!(matches!(&outcome, Err(Fault::Retry { error, .. }) if error.contains("did not end")), "{outcome:?}");
    assert!(begun.elapsed() < DEADLINE, "it waited for {:?}", begun.elapsed());
}

#[tokio::test]
async fn what_will_not_pass_fails_and_says_what_to_do() {
    let mailbox = MailBox::start(&[Mood::Recipient("550 5.1.1 no such user")]);
    match plain(&mailbox).send(&MAIL, DEADLINE).await {
        Err(Fault::Fail { error, hint }) => {
            assert!(error.contains("550") && error.contains("no such user"), "{error}");
            assert!(hint.contains("check the address"), "{hint}");
        }
        other => panic!("{other:?}"),
    }
    let not_an_address = Mail { to: "nobody", ..MAIL };
    let outcome = plain(&mailbox).send(&not_an_address, DEADLINE).await;
    assert!(matches!(outcome, Err(Fault::Fail { .. })), "{outcome:?}");
    assert_eq!((mailbox.received(), mailbox.sessions()), (Vec::new(), 1));
}

#[tokio::test]
async fn a_user_signs_in_and_a_wrong_password_is_neither_tried_again_nor_shown() {
    let mailbox = MailBox::demanding(&[], Some("tide:gate"));
    server(&mailbox, Security::None, Some(("tide", "gate"))).send(&MAIL, DEADLINE).await.unwrap();
    assert_eq!(mailbox.received().pop().unwrap().user.as_deref(), Some("tide:gate"));
    for wrong in [Some(("tide", "hunter2")), None] {
        match server(&mailbox, Security::None, wrong).send(&MAIL, DEADLINE).await {
            Err(Fault::Fail { error, hint }) => {
                assert!(hint.contains("`username` and password"), "{hint}");
                assert!(!error.contains("hunter2") && !hint.contains("hunter2"), "{error}");
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(mailbox.received().len(), 1);
}

#[tokio::test]
async fn a_connection_that_must_be_protected_never_falls_back_to_plain() {
    let mailbox = MailBox::demanding(&[], Some("tide:gate"));
    let user = Some(("tide", "gate"));
    let outcome = server(&mailbox, Security::StartTls, user).send(&MAIL, DEADLINE).await;
    assert!(matches!(&outcome, Err(Fault::Fail { hint, .. }) if hint.contains("`security`")), "{outcome:?}");
    let outcome = server(&mailbox, Security::Tls, user).send(&MAIL, Duration::from_secs(2)).await;
    assert!(matches!(outcome, Err(Fault::Retry { .. })), "{outcome:?}");
    assert_eq!(mailbox.received(), []);
}

#[tokio::test]
async fn a_server_whose_certificate_nobody_vouches_for_is_told_no_password() {
    for (from, security) in [(TlsFrom::Start, Security::Tls), (TlsFrom::Command, Security::StartTls)] {
        let mailbox = MailBox::with_tls(from, "tide:gate");
        let settings = MailSettings {
            host: "localhost".to_owned(),
            port: mailbox.address.port(),
            security,
            from: "tidegate@shop.example".to_owned(),
            credentials: Some(("tide".to_owned(), Secret::new("gate"))),
        };
        match MailServer::new(settings, DEADLINE).unwrap().send(&MAIL, DEADLINE).await {
            Err(Fault::Retry { error, .. }) => assert!(error.contains("certificate"), "{security:?}: {error}"),
            other => panic!("{security:?}: {other:?}"),
        }
        assert_eq!(mailbox.received(), []);
    }
}
