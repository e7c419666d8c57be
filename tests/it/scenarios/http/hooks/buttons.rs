//! A button below a check asks the engine, in the name of who pressed it, for what the check showed and nothing else.

use rcgen::{KeyPair, PKCS_RSA_SHA256, RsaKeySize};
use serde_json::{Value, json};
use tidegate::engine::{Run, RunState};

use super::{GitHub, Hub, push};
use crate::scenarios::delivery::Delivery;

const APP: u64 = 4711;

/// A GitHub with an App, and people who have accounts there.
fn hub() -> Hub {
    let hub = Hub::with(Delivery::careful());
    let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap();
    hub.write("app.pem", &key.serialize_pem());
    let settings = std::fs::read_to_string(hub.delivery.config()).unwrap();
    let settings = settings
        .replace("[people.ada]", "[people.ada]\ngithub = 'ada'")
        .replace("[people.grace]", "[people.grace]\ngithub = 'Grace-H'")
        .replace("token_file = 'forge-token'", &format!("app_id = {APP}\nprivate_key_file = 'app.pem'"));
    std::fs::write(hub.delivery.config(), settings).unwrap();
    hub
}

fn pressed(login: &str, says: &str, key: &str, app: u64) -> Value {
    json!({
        "action": "requested_action",
        "check_run": { "id": 5, "external_id": key, "app": { "id": app } },
        "requested_action": { "identifier": says },
        "repository": { "full_name": "repositories/infrastructure" },
        "sender": { "login": login, "id": login.len() },
    })
}

/// What the buttons of a run's check say, and its key.
fn shown(run: &Run) -> (String, String) {
    let digest = run.digest(run.answerable().unwrap());
    let digits = digest.as_str().trim_start_matches("sha256:")[..12].to_owned();
    (digits, format!("webshop/{}", run.unique_name()))
}

fn new_version(hub: &Hub, github: &GitHub, number: u32) -> Run {
    let version = format!("webshop {number}.0\n");
    let pushed = hub.delivery.software.commit("dev", "Sell more", &[("VERSION", &version)]);
    github.delivered(&format!("push-{number}"), "push", &push());
    hub.delivery.ended_on("package", &pushed);
    hub.delivery.asking("deliver", "dev")
}

#[test]
fn who_presses_a_button_asks_in_their_own_name_for_what_the_check_showed() {
    let mut hub = hub();
    let github = hub.serve();
    let run = new_version(&hub, &github, 2);
    let (digits, key) = shown(&run);
    let (approve, reject) = (format!("approve:{digits}"), format!("reject:{digits}"));
    let mut presses = 0;
    let mut press = |payload: Value| {
        presses += 1;
        let guid = format!("press-{presses}");
        github.delivered(&guid, "check_run", &payload);
        hub.outcome(&guid)
    };
    let other = format!("approve:{}", "0".repeat(12));
    let refused = [
        (pressed("stranger", &approve, &key, APP), "`stranger` of GitHub is no person in tidegate.toml"),
        (pressed("grace-h", &approve, &key, APP + 1), "the check is not one of this server's App"),
        (pressed("grace-h", &other, &key, APP), "is not what the button was for"),
        (pressed("grace-h", &other.replace("approve", "reject"), &key, APP), "is not what the button was for"),
        (pressed("grace-h", "approve:", &key, APP), "there is no button that says `approve:`"),
        (pressed("grace-h", "retry:012345678901", &key, APP), "there is no button"),
        (pressed("grace-h", &approve, "webshop/deliver-1.0", APP), "does not ask any more"),
        (pressed("grace-h", &approve, "billing/deliver-1.0", APP), "there is no system `billing`"),
        (pressed("grace-h", &approve, "../x", APP), "the check has no key of a run"),
        (pressed("grace-h", &approve, "", APP), "the check has no key of a run"),
        // She wrote it, and answers for no stage.
        (pressed("ada", &approve, &key, APP), "ada may not"),
    ];
    for (payload, why) in refused {
        let outcome = press(payload);
        assert!(outcome.starts_with("refused: ") && outcome.contains(why), "{outcome}, and not {why}");
    }
    assert!(hub.delivery.asking("deliver", "dev").answerable().is_some(), "nothing has moved");
    let granted = press(pressed("grace-h", &approve, &key, APP));
    assert_eq!(granted, format!("grace approved {}", run.id));
    let done = hub.delivery.done("deliver", "dev");
    assert_eq!(done.id, run.id);
    let history = hub.delivery.granted(&["history", "--since", "1", "--limit", "5000"]);
    assert_eq!(history.matches(&format!("grace approved {}", run.id)).count(), 1, "{history}");
    let late = press(pressed("grace-h", &reject, &key, APP));
    assert!(late.contains("does not ask any more"), "{late}");

    let run = new_version(&hub, &github, 3);
    let (digits, key) = shown(&run);
    let rejected = press(pressed("Grace-H", &format!("reject:{digits}"), &key, APP));
    assert_eq!(rejected, format!("grace rejected {}", run.id));
    let ended = hub.delivery.ended("deliver", "dev");
    assert_eq!((ended.id, ended.state), (run.id, RunState::Rejected));
    assert!(ended.reason.unwrap().contains("by the button of its check"));
    hub.delivery.granted(&["verify-log"]);
}
