//! Who signs in, how, and until when; and what others cannot do in their place.

use super::{Caller, DEADLINE, address, caller, token};
use crate::scenarios::delivery::Delivery;

fn split(link: &str) -> (Caller, String) {
    let (host, path) = link.strip_prefix("http://").unwrap().split_once('/').unwrap();
    (Caller { host: host.to_owned(), headers: Vec::new() }, format!("/{path}"))
}

#[test]
fn a_link_signs_its_reader_in_once_and_nobody_else() {
    let mut delivery = Delivery::by_hand();
    delivery.serve();
    let link = delivery.link();
    let (nobody, path) = split(&link);
    assert_eq!(nobody.get("/").status, 401);
    assert_eq!(nobody.get("/sign-in?secret=guessed").status, 401);
    let signed_in = nobody.get(&path);
    assert_eq!((signed_in.status, signed_in.headers["location"].as_str()), (303, "/"));
    let cookie = &signed_in.headers["set-cookie"];
    assert!(cookie.contains("; HttpOnly; SameSite=Lax") && cookie.contains("; Path=/;"), "{cookie}");
    assert!(!cookie.contains("Domain"), "{cookie}");
    assert_eq!(nobody.get(&path).status, 401, "it is good once");
    let somebody = nobody.with("Cookie", cookie.split(';').next().unwrap());
    assert!(somebody.get("/").text().contains("signed in as tester"), "{}", somebody.get("/").text());
    let me = somebody.told("/api/v1/me");
    assert_eq!(me["signed_in_by"], "link");
    let page = me["page_token"].as_str().unwrap();
    // The next link is another, and makes another session.
    let next = delivery.link();
    assert_ne!(next, link);
    let second = nobody.get(&split(&next).1);
    assert_ne!(second.headers["set-cookie"], *cookie);
    // A session that somebody else chose is none.
    let (name, _) = cookie.split_once('=').unwrap();
    assert_eq!(nobody.with("Cookie", &format!("{name}=chosen")).get("/").status, 401);

    let own = format!("http://{}", nobody.host);
    let pause = r#"{"type":"pause","reason":"a look"}"#;
    let commands = "/api/v1/systems/webshop/commands";
    assert_eq!(somebody.with("Origin", &own).post(commands, pause).status, 403, "it comes from no page of ours");
    let somebody = somebody.with("X-Tidegate-Page", page);
    for (header, value) in [("Origin", "http://evil.example"), ("Origin", "null"), ("Sec-Fetch-Site", "cross-site")] {
        assert_eq!(somebody.with(header, value).post(commands, pause).status, 403, "{header}: {value}");
    }
    assert_eq!(somebody.post(commands, pause).status, 403, "a browser says where a command comes from");
    assert_eq!(somebody.with("Origin", &own).post(commands, pause).status, 200);
    assert_eq!(somebody.with("Origin", &own).post("/sign-out", "").status, 200);
    assert_eq!(somebody.get("/").status, 401, "the session has ended");

    // It ends with the server.
    let other = nobody.with("Cookie", second.headers["set-cookie"].split(';').next().unwrap());
    assert_eq!(other.get("/").status, 200);
    delivery.stop();
    delivery.serve();
    let again = Caller { host: caller(&delivery).host, ..other };
    assert_eq!(again.get("/").status, 401);
    let log = delivery.server_log();
    for secret in [&link, &next, cookie] {
        let secret = secret.split('=').nth(1).unwrap().split(';').next().unwrap();
        assert!(!log.contains(secret), "no secret is in the log");
    }
}

