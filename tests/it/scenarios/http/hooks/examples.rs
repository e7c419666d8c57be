//! The payloads that GitHub's own examples have: those of events that something is done for do it, and each other one is answered
//! and changes nothing.

use serde_json::{Value, json};

use super::{super::last, Hub};
use crate::support::tool;

/// What should become of a delivery.
#[derive(Debug, PartialEq, Eq)]
enum Becomes {
    Look,
    /// What waits for checks is asked again; nothing does here.
    Asked,
    People,
    /// A repository or the App is not what or where it was.
    Said,
    /// Somebody pressed a button; none of ours here.
    Refused,
    Counted,
}

fn becomes(event: &str, action: &str) -> Becomes {
    match (event, action) {
        ("push" | "create" | "delete" | "pull_request", _) => Becomes::Look,
        ("status", _) | ("check_run" | "check_suite" | "workflow_run", "completed") => Becomes::Asked,
        ("check_run", "requested_action") => Becomes::Refused,
        ("member" | "membership" | "organization" | "team" | "team_add", _) => Becomes::People,
        ("repository", "created" | "edited") => Becomes::Counted,
        ("repository" | "installation" | "installation_repositories", _) => Becomes::Said,
        _ => Becomes::Counted,
    }
}

#[test]
fn every_example_of_githubs_own_moves_what_it_should_and_nothing_else() {
    let path = "webhooks-examples-7.6.1/api.github.com/index.json";
    let Some(path) = tool(path) else { panic!("there is no target/tools/{path}: scripts/test fetches it") };
    let examples: Vec<Value> = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let mut hub = Hub::new();
    let github = hub.serve();
    let mut delivered = Vec::new();
    for of_event in &examples {
        let event = of_event["name"].as_str().unwrap();
        for example in of_event["examples"].as_array().unwrap() {
            let mut payload = example.clone();
            if payload["repository"].is_object() {
                payload["repository"]["full_name"] = json!("repositories/software");
            }
            let action = payload["action"].as_str().unwrap_or_default();
            let guid = format!("{}-{event}-{action}", delivered.len());
            delivered.push((guid, event, becomes(event, action), payload));
        }
    }
    assert!(delivered.len() > 300 && examples.len() > 50, "the examples were found");
    // Those first that change nothing: nothing has changed then.
    delivered.sort_by_key(|(_, _, becomes, _)| *becomes != Becomes::Counted);
    let before = last(&hub.delivery, "webshop");
    let mut counted = 0;
    for (guid, event, becomes, payload) in &delivered {
        if *becomes != Becomes::Counted && counted > 0 {
            assert_eq!(last(&hub.delivery, "webshop"), before);
            assert!(counted > 150, "{counted}");
            counted = 0;
        }
        counted += usize::from(*becomes == Becomes::Counted);
        github.delivered(guid, event, payload);
    }
    for (guid, _, becomes, _) in &delivered {
        let outcome = hub.outcome(guid);
        let is_right = match becomes {
            Becomes::Look => outcome == "a look at software of webshop",
            Becomes::Asked => outcome == "nothing: nothing waits for it",
            Becomes::People => outcome == "who is in the teams is asked",
            Becomes::Said => outcome.contains("repositor") || outcome.contains("the App"),
            Becomes::Refused => outcome == "refused: the check is not one of this server's App",
            Becomes::Counted => outcome == "nothing is done for it",
        };
        assert!(is_right, "{guid}: {outcome}, and not {becomes:?}");
    }
    assert!(hub.looks() > 0);
    hub.delivery.granted(&["verify-log"]);
}
