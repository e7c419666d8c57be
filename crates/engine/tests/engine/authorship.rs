//! Git is asked who wrote a change: what holds until it has answered, and when what it was asked about is compared with
//! something else.

use std::collections::BTreeSet;

use tidegate_engine::engine::{Attribution, AuthorsWork, Effect, Outcome, StepState, Work, work};

use super::support::{HOUR_MS, World, abort, approve, repository, retry};

const SHOP: &str = "
version: 1
system: shop
stages: { dev: { environment: Development }, main: { environment: Production } }
repositories: { app: { url: a.git }, lib: { url: l.git } }
targets: { shop: { queue: fifo } }
notifications:
  - { on: [approval_wanted], via: hook }
rules:
  deliver:
    on: { push: app }
    target: shop
    steps:
      - approve: { stages: { dev: { count: 2 } } }
      - verify: { command: [bin/check] }
";

/// A change of Ada's waits for two people, and git has not answered yet.
fn asking() -> World {
    let mut world = World::new(SHOP);
    world.git_is_quick = false;
    world.push("app", "dev");
    world
}

fn asked(world: &World) -> Effect {
    let mut asked = world.asks_git();
    assert_eq!(asked.len(), 1, "{asked:?}");
    asked.remove(0)
}

fn work_of(world: &World, effect: &Effect) -> AuthorsWork {
    match work(&world.system, effect) {
        Ok(Work::Authors(work)) => *work,
        other => panic!("{other:?}"),
    }
}

fn told(world: &World) -> usize {
    world.system.notices.undelivered.len()
}

#[test]
fn nobody_approves_before_git_has_said_who_wrote_it() {
    let mut world = asking();
    assert_eq!(told(&world), 0, "nobody is asked for what they could not do");
    let refused = world.ask("grace", approve("deliver-1")).unwrap_err().to_string();
    assert_eq!(refused, "deliver-1: not yet: git is being asked who wrote it; try again in a moment");
    let waiting = world.waits_for("deliver-1");
    assert!(waiting.for_what.ends_with("(0 of 2); git is asked who wrote it"), "{}", waiting.for_what);
    assert!(waiting.ended_by.starts_with("git's answer; then "), "{}", waiting.ended_by);
    world.git_answers(&asked(&world));
    assert_eq!((told(&world), world.asks_git().len()), (1, 0));
    assert_eq!(*world.run("deliver-1").authors, BTreeSet::from(["ada <ada@example.com>".to_owned()]));
    assert!(world.ask("ada", approve("deliver-1")).is_err());
    world.asked("grace", approve("deliver-1"));
    world.asked("linus", approve("deliver-1"));
    assert_eq!(world.step_state("deliver-1", "approve"), StepState::Done);
    world.replays(4);
}

#[test]
fn git_is_asked_again_after_it_could_not_say_and_people_see_why() {
    let mut world = asking();
    let mut before_ms = world.now_ms;
    for tries in 1..=12 {
        let effect = asked(&world);
        world.now_ms = effect.due_ms;
        assert!(effect.due_ms - before_ms <= HOUR_MS);
        before_ms = effect.due_ms;
        let attribution = Attribution::Retry { error: "ssh: connection refused".to_owned(), after_ms: None };
        world.answer(&effect.id, Outcome::Authors(attribution));
        let waiting = world.waits_for("deliver-1");
        let said = format!("could not say ({tries} tries so far): ssh: connection refused");
        assert!(waiting.for_what.contains(&said), "{}", waiting.for_what);
        assert!(waiting.ended_by.starts_with("git, which is asked again at "), "{}", waiting.ended_by);
    }
    let refused = world.ask("grace", approve("deliver-1")).unwrap_err().to_string();
    assert!(refused.contains("could not say so far: ssh: connection refused; mend that"), "{refused}");
    world.git_answers(&asked(&world));
    world.asked("grace", approve("deliver-1"));
    world.replays(7);
}

#[test]
fn a_question_that_is_over_waits_for_git_no_more() {
    let mut world = asking();
    let effect = asked(&world);
    world.asked("grace", abort("deliver-1"));
    assert!(world.asks_git().is_empty());
    let late = Attribution::Retry { error: "late".to_owned(), after_ms: None };
    world.answer(&effect.id, Outcome::Authors(late));
    world.asked("grace", retry("deliver-1"));
    world.git_answers(&asked(&world));
    assert!(world.asks_git().is_empty());
}

/// Of two deliveries that ask, the older is verified first: then the newer has only what came after it.
#[test]
fn git_is_asked_anew_when_something_else_was_verified_meanwhile() {
    let mut world = World::new(&SHOP.replace("count: 2", "count: 1"));
    let older = world.push_by("linus", "app", "dev");
    world.asked("grace", approve("deliver-1"));
    world.push_by("ada", "app", "dev");
    let both = ["ada", "linus"].map(|name| format!("{name} <{name}@example.com>"));
    assert_eq!(*world.run("deliver-2").authors, both.into());
    world.git_is_quick = false;
    world.settle();
    let work = work_of(&world, &asked(&world));
    assert_eq!(work.repositories[&repository("app")].base, [older]);
    assert!(world.ask("grace", approve("deliver-2")).unwrap_err().to_string().contains("not yet"));
    world.git_answers(&asked(&world));
    assert_eq!(*world.run("deliver-2").authors, BTreeSet::from(["ada <ada@example.com>".to_owned()]));
    world.asked("linus", approve("deliver-2"));
}
