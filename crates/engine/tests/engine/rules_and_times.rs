//! Rules that come, change and are refused; schedules that fire once.

use tidegate_engine::{
    engine::{Cause, CommitId, Digest, Effect, Event, Outcome, Refused, RulesOrigin, RunState, Timer},
    rules::Rules,
};

use super::support::{HOUR_MS, NOON_MS, World, repository, rules, run_rule};

const SHOP: &str = "
version: 1
system: shop
stages: { dev: { environment: Development }, qa: { environment: QA } }
repositories: { image: { url: i.git }, tools: { url: t.git } }
rules:
  bake:
    on: { push: image, schedule: { cron: 0 0 3 * * *, stages: [dev] } }
    steps: [{ bake: {} }]
  check:
    on: { push: tools }
    steps: [{ package: {} }]
";

/// Three in the morning of the day after.
const THREE_MS: i64 = NOON_MS + 15 * HOUR_MS;
const DAY_MS: i64 = 24 * HOUR_MS;

fn schedules(world: &World) -> Vec<Effect> {
    let of_schedule =
        |effect: &&Effect| matches!(&effect.kind, tidegate_engine::engine::EffectKind::Timer(Timer::Schedule { .. }));
    world.system.due.values().filter(of_schedule).cloned().collect()
}

/// The one timer fires, at this time.
fn fires(world: &mut World, at_ms: i64) -> Effect {
    let [timer] = schedules(world).try_into().unwrap();
    world.now_ms = at_ms;
    let Effect { id, .. } = &timer;
    world.answer(id, Outcome::Fired);
    timer
}

#[test]
fn an_instant_fires_once() {
    let mut world = World::new(SHOP);
    let timer = fires(&mut world, THREE_MS);
    assert_eq!(timer.due_ms, THREE_MS);
    assert_eq!(world.run("bake-1").cause, Cause::Schedule { instant_ms: THREE_MS });
    world.answer(&timer.id, Outcome::Fired);
    assert_eq!(world.system.runs_made, 1);
    let [next] = schedules(&world).try_into().unwrap();
    assert_eq!(next.due_ms, THREE_MS + DAY_MS);
}

#[test]
fn an_instant_that_fires_early_by_a_clock_that_goes_before_fires_once_all_the_same() {
    let mut world = World::new(SHOP);
    fires(&mut world, THREE_MS - 2_000);
    assert_eq!(schedules(&world)[0].due_ms, THREE_MS + DAY_MS);
}

#[test]
fn missed_instants_are_caught_up_once_or_left_out() {
    let late_ms = THREE_MS + 3 * DAY_MS + HOUR_MS;
    let mut world = World::new(SHOP);
    fires(&mut world, late_ms);
    assert_eq!((world.system.runs_made, schedules(&world)[0].due_ms), (1, THREE_MS + 4 * DAY_MS));

    let mut world = World::new(&SHOP.replace("stages: [dev]", "stages: [dev], missed: skip"));
    fires(&mut world, late_ms);
    assert_eq!(world.system.runs_made, 0);
    fires(&mut world, THREE_MS + 4 * DAY_MS + 1_000);
    assert_eq!(world.system.runs_made, 1);
}

#[test]
fn a_missed_instant_is_caught_up_though_the_rules_changed_while_nobody_was_there() {
    let mut world = World::new(SHOP);
    world.now_ms = THREE_MS + HOUR_MS;
    world.load(rules(&SHOP.replace("environment: QA", "environment: Canary")));
    assert_eq!(fires(&mut world, THREE_MS + HOUR_MS).due_ms, THREE_MS);
    assert_eq!(world.system.runs_made, 1);
}

#[test]
fn nothing_is_rebuilt_on_schedule_when_only_changes_count_and_there_is_none() {
    let mut world = World::new(&SHOP.replace("stages: [dev]", "stages: [dev], only_if_changed: true"));
    world.push("image", "dev");
    world.settle();
    fires(&mut world, THREE_MS);
    assert_eq!(world.system.runs_made, 1);
    world.push("image", "dev");
    world.done("bake-2", "bake");
    world.push("image", "dev");
    fires(&mut world, THREE_MS + DAY_MS);
    assert_eq!(world.system.runs_made, 4);
}

