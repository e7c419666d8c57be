//! Journeys of commits: what takes them back, what brings them again, and the earliest moment, stage by stage.

use tidegate_engine::engine::explain::{Condition, Journey, Verdict};

use super::support::{
    HOUR_MS, NOON_MS, World, freeze, promote, repository, roll_back, run_rule, stage, verified::*, veto,
};

const LATER: &str = "
version: 1
system: shop
stages: { dev: { environment: Development }, qa: { environment: QA }, main: { environment: Production,
  requires: [{ repository: software, file: config.json, pointer: /zones, at_least: 2 }] } }
repositories: { software: { url: s.git } }
targets: { shop: {} }
rules:
  deliver:
    on: { push: software, paths: [src/, '*.toml'] }
    target: shop
    steps:
      - synth: { template: template.yaml }
      - approve: { stages: { main: { count: 2, from: [release-managers] } } }
      - check: { http: 'https://{{system}}.{{stage}}.example/load' }
        id: load
        stages: [main]
      - deploy: {}
promotions:
  - { from: dev, to: qa, requires: { soak: 96h, window: 'Sun 09:00-16:00 UTC' } }
  - { from: qa, to: main, start: manual, requires: { soak: 2h } }
";

fn named<'a>(journey: &'a Journey, name: &str) -> &'a Condition {
    let found = journey.conditions.iter().find(|condition| condition.name == name);
    found.unwrap_or_else(|| panic!("no {name}: {journey:#?}"))
}

/// A software commit that is in qa, and what it was brought by.
fn in_qa() -> (World, [String; 2], tidegate_engine::engine::CommitId) {
    let (world, versions) = two_versions();
    let commit = world.system.verified[&stage("dev")].set[&repository("software")].clone();
    (world, versions, commit)
}

#[test]
fn a_commit_that_was_rolled_back_says_by_what_and_what_brings_it_again() {
    let (mut world, [_, second], commit) = in_qa();
    world.later(HOUR_MS);
    world.asked("grace", roll_back("qa", None));
    let back = world.newest("rollback");
    let goes = world.journey("software", &commit, "qa");
    assert_eq!(
        (goes.verdict, goes.summary),
        (Verdict::Passed, format!("{second} deployed it to shop@qa; {back} takes it back"))
    );
    for step in ["check-software", "check-infrastructure", "restore-software", "restore-infrastructure"] {
        world.done(&back, step);
    }
    let runs = world.journey("software", &commit, "qa");
    assert_eq!(runs.verdict, Verdict::Passed, "it still runs there: {runs:#?}");
    assert!(runs.conditions[1].what.contains(&format!("{back} took it out of software qa")), "{runs:#?}");
    world.later(HOUR_MS);
    world.settle();
    let first_without = world.deployed("qa").run.to_string();
    world.later(HOUR_MS);
    world.asked("grace", run_rule("deliver", "qa"));
    world.settle();
    assert_ne!(world.deployed("qa").run.as_str(), first_without);
    let gone = world.journey("software", &commit, "qa");
    assert_eq!(gone.verdict, Verdict::Refused);
    assert_eq!(gone.summary, format!("not in qa any more: {back} took it back: software qa is at an earlier version"));
    assert_eq!(gone.since_ms, NOON_MS + HOUR_MS, "since it was taken back, whenever that is asked");
    assert_eq!(gone.conditions[1].ended_by, "`tidegate promote dev qa`, or a newer change");
    let deployed = named(&gone, "deployed to shop@qa");
    assert_eq!(deployed.what, format!("{second} deployed it, and {first_without} took it back"));
    assert_eq!((deployed.since_ms, &deployed.ended_by), (NOON_MS + 2 * HOUR_MS, &gone.conditions[1].ended_by));
    // What is advised helps.
    world.asked("grace", promote("dev", "qa"));
    world.settle();
    assert_eq!(world.journey("software", &commit, "qa").verdict, Verdict::Passed);
}

#[test]
fn of_a_vetoed_commit_nothing_is_advised_that_is_refused() {
    let (mut world, _, commit) = in_qa();
    world.later(HOUR_MS);
    world.asked("grace", veto(commit.as_str()));
    world.later(HOUR_MS);
    let stays = world.journey("software", &commit, "main");
    assert_eq!((stays.verdict, stays.since_ms), (Verdict::Refused, NOON_MS + HOUR_MS));
    assert!(stays.summary.contains("is vetoed by grace: it leaks memory"), "{}", stays.summary);
    assert!(stays.conditions.iter().all(|condition| condition.name != "promotion to main"), "{stays:#?}");
    assert_eq!(world.journey("software", &commit, "qa").verdict, Verdict::Passed, "where it is, it is");
    world.asked("grace", roll_back("qa", None));
    world.settle();
    let gone = world.journey("software", &commit, "qa");
    let by = &gone.conditions[1].ended_by;
    assert!(by.starts_with("a better change") && by.contains("is vetoed by grace"), "{by}");
    assert!(world.ask("grace", promote("dev", "qa")).is_err());
}

