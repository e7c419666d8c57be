//! What happens at GitHub is seen at once, though the next look is an hour away; and it is seen though the server is killed.

use serde_json::json;
use tidegate::{driver::now_ms, engine::RunState};

use super::{Hub, push};

#[test]
fn a_push_is_seen_by_its_webhook() {
    let mut hub = Hub::new();
    let github = hub.serve();
    for version in 2..=4 {
        let pushed =
            hub.delivery.software.commit("dev", "Sell more", &[("VERSION", &format!("webshop {version}.0\n"))]);
        let pushed_ms = now_ms();
        github.delivered(&format!("push-{version}"), "push", &push());
        let run = hub.delivery.ended_on("package", &pushed);
        assert_eq!(run.state, RunState::Done);
        println!("from the push to its first step: {} ms", run.steps[0].started_ms.unwrap() - pushed_ms);
    }
    assert_eq!(hub.looks(), 3);
    hub.delivery.granted(&["verify-log"]);
}

/// A webhook only wakes: what it says of commits is not believed, and an old one does no harm.
#[test]
fn deliveries_that_come_late_and_in_another_order_say_nothing_of_what_is_there() {
    let mut hub = Hub::new();
    let github = hub.serve();
    let first = hub.delivery.software.commit("dev", "Sell more", &[("VERSION", "webshop 2.0\n")]);
    let second = hub.delivery.software.commit("dev", "Sell all", &[("VERSION", "webshop 3.0\n")]);
    let says = |after: &str| json!({ "ref": "refs/heads/dev", "after": after, "repository": push()["repository"] });
    github.delivered("later", "push", &says(&second));
    hub.delivery.ended_on("package", &second);
    github.delivered("earlier", "push", &says(&first));
    github.delivered("made-up", "push", &says("0123456789012345678901234567890123456789"));
    github.delivered("deleted", "delete", &says(&second));
    for guid in ["earlier", "made-up", "deleted"] {
        assert_eq!(hub.outcome(guid), "a look at software of webshop");
    }
    // One more push, so that all looks before it have ended.
    let third = hub.delivery.software.commit("dev", "Sell on", &[("VERSION", "webshop 4.0\n")]);
    github.delivered("last", "push", &says(&third));
    hub.delivery.ended_on("package", &third);
    assert_eq!((hub.delivery.runs_on("package", &first), hub.delivery.runs_on("package", &second)), (0, 1));
}

#[test]
fn a_delivery_that_was_answered_is_done_though_the_server_is_killed() {
    let mut hub = Hub::new();
    for round in 0..4 {
        let github = hub.serve();
        let guid = format!("round-{round}");
        github.delivered(&guid, "push", &push());
        hub.delivery.kill();
        assert!(hub.kept(&guid).is_some(), "what was answered is kept");
    }
    drop(hub.serve());
    for round in 0..4 {
        assert_eq!(hub.outcome(&format!("round-{round}")), "a look at software of webshop");
    }
    assert!((1..=4).contains(&hub.looks()), "each is at most one look");
    hub.delivery.granted(&["verify-log"]);
}

/// As the database is when the server dies between its answer and the look.
#[test]
fn what_waits_at_the_start_is_done_and_all_of_one_repository_is_one_look() {
    let mut hub = Hub::new();
    drop(hub.serve());
    hub.delivery.kill();
    let pushed = hub.delivery.software.commit("dev", "Sell more", &[("VERSION", "webshop 2.0\n")]);
    hub.delivery.change_database(
        r#"WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200)
           INSERT INTO deliveries (guid, event, heard, received_ms)
           SELECT 'waits-' || i, 'push', '{"type":"moved","repository":"Repositories/software"}', 1 FROM n;
           INSERT INTO deliveries (guid, event, heard, received_ms)
           VALUES ('strange', 'push', '{"type":"of tomorrow"}', 1),
                  ('elsewhere', 'push', '{"type":"moved","repository":"acme/other"}', 1);"#,
    );
    drop(hub.serve());
    hub.delivery.ended_on("package", &pushed);
    assert_eq!(hub.outcome("waits-1"), "a look at software of webshop");
    assert_eq!(hub.outcome("waits-200"), "a look at software of webshop");
    assert_eq!(hub.outcome("strange"), "nothing: it cannot be read");
    assert_eq!(hub.outcome("elsewhere"), "nothing: no system has it");
    assert_eq!(hub.looks(), 1);
}

#[test]
fn what_happens_to_repositories_and_the_app_is_said_with_what_to_do() {
    let mut hub = Hub::new();
    let github = hub.serve();
    let renamed = json!({
        "action": "renamed",
        "repository": { "full_name": "repositories/shop" },
        "changes": { "repository": { "name": { "from": "software" } } },
    });
    github.delivered("renamed", "repository", &renamed);
    assert!(
        hub.outcome("renamed")
            .contains("repositories/software is called repositories/shop now: write that in its `url`")
    );
    assert!(hub.outcome("renamed").contains("software of webshop"));
    let archived = json!({ "action": "archived", "repository": { "full_name": "repositories/image" } });
    github.delivered("archived", "repository", &archived);
    assert!(hub.outcome("archived").contains("nothing can be pushed to it until somebody unarchives it"));
    let installation = |action: &str| {
        let lost = [json!({ "full_name": "repositories/image" }), json!({ "full_name": "repositories/other" })];
        json!({ "action": action, "installation": { "account": { "login": "repositories" } }, "repositories_removed": lost })
    };
    github.delivered("suspended", "installation", &installation("suspend"));
    assert!(hub.outcome("suspended").contains("until somebody who owns repositories lifts that"));
    github.delivered("removed", "installation_repositories", &installation("removed"));
    assert!(hub.outcome("removed").contains("(image of webshop)"), "{}", hub.outcome("removed"));
    let log = hub.delivery.server_log();
    for said in ["write that in its `url`", "unarchives it", "lifts that", "may not reach"] {
        assert!(log.contains(said), "{said}: {log}");
    }
    assert_eq!(hub.looks(), 0);
}
