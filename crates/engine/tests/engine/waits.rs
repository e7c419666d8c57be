//! Since when something waits, until when at the earliest, and what ends it: of one thing, and of several at once.

use tidegate_engine::engine::{
    Command, RunId,
    explain::{Verdict, Waiting},
};

use super::support::{
    HOUR_MS, MINUTE_MS, NOON_MS, World, approve, failed, freeze, pause, repository, run_rule, unlock,
};

const SHOP: &str = "
version: 1
system: shop
stages: { dev: { environment: Development }, main: { environment: Production,
  requires: [{ repository: software, file: config.json, pointer: /zones, at_least: 2 }] } }
repositories: { software: { url: s.git } }
targets: { shop: { queue: fifo } }
rules:
  deliver:
    on: { push: software }
    target: shop
    steps:
      - synth: { template: template.yaml }
      - approve: { stages: { main: { count: 1, from: [managers] } } }
      - deploy: {}
      - check: { http: 'https://{{stage}}.example/{{commit}}' }
        id: load
";

/// A run that comes to its deployment `after_ms` from now.
fn comes_to_deploy(world: &mut World, after_ms: i64) -> String {
    world.push("software", "dev");
    let run = world.live().pop().unwrap();
    world.later(after_ms);
    world.done(&run, "synth");
    run
}

fn thaw(name: &str) -> Command {
    Command::Thaw { freeze: name.to_owned() }
}

fn let_past(name: &str, run: &str) -> Command {
    Command::Override { freeze: name.to_owned(), run: RunId::new(run), reason: "it must".to_owned() }
}

#[test]
fn a_step_waits_since_it_could_go_on() {
    let mut world = World::new(SHOP);
    let first = comes_to_deploy(&mut world, 0);
    let second = comes_to_deploy(&mut world, MINUTE_MS);
    assert!(world.waits_for(&second).for_what.contains(&format!("which {first} holds")));
    assert_eq!(world.waits_for(&second).since_ms, NOON_MS + MINUTE_MS, "not since the run was made");
    world.later(MINUTE_MS);
    world.answers(&first, "deploy", failed("it hung"));
    let broken = world.waits_for(&second);
    assert!(broken.for_what.contains("which is broken"), "{broken:?}");
    assert_eq!(broken.since_ms, NOON_MS + MINUTE_MS);
    world.later(HOUR_MS);
    assert_eq!(world.waits_for(&second), broken, "time alone changes nothing of it");
    world.asked("ops", unlock("shop", "dev"));
    world.settle();
    assert_eq!(world.live(), Vec::<String>::new());
}

#[test]
fn a_hold_is_waited_for_since_something_came_to_it() {
    let mut world = World::new(SHOP);
    let until_ms = NOON_MS + 48 * HOUR_MS;
    world.asked("ops", freeze(Some("dev"), until_ms));
    let run = comes_to_deploy(&mut world, 3 * HOUR_MS);
    let waiting = world.waits_for(&run);
    assert_eq!((waiting.since_ms, waiting.until_ms), (NOON_MS + 3 * HOUR_MS, Some(until_ms)));
    world.later(HOUR_MS);
    world.asked("ops", thaw("freeze-1"));
    world.asked("ops", pause());
    world.push("software", "dev");
    let second = world.live().pop().unwrap();
    world.later(HOUR_MS);
    assert_eq!(world.waits_for(&second).since_ms, NOON_MS + 4 * HOUR_MS);
}

#[test]
fn every_hold_is_named_and_what_ends_it() {
    let mut world = World::new(SHOP);
    let (long_ms, short_ms) = (NOON_MS + 72 * HOUR_MS, NOON_MS + 24 * HOUR_MS);
    world.asked("ops", freeze(Some("dev"), long_ms));
    world.asked("ops", freeze(None, short_ms));
    let run = comes_to_deploy(&mut world, 0);
    let named = |waiting: &Waiting, names: [&str; 2]| {
        names.map(|name| {
            waiting.for_what.contains(name) && waiting.ended_by.contains(&format!("`tidegate thaw {name}`"))
        })
    };
    let both = world.waits_for(&run);
    assert_eq!((named(&both, ["freeze-1", "freeze-2"]), both.until_ms), ([true, true], Some(long_ms)), "{both:?}");
    world.asked("ops", pause());
    let paused = world.waits_for(&run);
    assert!(
        paused.for_what.contains("the pause by ops") && paused.ended_by.contains("`tidegate resume`"),
        "{paused:?}"
    );
    assert_eq!(paused.until_ms, Some(long_ms), "the freezes still count");
    let chain = world.chain(&run);
    assert!(chain[2..].iter().all(|condition| condition.earliest_ms == Some(long_ms)), "{chain:#?}");
    world.asked("ops", Command::Resume);
    world.asked("ops", let_past("freeze-1", &run));
    let one = world.waits_for(&run);
    assert_eq!((named(&one, ["freeze-1", "freeze-2"]), one.until_ms), ([false, true], Some(short_ms)), "{one:?}");
    world.asked("ops", thaw("freeze-2"));
    assert!(world.waits_for(&run).for_what.starts_with("deploy"));
}

/// A freeze that begins while a deployment goes on does not hold it.
#[test]
fn what_goes_on_is_not_said_to_wait_for_a_freeze() {
    let mut world = World::new(SHOP);
    let run = comes_to_deploy(&mut world, 0);
    world.asked("ops", freeze(None, NOON_MS + HOUR_MS));
    assert!(world.chain(&run).iter().all(|condition| condition.earliest_ms.is_none()));
}

#[test]
fn conditions_are_said_in_words_that_people_understand() {
    let mut world = World::new(SHOP);
    let run = comes_to_deploy(&mut world, 0);
    world.done(&run, "deploy");
    let chain = world.chain(&run);
    assert_eq!((chain[1].verdict, chain[1].what.as_str()), (Verdict::Passed, "nobody is asked in dev"));
    let commit = world.run(&run).source.unwrap().commit;
    world.done(&run, "load");
    let asked = &world.chain(&run)[4].what;
    assert!(asked.contains(&format!("https://dev.example/{commit} to answer 200")), "{asked}");
    world.asked("ada", run_rule("deliver", "main"));
    let run = world.live().pop().unwrap();
    world.done(&run, "require");
    world.done(&run, "synth");
    let chain = world.chain(&run);
    assert_eq!(chain[0].what, "main has what it demands");
    let by = &world.waits_for(&run).ended_by;
    assert!(by.contains(&format!("`tidegate reject {run} --reason …`")), "a rejection needs a reason: {by}");
    assert!(world.ask("eve@managers", approve(&run)).is_ok());
}

#[test]
fn a_command_is_named_only_where_it_would_be_granted() {
    let mut world = World::new(SHOP);
    let run = comes_to_deploy(&mut world, 0);
    world.answers(&run, "deploy", failed("it hung"));
    let again = |world: &World| world.chain(&run).last().unwrap().ended_by.clone();
    assert!(again(&world).ends_with("or `tidegate run start deliver --stage dev`"), "{}", again(&world));
    world.remotes.values_mut().for_each(|branch| branch.push(None));
    world.watch(&repository("software"));
    assert!(world.ask("ops", run_rule("deliver", "dev")).is_err(), "there is no branch that it could work on");
    assert!(again(&world).ends_with("or a newer push to software dev"), "{}", again(&world));
}
