//! A nudge has something looked at now, though its turn would be in an hour.

use tidegate::{driver::now_ms, engine::RunState};

use super::delivery::Delivery;

/// Nobody would look before the test is over.
fn an_hour_apart() -> Delivery {
    let delivery = Delivery::by_hand();
    delivery.write_rules(&delivery.rules().replace("poll: 1s", "poll: 1h"));
    delivery
}

/// As git runs it after a push, in the folder of the repository.
fn hook(delivery: &Delivery) -> String {
    let config = delivery.config();
    let program = env!("CARGO_BIN_EXE_tidegate");
    format!(
        "#!/bin/sh\nexec >>\"{0}.log\" 2>&1\nexec \"{program}\" --config \"{0}\" nudge \"$PWD\"\n",
        config.display()
    )
}

#[test]
fn a_hook_of_the_repository_has_a_push_seen_at_once() {
    let mut delivery = an_hour_apart();
    delivery.software.hook("post-receive", &hook(&delivery));
    delivery.serve();
    // At first the next look is an hour away; later a watch sleeps in its claim, and is woken.
    for version in 2..=4 {
        delivery.software.set_branch("incoming", &delivery.software.head("dev").unwrap());
        let version = format!("webshop {version}.0\n");
        let pushed = delivery.software.commit("incoming", "Sell more", &[("VERSION", &version)]);
        let pushing_ms = now_ms();
        delivery.software.git(&["push", "--quiet", &delivery.software.url(), "incoming:dev"]);
        let push_took_ms = now_ms() - pushing_ms;
        let run = delivery.ended_on("package", &pushed);
        assert_eq!(run.state, RunState::Done);
        let first_step_ms = run.steps[0].started_ms.unwrap() - pushing_ms;
        println!("from the push, whose hook and all took {push_took_ms} ms, to its first step: {first_step_ms} ms");
    }
    let history = delivery.granted(&["history"]);
    assert_eq!(history.matches("asked to look at software").count(), 3, "{history}");
}

#[test]
fn a_delivery_that_comes_twice_is_taken_in_once_and_a_stranger_is_told_what_there_is() {
    let mut delivery = an_hour_apart();
    delivery.serve();
    let arguments = ["nudge", "software", "--delivery", "push-17"];
    assert!(delivery.granted(&arguments).contains("asked to look at software now"));
    assert!(delivery.granted(&arguments).contains("push-17 was taken in before"));
    let house_events = delivery.granted(&["-o", "json", "history"]);
    assert_eq!(house_events.matches("\"nudged\"").count(), 1, "{house_events}");
    let refused = delivery.refused(&["nudge", "sofware"], 1);
    assert!(refused.contains("there is no repository or run `sofware`"), "{refused}");
    let refused = delivery.refused(&["nudge", "/srv/git/other.git"], 1);
    assert!(refused.contains("no system has a repository at /srv/git/other.git"), "{refused}");
}