#[test]
fn what_is_refused_is_so_since_it_became_so() {
    let mut world = World::new(LATER);
    let lost = world.push("software", "dev");
    world.later(HOUR_MS);
    world.push_of("software", "dev", &["src/main"], true);
    world.later(HOUR_MS);
    world.push("software", "qa");
    assert_eq!(world.journey("software", &lost, "dev").since_ms, NOON_MS + HOUR_MS);
    let unknown = tidegate_engine::engine::CommitId::new("f".repeat(40));
    assert_eq!(world.journey("software", &unknown, "dev").since_ms, NOON_MS);
    assert_eq!(world.journey("software", &unknown, "moon").since_ms, NOON_MS);
}

#[test]
fn each_clock_begins_when_the_one_before_it_has_ended() {
    let mut world = World::new(LATER);
    let pushed = world.push("software", "dev");
    // It is Friday noon: soaked on Tuesday, and the window opens on the Sunday after that.
    let (tuesday_ms, sunday_ms) = (NOON_MS + 96 * HOUR_MS, NOON_MS + (8 * 24 + 21) * HOUR_MS);
    let earliest = |journey: &Journey, name: &str| named(journey, name).earliest_ms;
    for _ in 0..2 {
        let journey = world.journey("software", &pushed, "main");
        let soak = if journey.conditions.iter().any(|condition| condition.name == "promotion to qa: soak") {
            ["promotion to qa: soak", "promotion to qa: window", "promotion to qa: merge"].map(str::to_owned)
        } else {
            ["soak", "window", "merge-software"].map(|step| format!("{} {step}", world.newest("promote")))
        };
        let clocks = soak.map(|name| earliest(&journey, &name));
        assert_eq!(clocks, [Some(tuesday_ms), Some(sunday_ms), Some(sunday_ms)], "{journey:#?}");
        assert_eq!(earliest(&journey, "deliver in qa"), Some(sunday_ms));
        assert_eq!(earliest(&journey, "promotion to main: merge"), Some(sunday_ms + 2 * HOUR_MS));
        assert_eq!(journey.earliest_ms, Some(sunday_ms + 2 * HOUR_MS), "and the headline says so");
        world.settle();
    }
    // A freeze of a later stage is foreseen.
    let until_ms = sunday_ms + 30 * 24 * HOUR_MS;
    world.asked("ops", freeze(Some("main"), until_ms));
    let frozen = world.journey("software", &pushed, "main");
    assert_eq!((earliest(&frozen, "deliver in qa"), frozen.earliest_ms), (Some(sunday_ms), Some(until_ms)));
    assert_eq!(world.journey("software", &pushed, "qa").earliest_ms, Some(sunday_ms));
}

#[test]
fn who_decides_in_a_later_stage_is_said_before_it_comes_there() {
    let mut world = World::new(LATER);
    let pushed = world.push("software", "dev");
    let journey = world.journey("software", &pushed, "main");
    let approve = named(&journey, "deliver in main: approve");
    assert_eq!(approve.what, "approval by release-managers (2 in all)");
    assert!(approve.ended_by.starts_with("release-managers, after "), "{}", approve.ended_by);
    assert_eq!(named(&journey, "deliver in main: require").what, "what main demands");
    let load = named(&journey, "deliver in main: load");
    assert_eq!(load.what, "https://shop.main.example/load to answer 200");
    assert!(journey.conditions.iter().all(|condition| condition.name != "deliver in qa: approve"));
}

/// What a promotion still asks is said where it only waits for somebody to begin it.
#[test]
fn a_promotion_that_somebody_has_to_begin_says_what_comes_then() {
    let mut world = World::new(&LATER.replace("soak: 96h, window: 'Sun 09:00-16:00 UTC'", ""));
    let pushed = world.push("software", "dev");
    world.settle();
    let journey = world.journey("software", &pushed, "main");
    assert_eq!(named(&journey, "promotion to main").ended_by, "`tidegate promote qa main`");
    assert_eq!(named(&journey, "promotion to main: soak").earliest_ms, Some(NOON_MS + 2 * HOUR_MS));
}

#[test]
fn a_push_that_the_paths_leave_out_says_so() {
    let mut world = World::new(LATER);
    world.push_of("software", "dev", &["README.md"], false);
    let docs = world.system.head(&repository("software"), &stage("dev")).unwrap().commit.clone();
    let journey = world.journey("software", &docs, "dev");
    assert_eq!(journey.verdict, Verdict::Waiting);
    assert!(journey.summary.contains("a push that changes src/, *.toml"), "{}", journey.summary);
    let by = &named(&journey, "deliver in dev").ended_by;
    assert!(by.contains("`tidegate run start deliver --stage dev`"), "{by}");
    world.push("software", "dev");
    world.settle();
    assert_eq!(world.journey("software", &docs, "dev").verdict, Verdict::Passed, "the next one brings it along");
}