#[test]
fn rules_that_change_replace_timers_and_watches_and_runs_keep_their_plan() {
    let mut world = World::new(SHOP);
    world.push("image", "dev");
    world.push("tools", "dev");
    let watch = world.watch_of(&repository("image"));
    let text = SHOP.replace("0 0 3 * * *", "0 0 4 * * *").replace("[{ bake: {} }]", "[{ package: {} }, { bake: {} }]");
    world.load(rules(&text));
    assert_eq!(schedules(&world)[0].due_ms, THREE_MS + HOUR_MS);
    assert_ne!(world.watch_of(&repository("image")), watch);
    world.done("bake-1", "bake");
    assert_eq!((world.state("bake-1"), world.run("bake-1").steps.len()), (RunState::Done, 1));
    world.push("image", "dev");
    assert_eq!(world.run("bake-3").steps.len(), 2);
}

#[test]
fn a_repository_that_the_rules_no_longer_have_is_forgotten_and_its_late_watch_with_it() {
    let mut world = World::new(SHOP);
    let tools = repository("tools");
    let (watch, heads) = (world.watch_of(&tools), world.look(&tools, |_, len| len));
    let without: Rules = rules(&SHOP.replace(", tools: { url: t.git }", "").replace("push: tools", "push: image"));
    world.load(without);
    assert!(!world.system.repositories.contains_key(&tools));
    world.load(rules(SHOP));
    assert_ne!(world.watch_of(&tools), watch);
    world.answer(&watch, heads);
    assert!(world.system.repositories[&tools].seen.is_empty(), "it is looked at anew");
    world.watch(&tools);
    assert_eq!(world.system.runs_made, 0);
}

#[test]
fn refused_rules_leave_the_last_good_ones_in_force_visibly() {
    let mut world = World::new(SHOP);
    let in_force = world.system.rules.clone();
    let refused = Event::RulesRefused {
        source: "devops@0123".to_owned(),
        digest: Digest::of(b"bad"),
        mistakes: "there is no repository `imgae`".to_owned(),
        origin: None,
    };
    world.record(refused);
    assert_eq!(world.system.rules, in_force);
    assert_eq!(world.system.refused_rules.as_ref().unwrap().mistakes, "there is no repository `imgae`");
    world.load(rules(SHOP));
    assert_eq!(world.system.refused_rules, None);
}

#[test]
fn the_commit_that_brought_rules_is_in_the_log_and_the_state() {
    let mut world = World::new(SHOP);
    let commit = |commit: &str| RulesOrigin {
        repository: "https://git.example/devops.git".to_owned(),
        branch: "main".to_owned(),
        commit: CommitId::new(commit),
        author: "Ada".to_owned(),
        subject: "Ask more people".to_owned(),
    };
    let (source, digest) = ("promotion-rules/shop.yaml".to_owned(), Digest::of(b"good"));
    let (rules, origin) = (Box::new(rules(SHOP)), Some(commit("a1")));
    world.record(Event::RulesLoaded { source: source.clone(), digest, rules, origin, secret: None });
    let (digest, mistakes) = (Digest::of(b"bad"), "there is no stage `prod`".to_owned());
    world.record(Event::RulesRefused { source, digest, mistakes, origin: Some(commit("b2")) });
    assert_eq!(world.system.rules.as_ref().unwrap().origin, Some(commit("a1")), "the last good one stays");
    assert_eq!(world.system.refused_rules.as_ref().unwrap().origin, Some(commit("b2")));
    let before = serde_json::from_str(r#"{"type":"rules_refused","source":"x","digest":"sha256:0","mistakes":"y"}"#);
    let before: Event = before.unwrap();
    assert!(matches!(before, Event::RulesRefused { origin: None, .. }), "logs from before have none");
}

#[test]
fn without_rules_commands_are_refused_and_events_come_in_order() {
    let mut world = World::empty();
    assert_eq!(world.ask("ada", run_rule("bake", "dev")), Err(Refused::NoRules));
    let late = tidegate_engine::engine::Recorded {
        seq: 7,
        at_ms: NOON_MS,
        event: Event::RulesRefused {
            source: String::new(),
            digest: Digest::of(b""),
            mistakes: String::new(),
            origin: None,
        },
    };
    let refused = tidegate_engine::engine::step(&mut world.system, &late);
    assert_eq!(refused, Err(Refused::OutOfOrder { last: 0, got: 7 }));
}

#[test]
fn a_command_for_what_is_not_there_says_what_there_is() {
    let mut world = World::new(SHOP);
    let refused = world.ask("ada", run_rule("beak", "dev")).unwrap_err().to_string();
    assert_eq!(refused, "there is no rule `beak`; there are: bake, check");
    let refused = world.ask("ada", run_rule("bake", "prod")).unwrap_err().to_string();
    assert_eq!(refused, "there is no stage `prod`; there are: dev, qa");
    world.asked("ada", run_rule("bake", "qa"));
    assert_eq!(world.run("bake-1").cause, Cause::Command { by: "ada".to_owned() });
}
