//! A command is done once for its key, whatever becomes of the server and the answer.

use std::io::{Read as _, Write as _};

use super::{Answer, Caller, caller, last, token};
use crate::scenarios::delivery::Delivery;

const COMMANDS: &str = "/api/v1/systems/webshop/commands";
const PAUSE: &str = r#"{"type":"pause","reason":"a look"}"#;
const RESUME: &str = r#"{"type":"resume"}"#;

/// How many times the log says that it was paused.
fn pauses(delivery: &Delivery) -> usize {
    delivery.granted(&["history", "--since", "1", "--limit", "5000"]).matches("paused it: a look").count()
}

#[test]
fn the_same_key_has_the_same_answer_and_another_question_is_a_mistake() {
    let mut delivery = Delivery::by_hand();
    delivery.serve();
    let nobody = caller(&delivery);
    let ci = nobody.with_token(&token(&delivery, "ci", "operator", &[]));
    let keyed = ci.with("Idempotency-Key", "k-1");
    let first = keyed.post(COMMANDS, PAUSE);
    assert_eq!(first.status, 200, "{}", first.text());
    assert_eq!(ci.post(COMMANDS, RESUME).status, 200);
    // The same in other bytes is the same.
    let again = keyed.post(COMMANDS, r#"{ "reason": "a look", "type": "pause" }"#);
    assert_eq!((again.status, again.json()), (200, first.json()));
    assert_eq!(keyed.post(COMMANDS, RESUME).status, 422);
    assert_eq!(keyed.post(COMMANDS, RESUME).json()["field"], "Idempotency-Key");
    assert_eq!(pauses(&delivery), 1);
    let paused = delivery.wait("the end of the log", |state| Some(state.paused.is_some()));
    assert!(!paused, "it was resumed since");
    // Somebody else's key is another.
    let other = nobody.with_token(&token(&delivery, "other", "operator", &[])).with("Idempotency-Key", "k-1");
    assert_eq!(other.post(COMMANDS, PAUSE).status, 200);
    assert_eq!(pauses(&delivery), 2);
    // What was refused was not done, and can be asked again.
    let unpin = ci.with("Idempotency-Key", "k-2").post(COMMANDS, r#"{"type":"unpin","stage":"dev"}"#);
    assert_eq!(unpin.status, 409, "{}", unpin.text());
    for bad in ["", "two words", &"k".repeat(200)] {
        assert_eq!(ci.with("Idempotency-Key", bad).post(COMMANDS, RESUME).status, 400, "{bad}");
    }
}

#[test]
fn who_saw_another_state_is_refused() {
    let mut delivery = Delivery::by_hand();
    delivery.serve();
    let ci = caller(&delivery).with_token(&token(&delivery, "ci", "operator", &[]));
    assert_eq!(ci.post(COMMANDS, PAUSE).status, 200, "its role is in force from here on");
    let page = ci.get("/api/v1/systems/webshop/targets");
    let tag = &page.headers["etag"];
    assert_eq!(ci.with("If-None-Match", tag).get("/api/v1/systems/webshop/targets").status, 304);
    let seen = last(&delivery, "webshop");
    let stale = ci.with("If-Match", &format!("\"{}\"", seen - 1)).post(COMMANDS, RESUME);
    assert_eq!(stale.status, 412, "{}", stale.text());
    let keyed = ci.with("If-Match", tag).with("Idempotency-Key", "k-1");
    let done = keyed.post(COMMANDS, RESUME);
    assert_eq!(done.status, 200, "{}", done.text());
    assert_eq!(keyed.post(COMMANDS, RESUME).json(), done.json(), "it has moved by this very command");
    let moved = ci.with("If-None-Match", tag).get("/api/v1/systems/webshop/targets");
    assert!(moved.status == 200 && moved.headers["etag"] != *tag);
    assert_eq!(ci.with("If-Match", "\"x\"").post(COMMANDS, PAUSE).status, 400);
}

/// The server is killed when a command was sent, and when its answer has begun to come: done or not, the key tells which.
#[test]
fn a_command_is_done_once_though_the_server_is_killed() {
    let mut delivery = Delivery::by_hand();
    delivery.serve();
    let mut host = caller(&delivery);
    let ci = token(&delivery, "ci", "operator", &[]);
    for round in 0..6 {
        let keyed = host.with_token(&ci).with("Idempotency-Key", &format!("round-{round}"));
        let command = format!(r#"{{"type":"pause","reason":"round {round}"}}"#);
        let mut stream = keyed.connect();
        stream.write_all((keyed.head("POST", COMMANDS, Some(command.len())) + &command).as_bytes()).unwrap();
        match round % 3 {
            0 => {}
            1 => drop(stream.read(&mut [0])),
            _ => drop(Answer::read(&mut stream)),
        }
        delivery.kill();
        delivery.serve();
        host = caller(&delivery);
        let keyed = Caller { host: host.host.clone(), ..keyed };
        let first = keyed.post(COMMANDS, &command);
        assert_eq!(first.status, 200, "{}", first.text());
        assert_eq!(keyed.post(COMMANDS, &command).json(), first.json());
        let resumed = host.with_token(&ci).post(COMMANDS, RESUME);
        assert_eq!(resumed.status, 200, "{}", resumed.text());
    }
    let history = delivery.granted(&["history", "--since", "1", "--limit", "5000"]);
    for round in 0..6 {
        assert_eq!(history.matches(&format!("paused it: round {round}")).count(), 1, "{history}");
    }
    delivery.granted(&["verify-log"]);
}

/// Of every kind of command that can be asked as things are: killed before it and after it, and its answer lost or not.
#[test]
fn no_command_is_lost_or_done_twice_whenever_the_server_is_killed() {
    let mut delivery = Delivery::by_hand();
    delivery.serve();
    let mut host = caller(&delivery);
    let ci = token(&delivery, "ci", "admin", &[]);
    let in_an_hour = tidegate::driver::now_ms() + 3_600_000;
    // What is asked, and how often the log says so for each time that it was done.
    let commands = [
        ("pause", r#"{"type":"pause","reason":"KEY"}"#.to_owned()),
        ("resume", RESUME.to_owned()),
        ("freeze", format!(r#"{{"type":"freeze","stage":"qa","until_ms":{in_an_hour},"reason":"KEY"}}"#)),
        ("veto", r#"{"type":"veto","what":"KEY","reason":"KEY"}"#.to_owned()),
        ("run", r#"{"type":"run","rule":"package","stage":"dev"}"#.to_owned()),
    ];
    for moment in 0..3 {
        for (kind, command) in &commands {
            let key = format!("{kind}-{moment}");
            // A commit is vetoed by its digits.
            let command =
                command.replace("\"what\":\"KEY\"", &format!("\"what\":\"abcdef{moment}\"")).replace("KEY", &key);
            let keyed = host.with_token(&ci).with("Idempotency-Key", &key);
            let text = keyed.head("POST", COMMANDS, Some(command.len())) + &command;
            let mut stream = keyed.connect();
            match moment {
                // Before: not all of it has come.
                0 => stream.write_all(&text.as_bytes()[..text.len() - 1]).unwrap(),
                // After, and nobody has its answer.
                1 => {
                    stream.write_all(text.as_bytes()).unwrap();
                    drop(stream.read(&mut [0]));
                }
                // After, and its answer has come.
                _ => {
                    stream.write_all(text.as_bytes()).unwrap();
                    let answer = Answer::read(&mut stream).unwrap();
                    assert_eq!(answer.status, 200, "{key}: {}", answer.text());
                }
            }
            delivery.kill();
            delivery.serve();
            host = caller(&delivery);
            let keyed = Caller { host: host.host.clone(), ..keyed };
            let first = keyed.post(COMMANDS, &command);
            assert_eq!(first.status, 200, "{key}: {}", first.text());
            assert_eq!(keyed.post(COMMANDS, &command).json(), first.json(), "{key}");
        }
    }
    let history = delivery.granted(&["-o", "json", "history", "--since", "1", "--limit", "5000"]);
    for (kind, _) in &commands {
        for moment in 0..3 {
            let key = format!("\"{kind}-{moment}\"");
            let said = format!("\"key\": {key}");
            assert_eq!(history.matches(&said).count(), 1, "{key} is in the log once");
        }
    }
    delivery.granted(&["verify-log"]);
}
