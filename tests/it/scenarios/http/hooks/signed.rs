//! Only what a secret of the settings signed is taken in, each delivery once, and what is no delivery moves nothing.

use serde_json::json;

use super::{Hub, PATH, SECRET, push, signature};

#[test]
fn what_nobody_signed_who_may_is_refused_and_not_told_why() {
    let mut hub = Hub::new();
    let github = hub.serve();
    let body = push().to_string();
    let good = signature(SECRET, body.as_bytes());
    let sha1 = "sha1=7d38cdd689735b008b3c702edd92eea23791c5f6";
    let sent = |guid: &str, signature: &str| github.sends(guid, "push", signature, &body);
    let refused = [
        github.named("missing", "push").post(PATH, &body),
        github.named("old", "push").with("X-Hub-Signature", sha1).post(PATH, &body),
        sent("old", sha1),
        sent("foreign", &signature("the secret of somebody else", body.as_bytes())),
        sent("empty", ""),
        sent("half", &good[..40]),
        github.sends("forged", "push", &good, &body.replace("Software", "software")),
        github.sends("longer", "push", &good, &format!("{body} ")),
        github
            .named("two", "push")
            .with("X-Hub-Signature-256", &good)
            .with("X-Hub-Signature-256", &good)
            .post(PATH, &body),
        // A page of the browser of somebody who has signed in is nobody here either.
        github.named("page", "push").with("Origin", "https://evil.example").post(PATH, &body),
    ];
    for answer in &refused {
        assert_eq!((answer.status, answer.body.len()), (401, 0), "{answer:?}");
        assert!(!answer.headers.contains_key("www-authenticate") && !answer.headers.contains_key("content-type"));
    }
    for guid in ["missing", "old", "foreign", "empty", "half", "forged", "longer", "two", "page"] {
        assert_eq!(hub.kept(guid), None);
    }
    let log = hub.delivery.server_log();
    assert!(log.contains("no secret of `webhook_secret_file` signed it") && !log.contains("refs/heads"), "{log}");
    assert!(!log.contains(&good[7..]) && !log.contains(SECRET), "{log}");
    let calls = hub.delivery.granted(&["history", "--calls"]);
    assert!(!calls.contains("webhook"), "{calls}");
    assert_eq!(sent("good", &good).status, 202);
    assert_eq!(hub.outcome("good"), "a look at software of webshop");
    assert_eq!(hub.looks(), 1);
}

#[test]
fn an_address_whose_signatures_are_wrong_is_slowed_down() {
    let mut hub = Hub::new();
    let github = hub.serve();
    let body = push().to_string();
    let foreign = signature("another", body.as_bytes());
    let wrong = (0..40).map(|number| github.sends(&format!("wrong-{number}"), "push", &foreign, &body));
    let Some(slowed) = wrong.take(40).find(|answer| answer.status != 401) else { panic!("it may try for ever") };
    assert!(slowed.status == 429 && slowed.headers.contains_key("retry-after"), "{slowed:?}");
    assert_eq!(github.delivers("right", "push", &push()).status, 429, "all of that address wait");
    assert_eq!(github.caller.get("/healthz").status, 200);
    assert_eq!(hub.kept("right"), None);
}

#[test]
fn a_secret_that_takes_the_place_of_another_counts_at_once_and_both_while_both_are_there() {
    let mut hub = Hub::new();
    let github = hub.serve();
    let body = push().to_string();
    let by = |guid: &str, secret: &str| github.sends(guid, "push", &signature(secret, body.as_bytes()), &body).status;
    assert_eq!((by("a1", SECRET), by("a2", "the next one")), (202, 401));
    hub.write("hooks", &format!("{SECRET}\n the next one \n"));
    assert_eq!((by("b1", SECRET), by("b2", "the next one")), (202, 202));
    hub.write("hooks", "the next one\n");
    assert_eq!((by("c1", SECRET), by("c2", "the next one")), (401, 202));
    // Without one nothing can be checked: GitHub is to deliver it again, when there is one.
    std::fs::remove_file(hub.delivery.root().join("hooks")).unwrap();
    let answer = github.delivers("d", "push", &push());
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert!(!answer.text().contains("hooks"), "{}", answer.text());
    assert!(hub.delivery.server_log().contains("webhook_secret_file"), "{}", hub.delivery.server_log());
    hub.write("hooks", SECRET);
    assert_eq!(by("d", SECRET), 202);
}

