//! Rules files beside the server: one that is bad or gone ends nothing but its own changes.

use serde_json::Value;

use super::{
    NEW_VERSION,
    delivery::{BILLING, Delivery},
};

fn billing(delivery: &Delivery, text: &str) {
    std::fs::write(delivery.root().join("promotion-rules/billing.yaml"), text).unwrap();
}

fn status(delivery: &Delivery, arguments: &[&str]) -> Vec<Value> {
    serde_json::from_str(&delivery.granted(&[&["-o", "json", "status"], arguments].concat())).unwrap()
}

/// Waits until a system has no refused rules, or some.
fn wait_refused(delivery: &Delivery, system: &str, said: &str) {
    delivery.wait_in(system, &format!("`{said}` to be refused"), |state| {
        state.refused_rules.as_ref().is_some_and(|refused| refused.mistakes.contains(said)).then_some(())
    });
}

#[test]
fn a_system_that_never_had_good_rules_is_named_and_the_others_are_served() {
    let mut delivery = Delivery::by_hand();
    delivery.add_billing("");
    billing(&delivery, &BILLING.replace("push: ledger", "push: legder"));
    delivery.serve();
    delivery.software.commit("dev", "Sell more", &[NEW_VERSION]);
    delivery.done("package", "dev");
    let text = delivery.status();
    assert!(text.contains("billing is not there yet") && text.contains("no repository `legder`"), "{text}");
    assert!(text.contains("billing.yaml") && text.contains("mend it"), "{text}");
    let log = delivery.server_log();
    assert!(log.contains("billing.yaml was refused") && log.contains("legder"), "{log}");
    let all = status(&delivery, &[]);
    let names: Vec<&str> = all.iter().map(|report| report["system"].as_str().unwrap()).collect();
    assert_eq!(names, ["webshop", "billing"]);
    assert_eq!((&all[0]["refused_rules"], all[0]["rules"]["since_ms"].is_i64()), (&Value::Null, true));
    assert_eq!((&all[1]["rules"]["since_ms"], all[1]["events"].as_u64()), (&Value::Null, Some(0)));
    assert!(all[1]["refused_rules"].as_str().unwrap().contains("legder"));
    assert_eq!(status(&delivery, &["--system", "billing"]).len(), 1, "it can be asked for by its name");

    billing(&delivery, BILLING);
    delivery.wait_in("billing", "its rules", |state| state.rules.as_ref().map(drop));
    assert!(!delivery.status().contains("not there yet"));
}

#[test]
fn a_file_that_is_bad_or_gone_leaves_its_system_on_its_last_good_rules_over_a_restart() {
    let mut delivery = Delivery::by_hand();
    delivery.serve_with_billing("");
    delivery.kill();
    std::fs::remove_file(delivery.root().join("promotion-rules/billing.yaml")).unwrap();
    delivery.serve();
    wait_refused(&delivery, "billing", "put it back");
    let text = delivery.status();
    assert!(text.contains("the last good ones stay in force") && text.contains("billing.yaml"), "{text}");
    delivery.granted(&["run", "start", "check", "--stage", "dev", "--system", "billing", "--as", "grace"]);
    delivery.wait_in("billing", "a run by its last good rules", |state| {
        state.all_runs().any(|run| run.state == tidegate::engine::RunState::Done).then_some(())
    });
    delivery.software.commit("dev", "Sell more", &[NEW_VERSION]);
    delivery.done("package", "dev");

    std::fs::write(delivery.root().join("promotion-rules/billing.yaml"), b"version: 1\nsystem: \xff\xfe").unwrap();
    wait_refused(&delivery, "billing", "save it as UTF-8");
    billing(&delivery, &BILLING.replace("stages:", "stagess:"));
    wait_refused(&delivery, "billing", "stagess");
    let refusals = |delivery: &Delivery| {
        let said = delivery.granted(&["history", "--system", "billing", "--limit", "500"]);
        said.matches("rules were refused").count()
    };
    let before = refusals(&delivery);
    delivery.kill();
    delivery.serve();
    wait_refused(&delivery, "billing", "stagess");
    assert_eq!(refusals(&delivery), before, "what was said is not said again");
    billing(&delivery, BILLING);
    delivery.wait_in("billing", "the good rules again", |state| state.refused_rules.is_none().then_some(()));
}

#[test]
fn two_files_cannot_have_one_system_and_a_file_that_is_not_named_any_more_is_said() {
    let mut delivery = Delivery::by_hand();
    delivery.add_billing("");
    billing(&delivery, &delivery.rules());
    delivery.serve();
    let text = delivery.status();
    assert!(text.contains("billing.yaml gives no system its rules") && text.contains("already"), "{text}");
    billing(&delivery, BILLING);
    delivery.wait_in("billing", "its rules", |state| state.rules.as_ref().map(drop));
    delivery.kill();
    let both = std::fs::read_to_string(delivery.config()).unwrap();
    std::fs::write(delivery.config(), both.replace(", \"promotion-rules/billing.yaml\"", "")).unwrap();
    delivery.serve();
    wait_refused(&delivery, "billing", "any more");
    assert!(delivery.status().contains("tidegate pause --reason WHY --system billing"), "{}", delivery.status());
}

#[test]
fn a_system_that_begins_later_begins_paused_where_the_server_did() {
    let mut delivery = Delivery::by_hand();
    delivery.add_billing("");
    billing(&delivery, "version: 1\n");
    delivery.serve_with(&["--paused", "trying the rules", "--as", "grace"]);
    billing(&delivery, BILLING);
    delivery.wait_in("billing", "its pause", |state| state.paused.as_ref().map(drop));
}
