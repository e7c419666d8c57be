//! The account of what was asked over HTTP, from where calls come, and how many anybody may make.

use serde_json::Value;

use super::{Caller, caller, token};
use crate::scenarios::delivery::Delivery;

const COMMANDS: &str = "/api/v1/systems/webshop/commands";
const PAUSE: &str = r#"{"type":"pause","reason":"a look"}"#;

fn calls(delivery: &Delivery) -> Vec<Value> {
    serde_json::from_str(&delivery.granted(&["-o", "json", "history", "--calls"])).unwrap()
}

#[test]
fn what_was_asked_is_kept_with_who_and_from_where_and_what_came_of_it() {
    let mut delivery = Delivery::careful();
    delivery.serve();
    let nobody = caller(&delivery);
    let looks = token(&delivery, "looks", "viewer", &[]);
    let does = token(&delivery, "does", "admin", &[]);
    assert_eq!(nobody.post(COMMANDS, PAUSE).status, 401);
    let refused = nobody.with_token(&looks).post(COMMANDS, PAUSE);
    assert_eq!(refused.status, 403);
    let granted = nobody.with_token(&does).with("X-Forwarded-For", "203.0.113.7").post(COMMANDS, PAUSE);
    assert_eq!(granted.status, 200);
    let again = nobody.with_token(&does).post(COMMANDS, PAUSE);
    assert_eq!(again.status, 409);
    assert_eq!(nobody.with_token(&does).post(COMMANDS, "{").status, 400);
    // Questions are not kept.
    assert_eq!(nobody.with_token(&looks).get("/api/v1/status").status, 200);

    let calls = calls(&delivery);
    let told = |call: &Value| {
        let text = |name: &str| call[name].as_str().unwrap_or("-").to_owned();
        assert_eq!((call["system"].as_str(), call["from"].as_str()), (Some("webshop"), Some("127.0.0.1")), "{call}");
        (text("who"), text("signed_in_by"), text("asked"), call["status"].as_u64().unwrap())
    };
    let paused = "paused it: a look";
    let expected = [
        ("-", "-", "command", 401),
        ("token/looks", "token", paused, 403),
        ("token/does", "token", paused, 200),
        ("token/does", "token", paused, 409),
        ("token/does", "token", "something that is no command", 400),
    ];
    let expected =
        expected.map(|(who, way_in, asked, status)| (who.to_owned(), way_in.to_owned(), asked.to_owned(), status));
    assert_eq!(calls.iter().map(told).collect::<Vec<_>>(), expected);
    assert_eq!(calls[2]["seq"], granted.json()["seq"]);
    assert_eq!(calls[1]["request"], refused.headers["x-request-id"]);
    assert!(calls[1]["why"].as_str().unwrap().contains("the role of this token does not give"), "{}", calls[1]);
    let text = delivery.granted(&["history", "--calls", "--system", "webshop", "--limit", "3"]);
    let seq = &calls[2]["seq"];
    assert!(text.lines().count() == 3 && text.contains(&format!("paused it: a look: event {seq}")), "{text}");
    assert!(!text.contains(&does) && !delivery.server_log().contains(&does));
}

#[test]
fn signing_in_is_kept_too() {
    let mut delivery = Delivery::by_hand();
    delivery.serve();
    let link = delivery.link();
    let (host, path) = link.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let nobody = Caller { host: host.to_owned(), headers: Vec::new() };
    assert_eq!(nobody.get("/sign-in").status, 200);
    assert_eq!(nobody.get("/sign-in?secret=guessed").status, 401);
    assert_eq!(nobody.get(&format!("/{path}")).status, 303);
    let calls = calls(&delivery);
    let told: Vec<_> = calls.iter().map(|call| (call["status"].as_u64().unwrap(), call["who"].as_str())).collect();
    assert_eq!(told, [(401, None), (303, Some("tester"))], "who only looks has asked for nothing: {calls:?}");
    assert!(calls.iter().all(|call| call["asked"] == "sign-in"), "{calls:?}");
    let secret = path.split_once("secret=").unwrap().1;
    assert!(!serde_json::to_string(&calls).unwrap().contains(secret));
}

#[test]
fn proxies_that_the_settings_name_say_where_a_call_comes_from() {
    let mut delivery = Delivery::careful();
    delivery
        .add_settings("[server]\nlisten = '127.0.0.1:0'\nproxies = ['127.0.0.0/8']\nforwarded_header = 'forwarded'\n");
    delivery.serve();
    let program = caller(&delivery).with_token(&token(&delivery, "does", "admin", &[]));
    let ask = |program: &Caller| assert_eq!(program.post(COMMANDS, "{").status, 400);
    ask(&program);
    ask(&program.with("Forwarded", "for=198.51.100.1, for=203.0.113.7;proto=https"));
    ask(&program.with("X-Forwarded-For", "198.51.100.1"));
    let from: Vec<Value> = calls(&delivery).into_iter().map(|mut call| call["from"].take()).collect();
    assert_eq!(from, ["127.0.0.1", "203.0.113.7", "127.0.0.1"]);
}

#[test]
fn who_asks_too_much_is_told_when_to_ask_again() {
    let mut delivery = Delivery::careful();
    delivery.add_settings("[server]\ncalls_per_second = 1\n");
    delivery.serve();
    let nobody = caller(&delivery);
    let (eager, other) = (token(&delivery, "eager", "viewer", &[]), token(&delivery, "other", "viewer", &[]));
    let eager = nobody.with_token(&eager);
    let refused = (0..60).map(|_| eager.get("/api/v1/me")).find(|answer| answer.status != 200).unwrap();
    assert_eq!((refused.status, &refused.json()["again_after_s"]), (429, &1.into()), "{}", refused.text());
    assert_eq!(refused.headers["retry-after"], "1");
    // Others ask as before, and the command line waits as long as it is told to.
    assert_eq!(nobody.with_token(&other).get("/api/v1/me").status, 200);
    while eager.get("/api/v1/me").status == 200 {}
    let url = format!("http://{}", nobody.host);
    let file = delivery.root().join("eager.token");
    std::fs::write(&file, eager.headers[0].1.trim_start_matches("Bearer ")).unwrap();
    delivery.granted(&["--server", &url, "--token-file", file.to_str().unwrap(), "status"]);
    // Of calls that were too many, only some are kept: whoever makes them would push out the rest.
    let refused = (0..200).filter(|_| eager.post(COMMANDS, PAUSE).status == 429).count();
    let kept = calls(&delivery).iter().filter(|call| call["status"] == 429).count();
    assert!(refused > 100 && (1..=90).contains(&kept), "{kept} of {refused}");
    // Guesses are fewer, whoever makes them, and answer less and less.
    let guess = nobody.with_token("tide_guessed");
    let guessed: Vec<u16> = (0..25).map(|_| guess.get("/api/v1/me").status).collect();
    assert!(guessed.starts_with(&[401; 20]) && guessed.ends_with(&[429]), "{guessed:?}");
    assert_eq!(nobody.get("/sign-in?secret=guessed").status, 429);
    assert_eq!(nobody.with_token(&other).get("/healthz").status, 200);
}
