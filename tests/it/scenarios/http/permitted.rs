//! Every route of the table, asked by those who may not; and what viewers of one system learn of another.

use tidegate::web::routes::{Method, Needs, ROUTES, Route};

use super::{Caller, caller, last, token};
use crate::scenarios::delivery::Delivery;

/// A path of a route, with all that it needs.
fn path(route: &Route, system: &str) -> String {
    let parts: Vec<(&str, &str)> = route
        .parts()
        .map(|part| match part {
            "system" => (part, system),
            "run" => (part, "deliver-1"),
            part => (part, "dev"),
        })
        .collect();
    let needed = route.query.iter().filter(|known| known.required).map(|known| format!("{}=dev", known.name));
    let needed = needed.collect::<Vec<_>>().join("&");
    let mark = if needed.is_empty() { "" } else { "?" };
    format!("{}{mark}{needed}", route.at(&parts))
}

fn ask(caller: &Caller, route: &Route, path: &str) -> super::Answer {
    let pause = r#"{"type":"pause","reason":"a look"}"#;
    let nudge = r#"{"what":{"type":"repository","repository":"ledger"},"delivery":"d-1"}"#;
    match (route.method, route.name) {
        (Method::Get, _) => caller.get(path),
        (Method::Post, "nudge") => caller.post(path, nudge),
        (Method::Post, _) => caller.post(path, pause),
    }
}

#[test]
fn every_route_of_the_table_needs_what_it_says() {
    let mut delivery = Delivery::by_hand();
    delivery.serve_with_billing("");
    let nobody = caller(&delivery);
    let viewer = nobody.with_token(&token(&delivery, "looks", "viewer", &["webshop"]));
    let other = nobody.with_token(&token(&delivery, "other", "admin", &["billing"]));
    let (webshop, billing) = (last(&delivery, "webshop"), last(&delivery, "billing"));
    for route in ROUTES {
        let path = path(route, "webshop");
        let said = |caller: &Caller| {
            let answer = ask(caller, route, &path);
            (answer.status, String::from_utf8_lossy(&answer.body).into_owned())
        };
        let (unknown, why) = said(&nobody);
        match route.needs {
            // There is no issuer here.
            Needs::Nothing if path.starts_with("/sign-in/") => assert_eq!(unknown, 404, "{path}: {why}"),
            // No forge is set up.
            Needs::Nothing if route.is_signed => assert_eq!(unknown, 404, "{path}: {why}"),
            Needs::Nothing => assert_eq!(unknown, 200, "{path}: {why}"),
            Needs::SignedIn | Needs::View | Needs::Command => assert_eq!(unknown, 401, "{path}: {why}"),
        }
        if matches!(route.needs, Needs::View | Needs::Command) {
            let (status, why) = said(&other);
            assert_eq!(status, 404, "{path}: {why}");
            assert!(why.contains("there is no system `webshop`; there are: billing"), "{why}");
        }
        if route.needs == Needs::Command && route.name != "nudge" {
            let (status, why) = said(&viewer);
            assert_eq!(status, 403, "{path}: {why}");
            assert!(why.contains("\"who_could\":\"") && why.contains("the permission `hold`"), "{why}");
        }
    }
    assert_eq!(last(&delivery, "billing"), billing, "nothing of it was changed");
    let moved = delivery.granted(&["history", "--system", "webshop", "--since", &(webshop + 1).to_string()]);
    assert!(!moved.contains("paused it"), "{moved}");
}

#[test]
fn viewers_of_one_system_do_not_learn_of_another() {
    let mut delivery = Delivery::by_hand();
    delivery.serve_with_billing("");
    let viewer = caller(&delivery).with_token(&token(&delivery, "looks", "viewer", &["webshop"]));
    for path in ["/api/v1/systems", "/api/v1/status", "/api/v1/me"] {
        let answer = viewer.get(path);
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        assert!(answer.status == 200 && text.contains("webshop") && !text.contains("billing"), "{path}: {text}");
    }
    // One that is there and is not theirs, and one that is not there: the same words.
    let words = |system: &str| viewer.get(&format!("/api/v1/systems/{system}/status")).text().replace(system, "X");
    assert_eq!(words("billing"), words("missing"));
    assert_eq!(viewer.get("/api/v1/status?system=billing").status, 404);
    assert_eq!(viewer.get("/api/v1/status?system=missing").status, 404);
    assert_eq!(viewer.get("/api/v1/events?after=billing:1").status, 400);
}

#[test]
fn people_and_roles_change_without_a_new_start() {
    let mut delivery = Delivery::by_hand();
    delivery.serve();
    let operator = caller(&delivery).with_token(&token(&delivery, "ci", "operator", &[]));
    let pause = r#"{"type":"pause","reason":"a look"}"#;
    let resume = r#"{"type":"resume"}"#;
    let commands = "/api/v1/systems/webshop/commands";
    assert_eq!(operator.post(commands, pause).status, 200);
    // Where roles are given to people, a token has its own, and no more.
    delivery.add_settings(super::GRANTS);
    assert_eq!(operator.post(commands, resume).status, 200);
    let hotfix = r#"{"type":"hotfix","what":"deliver-1","reason":"it leaks"}"#;
    let refused = operator.post(commands, hotfix);
    assert_eq!(refused.status, 403, "{}", refused.text());
    // Settings with a mistake leave the last good ones in force.
    delivery.add_settings("[server]\nlisten = 'nowhere'\n");
    assert_eq!(operator.post(commands, pause).status, 200);
    delivery.stop();
    assert!(delivery.server_log().contains("stay in force"), "{}", delivery.server_log());
}
