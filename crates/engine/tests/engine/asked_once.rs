//! A command that is asked again under its key is done once, and has one answer.

use tidegate_engine::engine::{Command, CommandKey, Digest, Event, Fact, Refused};

use super::support::{World, person, run_rule, stage, verified::SHOP};

/// How many keys a system remembers.
const MOST_KEYS: usize = 512;

fn asked(by: &str, command: &Command, key: &str) -> Event {
    let asked = Digest::of(&serde_json::to_vec(command).unwrap());
    Event::Command { by: person(by), command: command.clone(), key: Some(CommandKey::new(key, asked).unwrap()) }
}

#[test]
fn the_same_again_is_answered_as_it_was_and_changes_nothing() {
    let mut world = World::new(SHOP);
    world.push("infrastructure", "dev");
    let start = run_rule("deliver", "dev");
    world.offer(asked("ada", &start, "k-1")).unwrap();
    let (seq, newest) = (world.system.seq, world.newest("deliver"));
    let before = world.system.clone();
    // Whatever happened since, the answer is the first one's.
    let again = world.offer(asked("ada", &start, "k-1")).unwrap_err();
    let Refused::DoneBefore { seq: then, newest_run } = again else { panic!("{again}") };
    assert_eq!((then, newest_run.unwrap().to_string()), (seq, newest));
    assert_eq!(world.system, before, "I8");
}

#[test]
fn a_key_is_of_one_command_and_of_one_person() {
    let mut world = World::new(SHOP);
    let pause = Command::Pause { reason: "a look".to_owned() };
    world.offer(asked("ada", &pause, "k-1")).unwrap();
    let other = world.offer(asked("ada", &Command::Resume, "k-1")).unwrap_err();
    assert_eq!(other.to_string(), "the key k-1 was used before, for something else; take a new key for each command");
    world.offer(asked("grace", &Command::Resume, "k-1")).unwrap();
    let (pause, refused) = (Command::Unpin { stage: stage("dev") }, "k-2");
    assert!(world.offer(asked("ada", &pause, refused)).is_err(), "nothing is pinned");
    assert_eq!(world.system.asked_once.len(), 2, "what was refused was not done");
}

#[test]
fn only_so_many_keys_are_remembered() {
    let mut world = World::new(SHOP);
    for number in 0..=MOST_KEYS {
        let command = if number % 2 == 0 { Command::Pause { reason: "a look".to_owned() } } else { Command::Resume };
        world.offer(asked("ada", &command, &format!("k-{number}"))).unwrap();
    }
    assert_eq!(world.system.asked_once.len(), MOST_KEYS);
    assert!(world.facts.last().unwrap().contains(&Fact::KeyForgotten));
}

#[test]
fn a_key_is_what_a_header_can_carry() {
    for bad in ["", "a b", "a\nb", "é", &"x".repeat(129)] {
        assert!(CommandKey::new(bad, Digest::of(b"")).is_err(), "{bad:?}");
    }
}