#[test]
fn without_a_secret_there_is_no_such_place() {
    let mut hub = Hub::new();
    let settings = std::fs::read_to_string(hub.delivery.config()).unwrap();
    std::fs::write(hub.delivery.config(), settings.replace("webhook_secret_file = 'hooks'", "")).unwrap();
    let github = hub.serve();
    let answer = github.delivers("none", "push", &push());
    assert_eq!(answer.status, 404);
    let other = github.caller.post("/webhooks/gitlab", "{}");
    assert_eq!(other.text().replace("gitlab", "github"), answer.text());
    // It begins with the settings, without a new start.
    std::fs::write(hub.delivery.config(), settings).unwrap();
    github.delivered("some", "push", &push());
    assert_eq!(hub.outcome("some"), "a look at software of webshop");
}

#[test]
fn a_delivery_that_comes_again_moves_nothing_though_a_week_has_passed() {
    let mut hub = Hub::new();
    let github = hub.serve();
    github.delivered("g-1", "push", &push());
    assert_eq!(hub.outcome("g-1"), "a look at software of webshop");
    github.delivered("g-1", "push", &push());
    github.delivered("g-1", "star", &json!({ "action": "created" }));
    hub.delivery
        .change_database("UPDATE deliveries SET received_ms = received_ms - 604800000, done_ms = done_ms - 604800000");
    github.delivered("g-1", "push", &push());
    github.delivered("g-2", "push", &push());
    assert_eq!(hub.outcome("g-2"), "a look at software of webshop");
    assert_eq!(hub.kept("g-1").unwrap().event, "push");
    assert_eq!(hub.looks(), 2, "each once");
    // Nobody delivers anything again after so long: then it is forgotten, when the next one comes.
    hub.delivery.change_database("UPDATE deliveries SET received_ms = received_ms - 172800000 WHERE guid = 'g-1'");
    github.delivered("g-3", "star", &json!({}));
    assert_eq!((hub.kept("g-1"), hub.kept("g-2").is_some()), (None, true));
}

#[test]
fn what_is_no_delivery_is_refused_and_what_nobody_waits_for_is_counted() {
    let mut hub = Hub::new();
    let github = hub.serve();
    let sent =
        |guid: &str, event: &str, body: &str| github.sends(guid, event, &signature(SECRET, body.as_bytes()), body);
    for (number, body) in
        ["", "{", "[]", "null", "7", "{}{}", &"[".repeat(100_000), "{\"a\":\"\u{0}\"}"].iter().enumerate()
    {
        let answer = sent(&format!("bad-{number}"), "push", body);
        assert_eq!(answer.status, 400, "{body:.20}: {}", answer.text());
    }
    let lacks = sent("lacks", "push", "{}");
    assert!(lacks.status == 400 && lacks.text().contains("a `push` names a repository"), "{}", lacks.text());
    let form = "payload=%7B%7D";
    let of_form = github.named("form", "push").with("X-Hub-Signature-256", &signature(SECRET, form.as_bytes()));
    let answer = of_form.send("POST", PATH, "application/x-www-form-urlencoded", form);
    assert!(answer.status == 400 && answer.text().contains("content type be `application/json`"), "{}", answer.text());
    for (guid, event) in [("", "push"), ("g", ""), ("two words", "push"), (&"g".repeat(101), "push")] {
        assert_eq!(sent(guid, event, &push().to_string()).status, 400, "{guid} {event}");
    }
    assert_eq!(github.caller.get(PATH).status, 405);
    github.delivered("ping", "ping", &json!({ "zen": "Design for failure." }));
    github.delivered("new", "an_event_of_tomorrow", &json!({ "repository": 7 }));
    for guid in ["ping", "new"] {
        assert_eq!(hub.kept(guid).unwrap().outcome.as_deref(), Some("nothing is done for it"));
    }
    assert_eq!(hub.looks(), 0);
}

#[test]
fn what_is_longer_than_any_delivery_is_refused() {
    let mut hub = Hub::new();
    let github = hub.serve();
    let most = 25 * 1024 * 1024;
    let begin = r#"{"repository":{"full_name":"repositories/software"},"more":""#;
    let whole = |length: usize| format!("{begin}{}\"}}", "m".repeat(length - begin.len() - 2));
    let long = whole(most + 1);
    assert_eq!(github.sends("long", "push", &signature(SECRET, long.as_bytes()), &long).status, 413);
    assert_eq!(hub.kept("long"), None);
    let longest = whole(most);
    assert_eq!(github.sends("longest", "push", &signature(SECRET, longest.as_bytes()), &longest).status, 202);
    assert_eq!(hub.outcome("longest"), "a look at software of webshop");
    // Others send as little as ever.
    assert_eq!(github.caller.post("/api/v1/releases", &whole(70_000)).status, 401);
}