#[test]
fn a_token_is_good_until_it_ends_and_is_kept_nowhere() {
    let mut delivery = Delivery::by_hand();
    delivery.serve();
    let nobody = caller(&delivery);
    let operator = token(&delivery, "ci", "operator", &["webshop"]);
    assert!(operator.starts_with("tide_"), "{operator}");
    let listed = delivery.granted(&["token", "list"]);
    assert!(listed.contains("ci  operator  webshop  until ") && listed.contains("never used"), "{listed}");
    let ci = nobody.with_token(&operator);
    let me = ci.told("/api/v1/me");
    assert_eq!(
        (&me["name"], &me["role"], &me["systems"][0]),
        (&"token/ci".into(), &"operator".into(), &"webshop".into())
    );
    assert!(!delivery.granted(&["token", "list"]).contains("never used"));
    for bad in [&operator[..operator.len() - 1], "tide_", "x", ""] {
        assert_eq!(nobody.with_token(bad).get("/api/v1/me").status, 401, "{bad}");
    }
    let pause = r#"{"type":"pause","reason":"a look"}"#;
    let evil = ci.with("Origin", "http://evil.example");
    assert_eq!(evil.post("/api/v1/systems/webshop/commands", pause).status, 403, "no page of others has it");
    assert_eq!(ci.post("/api/v1/systems/webshop/commands", pause).status, 200);
    assert!(delivery.granted(&["history"]).contains("token/ci paused it: a look"));
    let why = delivery.refused(&["token", "create", "--name", "ci", "--role", "viewer"], 1);
    assert!(why.contains("take another name"), "{why}");
    let why = delivery.refused(&["token", "create", "--name", "x", "--role", "impersonator"], 2);
    assert!(why.contains("viewer, operator, approver or admin"), "{why}");
    delivery.granted(&["token", "revoke", "ci"]);
    assert_eq!(ci.get("/api/v1/me").status, 401, "at once");
    let short =
        delivery.granted(&["-o", "json", "token", "create", "--name", "short", "--role", "viewer", "--expires", "1s"]);
    let short: serde_json::Value = serde_json::from_str(&short).unwrap();
    let short = nobody.with_token(short["token"].as_str().unwrap());
    let ends = std::time::Instant::now() + DEADLINE;
    while short.get("/api/v1/me").status == 200 {
        assert!(std::time::Instant::now() < ends, "it ends by itself");
    }
    delivery.stop();
    assert!(!delivery.server_log().contains(&operator));
    let database = std::fs::read(delivery.root().join("data/tidegate.db")).unwrap();
    assert!(!database.windows(operator.len()).any(|bytes| bytes == operator.as_bytes()), "it is kept nowhere");
}

#[test]
fn a_server_answers_only_to_its_own_names() {
    let mut delivery = Delivery::by_hand();
    delivery.add_settings("[server]\nurl = 'https://tide.example'\n");
    delivery.serve();
    let link = delivery.link();
    assert!(link.starts_with("https://tide.example/sign-in?secret="), "{link}");
    let log = delivery.server_log();
    let caller = Caller { host: address(&log), headers: Vec::new() };
    assert_eq!(caller.get("/healthz").text(), "ok\n");
    assert_eq!(caller.get("/readyz").text(), "ready\n");
    for (host, status) in [("tide.example", 200), ("localhost:1", 421), ("evil.example", 421), ("", 421)] {
        let text = format!("GET /healthz HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        assert_eq!(caller.raw(text.as_bytes()).unwrap().status, status, "{host}");
    }
    // Behind a proxy that speaks TLS, the cookie is for TLS alone.
    let path = link.strip_prefix("https://tide.example").unwrap();
    let text = format!("GET {path} HTTP/1.1\r\nHost: tide.example\r\nConnection: close\r\n\r\n");
    let cookie = caller.raw(text.as_bytes()).unwrap().headers["set-cookie"].clone();
    assert!(cookie.starts_with("__Host-tidegate=") && cookie.contains("; Secure"), "{cookie}");
}

#[test]
fn where_nobody_is_to_listen_nobody_does() {
    let mut delivery = Delivery::by_hand();
    delivery.add_settings("[server]\nlisten = 'none'\n");
    delivery.serve();
    assert!(!delivery.server_log().contains("listening"), "{}", delivery.server_log());
    delivery.stop();
    delivery.add_settings("[server]\nlisten = '0.0.0.0:0'\n");
    let text = std::fs::read_to_string(delivery.config()).unwrap().replace("[server]\nlisten = 'none'\n", "");
    std::fs::write(delivery.config(), text).unwrap();
    let why = delivery.refused(&["status"], 1);
    assert!(why.contains("which other machines can reach"), "{why}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_server_listens_at_an_address_of_its_own() {
    let host = |delivery: &mut Delivery| {
        delivery.serve();
        let host = caller(delivery).host;
        delivery.stop();
        host.rsplit_once(':').unwrap().0.to_owned()
    };
    let (mut one, mut two) = (Delivery::by_hand(), Delivery::by_hand());
    let (first, second) = (host(&mut one), host(&mut two));
    assert!(first.starts_with("127.") && first != "127.0.0.1" && first != second, "{first} {second}");
    assert_eq!(host(&mut one), first, "the same each time: browsers remember it");
    one.add_settings("[server]\nlisten = '127.0.0.1:0'\n");
    assert_eq!(host(&mut one), "127.0.0.1");
}
